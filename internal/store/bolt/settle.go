package bolt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

const (
	keptAttempts = 50
	maxReceipt   = 4 << 10 // bytes of Receipt.State
)

// settle commits a settlement; see outbox.Store.
func (s *Store) settle(ctx context.Context, in outbox.Settlement) error {
	if err := s.writable(ctx); err != nil {
		return err
	}
	o := &settleOp{store: s, ctx: ctx, in: in}
	if err := s.commit(ctx, o); err != nil {
		return fmt.Errorf("settle %d deliveries of %s: %w", len(in.Steps), in.Lane.Name, err)
	}
	if len(o.rows) > 0 || len(o.released) > 0 {
		s.onWork()
	}
	if len(o.lost) > 0 {
		return &outbox.LostError{IDs: o.lost}
	}
	return nil
}

// settleOp is one settlement under way.
type settleOp struct {
	store *Store
	ctx   context.Context
	in    outbox.Settlement

	now      time.Time
	moves    []*move
	lost     []string
	released []*row
	rows     []*row // deliveries that born events planned
}

// move is one step that was taken.
type move struct {
	outbox.Step
	row *row
	// held are the other rows of the same claim; superseded, those of them
	// that the step ends.
	held       []*row
	superseded []*row
	reroot     bool // its receipt replaces the root of the thread
	damaged    bool // its row cannot be read
}

// ends reports whether the step takes what it covers with it.
func (m *move) ends() bool { return m.State == outbox.Delivered || m.State == outbox.Dead }

func (o *settleOp) stage(tx *bbolt.Tx) error {
	if err := o.ctx.Err(); err != nil {
		return err
	}
	o.reserve()
	t := make(tally)
	for _, m := range o.moves {
		if err := o.write(tx, m, t); err != nil && !o.lose(m, err) {
			return err
		}
	}
	if err := o.release(tx); err != nil {
		return err
	}
	if o.in.Lane.Name != "" {
		if err := putJSON(tx, lanesBucket, []byte(o.in.Lane.Name), o.in.Lane); err != nil {
			return err
		}
	}
	var err error
	if o.rows, err = o.store.insertEvents(tx, o.in.Born, o.now); err != nil {
		return err
	}
	return t.store(tx)
}

// reserve judges the steps and makes the rows of those it takes busy.
func (o *settleOp) reserve() {
	s := o.store
	s.mu.Lock()
	defer s.mu.Unlock()
	o.now, o.moves, o.lost, o.released = time.Now().UTC(), nil, nil, nil
	for _, step := range o.in.Steps {
		w := s.rows[step.ID]
		if w == nil || w.busy || w.until == 0 || w.token != step.Token {
			o.lost = append(o.lost, step.ID)
			continue
		}
		m := &move{Step: step, row: w}
		w.busy = true
		if w.slot != "" {
			m.hold()
		}
		o.moves = append(o.moves, m)
	}
}

// hold makes the rows busy that share the move's claim.
func (m *move) hold() {
	for _, w := range m.row.party {
		if w != m.row && w.token == m.Token && w.until != 0 && !w.busy {
			w.busy = true
			m.held = append(m.held, w)
		}
	}
	if !m.ends() {
		return
	}
	for _, w := range m.held {
		for _, id := range m.Covers {
			if w.id == id {
				m.superseded = append(m.superseded, w)
			}
		}
	}
}

// lose gives a step up when its row is damaged: the row is not ours to move any
// more, and the other steps go on.
func (o *settleOp) lose(m *move, err error) bool {
	var de *DamagedError
	if !errors.As(err, &de) {
		return false
	}
	o.store.log.Error("a delivery cannot be settled and stays undelivered", "delivery", m.ID, "err", err)
	o.lost = append(o.lost, m.ID)
	m.damaged = true
	return true
}

// write stores what the move does to its row and to those it covers.
func (o *settleOp) write(tx *bbolt.Tx, m *move, t tally) error {
	st, err := rewrite(tx, m.ID, func(st *storedRow) { o.change(st, m) })
	if err != nil || m.State == outbox.Waiting {
		return err
	}
	t.settled(m.State)
	if err := drop(tx, waitingBucket, []byte(m.ID)); err != nil {
		return err
	}
	covered, err := o.supersede(tx, m, t)
	if err != nil || m.State != outbox.Delivered {
		return err
	}
	if err := plant(tx, &st, covered, m.reroot); err != nil {
		return err
	}
	return act(tx, &st, covered)
}

// supersede stores that the move told what it covers. A damaged row of these
// is passed over.
func (o *settleOp) supersede(tx *bbolt.Tx, m *move, t tally) (covered []storedRow, err error) {
	for _, w := range m.superseded {
		st, err := rewrite(tx, w.id, func(st *storedRow) {
			st.State, st.By, st.SettledAt = outbox.Superseded, m.ID, o.now
		})
		if ignoreDamage(err) != nil {
			return nil, err
		}
		if err == nil {
			covered = append(covered, st)
		}
		t.settled(outbox.Superseded)
		if err := drop(tx, waitingBucket, []byte(w.id)); err != nil {
			return nil, err
		}
	}
	return covered, nil
}

