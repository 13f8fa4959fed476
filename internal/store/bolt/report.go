package bolt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"basewatch/watcher"
)

// Report implements watcher.Store. Reports without a state only touch memory.
func (s *Store) Report(ctx context.Context, rs []watcher.Result) ([]watcher.Verdict, error) {
	if err := s.writable(ctx); err != nil {
		return nil, err
	}
	o := &reportOp{store: s, ctx: ctx, results: rs}
	if !o.durable() {
		s.mu.Lock()
		o.reserve()
		s.mu.Unlock()
		o.apply()
		return o.verdicts, nil
	}
	if err := s.refused(); err != nil {
		return nil, fmt.Errorf("report %d looks: %w", len(rs), err)
	}
	if err := s.commit(ctx, o); err != nil {
		return nil, fmt.Errorf("report %d looks: %w", len(rs), err)
	}
	if len(o.rows) > 0 {
		s.onWork()
	}
	return o.verdicts, nil
}

// reportOp is one Report under way.
type reportOp struct {
	store   *Store
	ctx     context.Context
	results []watcher.Result

	verdicts []watcher.Verdict
	rows     []*row // deliveries that the events planned
	now      time.Time
}

func (o *reportOp) durable() bool {
	for i := range o.results {
		r := &o.results[i]
		if r.State != nil || len(r.Events) > 0 || len(r.Notes) > 0 {
			return true
		}
	}
	return false
}

// reserve judges each result and makes the targets of those it takes busy. mu
// is held. Health has no claim to end.
func (o *reportOp) reserve() {
	o.now = time.Now().UTC()
	o.verdicts = make([]watcher.Verdict, len(o.results))
	for i := range o.results {
		r := &o.results[i]
		o.verdicts[i] = watcher.Accepted
		if r.Health {
			continue
		}
		l := o.store.looks[r.Ref]
		if l == nil || l.is(busy) || l.until == 0 || l.token != r.Token {
			o.verdicts[i] = watcher.Stale
			continue
		}
		l.set(busy, true)
		l.host.place(l)
	}
}

// taken calls f for each accepted result; the look is nil for Health.
func (o *reportOp) taken(f func(*watcher.Result, *look) error) error {
	for i, v := range o.verdicts {
		if v != watcher.Accepted {
			continue
		}
		r := &o.results[i]
		var l *look
		if !r.Health {
			l = o.store.looks[r.Ref]
		}
		if err := f(r, l); err != nil {
			return err
		}
	}
	return nil
}

func (o *reportOp) stage(tx *bbolt.Tx) error {
	o.rows = nil
	if err := o.store.refused(); err != nil {
		return err
	}
	o.store.mu.Lock()
	o.reserve()
	o.store.mu.Unlock()
	return o.taken(func(r *watcher.Result, l *look) error {
		if err := o.ctx.Err(); err != nil {
			return err
		}
		return o.write(tx, r, l)
	})
}

// write stores one result: state, record, history, events, deliveries.
func (o *reportOp) write(tx *bbolt.Tx, r *watcher.Result, l *look) error {
	if r.State != nil {
		if err := putJSON(tx, statesBucket, []byte(r.Ref), r.State); err != nil {
			return err
		}
	}
	if r.State != nil && l != nil {
		after := *l // safe without mu: nobody else writes a busy look
		other := after.learn(r.State, dueAfter(r, l))
		if err := put(tx, looksBucket, []byte(r.Ref), after.encode(other)); err != nil {
			return err
		}
	}
	for i := range r.Notes {
		if err := appendNote(tx, r.Ref, &r.Notes[i]); err != nil {
			return err
		}
	}
	rows, err := o.store.insertEvents(tx, r.Events, o.now)
	o.rows = append(o.rows, rows...)
	return err
}

// appendNote adds a history line.
func appendNote(tx *bbolt.Tx, ref string, n *watcher.Note) error {
	if ref == "" {
		return errors.New("history: a note without a target")
	}
	num, err := next(tx, historyBucket)
	if err != nil {
		return err
	}
	return putJSON(tx, historyBucket, append(joined(ref, ""), be64(num)...), n)
}

// apply takes the results over into memory.
func (o *reportOp) apply() {
	s := o.store
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = o.taken(func(r *watcher.Result, l *look) error {
		if l != nil {
			o.finish(r, l)
		}
		return nil
	})
	for _, w := range o.rows {
		s.addRow(w)
	}
}

// finish ends a claim. mu is held.
func (o *reportOp) finish(r *watcher.Result, l *look) {
	l.until = 0
	l.set(busy, false)
	l.due = dueAfter(r, l)
	switch {
	case r.State != nil:
		o.store.remember(l.ref, l.learn(r.State, l.due))
		l.set(dirty, false)
	case !r.Unlooked:
		l.lastLook, l.lastGood = o.now.UnixNano(), o.now.UnixNano()
		l.failures = 0
		o.store.touch(l)
	}
	if !r.Unlooked && !l.is(looked) {
		l.set(looked, true)
		l.host.unseen--
	}
	l.host.place(l)
}

// dueAfter is when the target is due after the result.
func dueAfter(r *watcher.Result, l *look) int64 {
	switch {
	case !r.NextAt.IsZero():
		return nanos(r.NextAt)
	case r.State != nil && !r.State.NextAt.IsZero():
		return nanos(r.State.NextAt)
	default:
		return l.due
	}
}

// abort gives the claims back as they were: the caller may report again.
func (o *reportOp) abort() {
	o.store.mu.Lock()
	defer o.store.mu.Unlock()
	_ = o.taken(func(_ *watcher.Result, l *look) error {
		if l != nil {
			l.set(busy, false)
			l.host.place(l)
		}
		return nil
	})
}
