package bolt

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// Outbox is the store as outbox.Store.
func (s *Store) Outbox() outbox.Store { return deliveries{s} }

// deliveries is the view of a Store that outbox.Store asks for.
type deliveries struct{ store *Store }

// Lanes implements outbox.Store.
func (d deliveries) Lanes(ctx context.Context) ([]outbox.LaneWork, error) { return d.store.Lanes(ctx) }

// Settle implements outbox.Store.
func (d deliveries) Settle(ctx context.Context, in outbox.Settlement) error {
	return d.store.settle(ctx, in)
}

// Claim implements outbox.Store.
func (d deliveries) Claim(ctx context.Context, r outbox.ClaimRequest) ([]outbox.Delivery, error) {
	s := d.store
	if err := s.writable(ctx); err != nil {
		return nil, err
	}
	picks := s.take(r)
	if len(picks) == 0 {
		return nil, nil
	}
	out, damaged, err := s.join(ctx, picks)
	if err != nil {
		s.untake(picks)
		return nil, err
	}
	s.untake(damaged)
	return out, nil
}

// Lanes lists the lanes that have waiting rows or are not well, in the order
// of their names.
func (s *Store) Lanes(ctx context.Context) ([]outbox.LaneWork, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UnixNano()
	var out []outbox.LaneWork
	for _, name := range slices.Sorted(maps.Keys(s.lanes)) {
		l := s.lanes[name]
		if len(l.rows) == 0 && !l.health.Failing() && l.health.ParkedSince.IsZero() {
			continue
		}
		picks, due := survey(l.rows, now, false)
		w := outbox.LaneWork{Lane: l.health, Waiting: len(l.rows), DueCount: len(picks), NextDue: moment(due)}
		for _, r := range l.rows {
			if r.held(now) {
				w.Held++
			}
		}
		if len(l.rows) > 0 {
			w.Oldest = moment(l.rows[0].created)
		}
		out = append(out, w)
	}
	return out, nil
}

// take claims rows in memory. A row and those it covers share one token.
func (s *Store) take(r outbox.ClaimRequest) []pick {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[r.Lane]
	if l == nil {
		return nil
	}
	now := time.Now().UTC()
	picks, _ := survey(l.rows, now.UnixNano(), r.All)
	if r.Probe {
		slices.SortStableFunc(picks, func(a, b pick) int { return cmp.Compare(a.head.tried, b.head.tried) })
	}
	picks = picks[:min(max(r.Max, 0), len(picks))]
	until := now.Add(max(r.TTL, 1)).UnixNano()
	for i := range picks {
		s.token++
		var party []*row
		if len(picks[i].covers) > 0 {
			party = slices.Collect(picks[i].all())
		}
		for w := range picks[i].all() {
			w.token, w.until, w.party = s.token, until, party
		}
		picks[i].token = s.token
	}
	return picks
}

// untake frees rows that were claimed and not handed out.
func (s *Store) untake(picks []pick) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range picks {
		for w := range picks[i].all() {
			if w.token == picks[i].token {
				w.until = 0
			}
		}
	}
}

// all gives the head and what it covers.
func (p *pick) all() func(yield func(*row) bool) {
	return func(yield func(*row) bool) {
		for _, w := range p.covers {
			if !yield(w) {
				return
			}
		}
		yield(p.head)
	}
}

// join reads claimed rows with all that belongs to them. A row that cannot be
// read is broken from now on; its pick is given back in damaged.
func (s *Store) join(ctx context.Context, picks []pick) (out []outbox.Delivery, damaged []pick, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		for i := range picks {
			d, err := s.joinOne(tx, &picks[i])
			if err == nil {
				out = append(out, d)
				continue
			}
			var de *DamagedError
			if !errors.As(err, &de) {
				return err
			}
			s.log.Error("a delivery cannot be read and stays undelivered", "lane", picks[i].head.lane, "err", err)
			damaged = append(damaged, picks[i])
		}
		return nil
	})
	return out, damaged, err
}

func (s *Store) joinOne(tx *bbolt.Tx, p *pick) (outbox.Delivery, error) {
	d, err := s.readWaiting(tx, p.head)
	if err != nil {
		return d, err
	}
	d.Token = p.token
	for _, w := range p.covers {
		c, err := s.readWaiting(tx, w)
		if err != nil {
			return d, err
		}
		d.Covers = append(d.Covers, c)
	}
	root, found, err := getJSON[outbox.Receipt](tx, rootsBucket, joined(d.Lane(), d.Thread))
	if err != nil {
		s.log.Error("the root of a thread cannot be read; the next message begins a new one", "err", err)
	}
	if found {
		d.Root = &root
	}
	last, found, err := getJSON[acted](tx, actedBucket, joined(d.Receiver, d.Event.Ref, d.Dependent))
	if err != nil {
		s.log.Error("what a receiver last acted on cannot be read", "err", err)
	}
	if found {
		d.Acted = last.Snapshot
	}
	return d, nil
}

// readWaiting reads a row with its event, and marks it when it is damaged.
func (s *Store) readWaiting(tx *bbolt.Tx, w *row) (outbox.Delivery, error) {
	d, err := readDelivery(tx, w.id)
	var de *DamagedError
	if errors.As(err, &de) {
		s.mu.Lock()
		w.broken = true
		s.mu.Unlock()
	}
	return d, err
}

func readDelivery(tx *bbolt.Tx, id string) (outbox.Delivery, error) {
	st, err := readRow(tx, id)
	return st.Delivery, err
}

// readRow reads a row joined with its event.
func readRow(tx *bbolt.Tx, id string) (storedRow, error) {
	st, found, err := getJSON[storedRow](tx, deliveriesBucket, []byte(id))
	if err == nil && !found {
		err = &DamagedError{Bucket: string(deliveriesBucket), Key: id, Reason: "missing"}
	}
	if err != nil {
		return storedRow{}, err
	}
	st.Event, found, err = getJSON[watcher.Event](tx, eventsBucket, []byte(st.EventKey))
	if err == nil && !found {
		err = &DamagedError{Bucket: string(eventsBucket), Key: st.EventKey, Reason: "missing"}
	}
	return st, err
}