// change applies a step to its stored row.
func (o *settleOp) change(st *storedRow, m *move) {
	st.State, st.Reason, st.NextAt = m.State, m.Reason, m.NextAt
	st.Token, st.Failures = m.Token, m.Failures
	if !m.Hold.IsZero() {
		st.Hold, st.HoldFor = m.Hold, m.HoldFor
	}
	if m.Attempt != nil {
		st.Attempts = append(st.Attempts, *m.Attempt)
		st.Attempts = st.Attempts[max(0, len(st.Attempts)-keptAttempts):]
	}
	if m.State != outbox.Waiting {
		st.SettledAt = o.now
	}
	if len(m.Receipt.State) > maxReceipt {
		// Refusing the step would send the message again, for ever.
		o.store.log.Error("a receipt is too large and is not kept", "delivery", m.ID, "bytes", len(m.Receipt.State), "limit", maxReceipt)
	} else if !m.Receipt.IsZero() {
		st.Receipt = m.Receipt
	}
	if m.State == outbox.Delivered {
		m.reroot, st.Receipt.Reroot = st.Receipt.Reroot, false
	}
}

// release makes the lane's rows due that wait for their own schedule after
// failures, except those that the settlement itself has just scheduled.
func (o *settleOp) release(tx *bbolt.Tx) error {
	if !o.in.Release {
		return nil
	}
	for _, w := range o.store.laneRows(o.in.Lane.Name) {
		if w.busy || w.failures == 0 || w.nextAt <= o.now.UnixNano() {
			continue
		}
		if err := o.store.dueNow(tx, w, o.now); err != nil {
			return err
		}
		o.released = append(o.released, w)
	}
	return nil
}

// apply takes the settlement over into memory.
func (o *settleOp) apply() {
	s := o.store
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range o.moves {
		m.free()
		if m.damaged {
			m.row.broken = true
			continue
		}
		if m.State != outbox.Waiting {
			s.removeRow(m.row)
		}
		for _, w := range m.superseded {
			s.removeRow(w)
		}
		m.row.nextAt, m.row.failures = nanos(m.NextAt), m.Failures
		if !m.Hold.IsZero() {
			s.forgetWave(m.row)
			m.row.hold, m.row.holdFor = nanos(m.Hold), m.HoldFor
		}
		if m.Attempt != nil {
			m.row.tried = nanos(m.Attempt.At)
		}
	}
	for _, w := range o.released {
		w.nextAt = o.now.UnixNano()
	}
	if o.in.Lane.Name != "" {
		s.laneOf(o.in.Lane.Name).health = o.in.Lane
	}
	for _, w := range o.rows {
		s.addRow(w)
	}
}

// free ends the claim of a move's rows.
func (m *move) free() {
	m.row.busy, m.row.until, m.row.party = false, 0, nil
	for _, w := range m.held {
		w.busy, w.until, w.party = false, 0, nil
	}
}

// abort leaves the claims as they were: the caller may settle again.
func (o *settleOp) abort() {
	o.store.mu.Lock()
	defer o.store.mu.Unlock()
	for _, m := range o.moves {
		m.row.busy = false
		for _, w := range m.held {
			w.busy = false
		}
	}
}

// plant gives threads their root: the receipt of the first delivered row, of
// what superseded it, or of one that says that the old root is of no use.
func plant(tx *bbolt.Tx, st *storedRow, covered []storedRow, reroot bool) error {
	root := st.Receipt
	if root.IsZero() {
		return nil
	}
	for i := range covered {
		if err := plantOne(tx, &covered[i], root, false); err != nil {
			return err
		}
	}
	return plantOne(tx, st, root, reroot)
}

func plantOne(tx *bbolt.Tx, st *storedRow, root outbox.Receipt, replace bool) error {
	key := joined(st.Lane(), st.Thread)
	if !replace && has(tx, rootsBucket, key) {
		return nil
	}
	return putJSON(tx, rootsBucket, key, root)
}

// acted is the snapshot that a receiver last acted on, and the number of the
// change that it came with.
type acted struct {
	Seq      uint64            `json:"seq"`
	Snapshot *watcher.Snapshot `json:"snapshot"`
}

// act remembers, for the row and all it covers, the newest snapshot acted on
// of each target. A replayed old change does not bring an old one back.
func act(tx *bbolt.Tx, st *storedRow, covered []storedRow) error {
	for _, c := range append(covered, *st) {
		e, found, err := getJSON[watcher.Event](tx, eventsBucket, []byte(c.EventKey))
		if err != nil || !found || e.Kind != watcher.Changed || e.New == nil {
			if err := ignoreDamage(err); err != nil {
				return err
			}
			continue
		}
		key := joined(c.Receiver, e.Ref, c.Dependent)
		old, _, err := getJSON[acted](tx, actedBucket, key)
		if err := ignoreDamage(err); err != nil {
			return err
		}
		if old.Snapshot != nil && old.Seq > e.Seq {
			continue
		}
		if err := putJSON(tx, actedBucket, key, acted{Seq: e.Seq, Snapshot: e.New}); err != nil {
			return err
		}
	}
	return nil
}

// ignoreDamage is for values that are only nice to have.
func ignoreDamage(err error) error {
	var de *DamagedError
	if errors.As(err, &de) {
		return nil
	}
	return err
}
