package bolt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"basewatch/internal/outbox"
)

// laneRows copies the list of a lane's waiting rows.
func (s *Store) laneRows(name string) []*row {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.lanes[name]; l != nil {
		return slices.Clone(l.rows)
	}
	return nil
}

// rowsWhere lists the waiting rows that match, oldest first.
func (s *Store) rowsWhere(match func(*row) bool) []*row {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*row
	for _, w := range s.rows {
		if match(w) {
			out = append(out, w)
		}
	}
	slices.SortFunc(out, func(a, b *row) int { return byOrder(a, b.order) })
	return out
}

// dueNow writes that a waiting row is due; its hold stays. A damaged row is
// left alone.
func (s *Store) dueNow(tx *bbolt.Tx, w *row, now time.Time) error {
	return s.rewriteSound(tx, w.id, func(st *storedRow) { st.NextAt = now })
}

// rewriteSound rewrites a row unless it is damaged, which is logged.
func (s *Store) rewriteSound(tx *bbolt.Tx, id string, change func(*storedRow)) error {
	_, err := rewrite(tx, id, change)
	var de *DamagedError
	if errors.As(err, &de) {
		s.log.Error("a delivery cannot be changed", "err", err)
		return nil
	}
	return err
}

// EndPass implements watcher.Passes: rows held for the host's pass are held no
// longer, and when it is drained neither are those held for its first sights.
func (s *Store) EndPass(ctx context.Context, host string, drained bool) error {
	release, err := s.exclusive(ctx)
	if err != nil {
		return err
	}
	defer release()
	now := time.Now().UTC()
	held := s.rowsWhere(func(w *row) bool {
		return (w.holdFor == "pass:"+host || drained && w.holdFor == "first:"+host) && w.hold > now.UnixNano()
	})
	if len(held) == 0 {
		return nil
	}
	err = s.update(func(tx *bbolt.Tx) error {
		for _, w := range held {
			if err := s.rewriteSound(tx, w.id, func(st *storedRow) { st.Hold = now }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("end the first pass of %s: %w", host, err)
	}
	s.mu.Lock()
	for _, w := range held {
		w.hold = now.UnixNano()
	}
	s.mu.Unlock()
	s.onWork()
	return nil
}

// Retry makes waiting rows due now (what holds them back for another reason
// goes on holding them) and lets their lanes probe now: those of a receiver, of
// a lane, or named by ID. It returns how many rows it was about. An ID that is
// unknown or does not wait is an error, and nothing is changed then.
func (s *Store) Retry(ctx context.Context, receiverOrLane string, ids []string) (int, error) {
	if receiverOrLane == "" && len(ids) == 0 {
		return 0, errors.New("retry: name a receiver, a lane or deliveries")
	}
	release, err := s.exclusive(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	rows, err := s.retried(ctx, receiverOrLane, ids)
	if err != nil {
		return 0, err
	}
	now := time.Now().UTC()
	lanes := s.probed(receiverOrLane, rows, now)
	if len(rows) == 0 && len(lanes) == 0 {
		return 0, nil
	}
	err = s.update(func(tx *bbolt.Tx) error {
		for _, w := range rows {
			if err := s.dueNow(tx, w, now); err != nil {
				return err
			}
		}
		for _, l := range lanes {
			if err := putJSON(tx, lanesBucket, []byte(l.Name), l); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("retry: %w", err)
	}
	s.mu.Lock()
	for _, w := range rows {
		w.nextAt = now.UnixNano()
	}
	for _, l := range lanes {
		s.laneOf(l.Name).health = l
	}
	s.mu.Unlock()
	s.onWork()
	return len(rows), nil
}

// retried finds the rows that a Retry is about.
func (s *Store) retried(ctx context.Context, receiverOrLane string, ids []string) ([]*row, error) {
	named := make(map[string]bool, len(ids))
	for _, id := range ids {
		named[id] = true
		s.mu.Lock()
		waiting := s.rows[id] != nil
		s.mu.Unlock()
		if waiting {
			continue
		}
		ds, err := s.Deliveries(ctx, outbox.Query{ID: id, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(ds) == 0 || ds[0].ID != id {
			return nil, fmt.Errorf("retry: no delivery %s", id)
		}
		return nil, fmt.Errorf("retry: delivery %s is %s; `replay` sends it again", id, ds[0].State)
	}
	return s.rowsWhere(func(w *row) bool {
		return receiverOrLane != "" && onLane(w.lane, receiverOrLane) || named[w.id]
	}), nil
}

// onLane reports whether a lane is the named one, or one of the named
// receiver's.
func onLane(lane, receiverOrLane string) bool {
	receiver, _ := outbox.SplitLane(lane)
	return lane == receiverOrLane || receiver == receiverOrLane
}

// probed gives the failing lanes that a Retry is about, with a probe due now.
func (s *Store) probed(receiverOrLane string, rows []*row, now time.Time) []outbox.Lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []outbox.Lane
	for name, l := range s.lanes {
		named := receiverOrLane != "" && onLane(name, receiverOrLane) ||
			slices.ContainsFunc(rows, func(w *row) bool { return w.lane == name })
		if named && l.health.Failing() {
			h := l.health
			h.ProbeAt = now
			out = append(out, h)
		}
	}
	return out
}

// Replay makes settled rows wait again, from the start of their schedule, under
// the same ID and with their attempts kept; rows that wait are due now. It
// returns how many rows it was about. An unknown ID is an error, and nothing is
// changed then.
func (s *Store) Replay(ctx context.Context, ids []string) (int, error) {
	release, err := s.exclusive(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	if len(ids) == 0 {
		return 0, nil
	}
	now := time.Now().UTC()
	var again []*row
	err = s.update(func(tx *bbolt.Tx) error {
		t := make(tally)
		for _, id := range ids {
			w, err := replay(tx, id, now, t)
			if err != nil {
				return err
			}
			again = append(again, w)
		}
		return t.store(tx)
	})
	if err != nil {
		return 0, fmt.Errorf("replay: %w", err)
	}
	s.mu.Lock()
	for _, w := range again {
		if old := s.rows[w.id]; old != nil {
			old.nextAt, old.failures = w.nextAt, w.failures
			continue
		}
		s.addRow(w)
	}
	s.mu.Unlock()
	s.onWork()
	return len(ids), nil
}

// replay makes one row wait.
func replay(tx *bbolt.Tx, id string, now time.Time, t tally) (*row, error) {
	if !has(tx, deliveriesBucket, []byte(id)) {
		return nil, fmt.Errorf("no delivery %s", id)
	}
	st, err := rewrite(tx, id, func(st *storedRow) {
		st.NextAt = now
		if st.State == outbox.Waiting {
			return
		}
		t.replayed(st.State)
		st.State, st.Reason, st.By, st.SettledAt, st.Failures = outbox.Waiting, "", "", time.Time{}, 0
	})
	if err != nil {
		return nil, err
	}
	return newRow(&st), put(tx, waitingBucket, []byte(id), nil)
}
