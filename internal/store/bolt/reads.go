package bolt

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

const (
	// pageRows are read in one transaction, so that no reader is long.
	pageRows = 500
	// maxListed bounds a listing.
	maxListed = 1000
	// clockSlack is how far a clock may have jumped back between two entries
	// without a listing ending too early.
	clockSlack = 24 * time.Hour
)

// State implements watcher.Store.
func (s *Store) State(ctx context.Context, ref string) (watcher.State, error) {
	var st watcher.State
	found := false
	err := s.view(ctx, func(tx *bbolt.Tx) (err error) {
		st, found, err = getJSON[watcher.State](tx, statesBucket, []byte(ref))
		return err
	})
	if err != nil {
		return watcher.State{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.looks[ref]; l != nil && l.is(known) {
		if !found { // an empty one would be a first sight, and swallow a change
			return watcher.State{}, &DamagedError{Bucket: string(statesBucket), Key: ref, Reason: "missing"}
		}
		l.overlay(&st)
	}
	return st, nil
}

// Records reads targets with what is remembered of them, sorted by reference:
// those named, as far as they are known, or all. A state that is damaged is
// said so in its Health.
func (s *Store) Records(ctx context.Context, refs ...string) ([]watcher.Record, error) {
	all := s.recordsOf(refs)
	for page := range slices.Chunk(all, pageRows) {
		if err := s.fillStates(ctx, page); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Each implements watcher.Census.
func (s *Store) Each(ctx context.Context, f func(watcher.Record) error) error {
	s.mu.Lock()
	refs := slices.Sorted(maps.Keys(s.looks))
	s.mu.Unlock()
	for some := range slices.Chunk(refs, pageRows) {
		page := slices.DeleteFunc(s.recordsOf(some), func(r watcher.Record) bool { return r.Asleep })
		if err := s.fillStates(ctx, page); err != nil {
			return err
		}
		for _, r := range page {
			if err := f(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) recordsOf(refs []string) []watcher.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(refs) == 0 {
		refs = slices.Collect(maps.Keys(s.looks))
	}
	refs = slices.Compact(slices.Sorted(slices.Values(refs)))
	out := make([]watcher.Record, 0, len(refs))
	for _, ref := range refs {
		if l := s.looks[ref]; l != nil {
			out = append(out, watcher.Record{Target: l.target(), Asleep: l.asleep()})
		}
	}
	return out
}

func (s *Store) fillStates(ctx context.Context, page []watcher.Record) error {
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		for i := range page {
			st, _, err := getJSON[watcher.State](tx, statesBucket, []byte(page[i].Target.Ref))
			if err != nil {
				st = watcher.State{Health: watcher.Health{Failures: 1, Problem: watcher.Invalid, Reason: err.Error()}}
			}
			page[i].State = st
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range page {
		if l := s.looks[page[i].Target.Ref]; l != nil {
			l.overlay(&page[i].State)
		}
	}
	return nil
}

// Event reads one event by its key.
func (s *Store) Event(ctx context.Context, key string) (e watcher.Event, found bool, err error) {
	if key == "" {
		return e, false, s.usable(ctx)
	}
	err = s.view(ctx, func(tx *bbolt.Tx) (err error) {
		e, found, err = getJSON[watcher.Event](tx, eventsBucket, []byte(key))
		return err
	})
	return e, found, err
}

// scan is a listing that goes backwards through a bucket, a page at a time.
// visit is called with each sound entry, newest first; it says whether to go
// on.
type scan struct {
	bucket bucket
	prefix []byte
	visit  func(tx *bbolt.Tx, key, payload []byte) (more bool, err error)
}

// backwards runs a scan. A damaged value is logged and passed over.
func (s *Store) backwards(ctx context.Context, sc scan) error {
	// No key under the prefix is longer or larger: it goes on with a be64.
	last := append(bytes.Clone(sc.prefix), bytes.Repeat([]byte{0xff}, 9)...)
	for more := true; more; {
		err := s.view(ctx, func(tx *bbolt.Tx) (err error) {
			last, more, err = s.page(tx, sc, last)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// page visits the entries before last, and gives the last one visited.
func (s *Store) page(tx *bbolt.Tx, sc scan, last []byte) (visited []byte, more bool, err error) {
	c := tx.Bucket([]byte(sc.bucket)).Cursor()
	backwards := c.Prev
	if at, _ := c.Seek(last); at == nil {
		backwards = c.Last // nothing stands behind
	}
	key, value := backwards()
	for range pageRows {
		if key == nil || !bytes.HasPrefix(key, sc.prefix) {
			return nil, false, nil
		}
		payload, err := unseal(sc.bucket, key, value)
		more := true
		if err == nil {
			more, err = sc.visit(tx, key, payload)
		}
		if err != nil && ignoreDamage(err) == nil {
			s.log.Error("a stored value is passed over", "path", s.opts.Path, "err", err)
		} else if err != nil || !more {
			return nil, false, err
		}
		last = bytes.Clone(key)
		key, value = c.Prev()
	}
	return last, true, nil
}

func limited(limit int) int {
	if limit <= 0 || limit > maxListed {
		return maxListed
	}
	return limit
}

// History reads what became of a target since then, newest first, at most limit
// lines (at most 1000; 0 means 1000).
func (s *Store) History(ctx context.Context, ref string, since time.Time, limit int) ([]watcher.Note, error) {
	var out []watcher.Note
	limit = limited(limit)
	visit := func(_ *bbolt.Tx, key, payload []byte) (bool, error) {
		n, err := decode[watcher.Note](historyBucket, key, payload)
		if err != nil {
			return true, err
		}
		if !n.At.Before(since) {
			out = append(out, n)
		}
		return len(out) < limit && !n.At.Before(since.Add(-clockSlack)), nil
	}
	err := s.backwards(ctx, scan{bucket: historyBucket, prefix: joined(ref, ""), visit: visit})
	return out, err
}

// Deliveries reads rows that match, newest first, joined with their events.
func (s *Store) Deliveries(ctx context.Context, q outbox.Query) ([]outbox.Delivery, error) {
	q.Limit = limited(q.Limit)
	if q.ID != "" {
		return s.deliveriesByID(ctx, q)
	}
	var out []outbox.Delivery
	visit := func(tx *bbolt.Tx, _, id []byte) (bool, error) {
		d, err := readDelivery(tx, string(id))
		if err != nil {
			return true, err
		}
		if matches(q, &d) {
			out = append(out, d)
		}
		return len(out) < q.Limit && !d.CreatedAt.Before(q.Since.Add(-clockSlack)), nil
	}
	err := s.backwards(ctx, scan{bucket: orderBucket, visit: visit})
	return out, err
}

// deliveriesByID reads the rows whose ID begins with q.ID: few, since IDs are
// hashes.
func (s *Store) deliveriesByID(ctx context.Context, q outbox.Query) ([]outbox.Delivery, error) {
	var found []storedRow
	prefix := []byte(q.ID)
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket([]byte(deliveriesBucket)).Cursor()
		for key, _ := c.Seek(prefix); bytes.HasPrefix(key, prefix) && len(found) < maxListed; key, _ = c.Next() {
			st, err := readRow(tx, string(key))
			if err != nil {
				s.log.Error("a stored value is passed over", "path", s.opts.Path, "err", err)
				continue
			}
			if matches(q, &st.Delivery) {
				found = append(found, st)
			}
		}
		return nil
	})
	slices.SortFunc(found, func(a, b storedRow) int { return -byOrder(&row{order: a.Order}, b.Order) })
	found = found[:min(len(found), q.Limit)]
	out := make([]outbox.Delivery, len(found))
	for i := range found {
		out[i] = found[i].Delivery
	}
	return out, err
}

// matches reports whether a delivery is one that the query asks for.
func matches(q outbox.Query, d *outbox.Delivery) bool {
	switch {
	case !strings.HasPrefix(d.ID, q.ID),
		q.Receiver != "" && !onLane(d.Lane(), q.Receiver),
		q.State != "" && d.State != q.State,
		d.CreatedAt.Before(q.Since),
		q.EventKey != "" && d.EventKey != q.EventKey,
		q.Ref != "" && d.Event.Ref != q.Ref:
		return false
	}
	return true
}
