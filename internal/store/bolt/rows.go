package bolt

import (
	"cmp"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"basewatch/internal/outbox"
)

// row is what is kept in memory of a waiting delivery. Times are Unix
// nanoseconds. Guarded by Store.mu.
type row struct {
	id, lane     string
	thread, slot string
	group        string
	holdFor      string
	order        uint64
	created      int64
	hold         int64
	nextAt       int64
	tried        int64 // the last attempt
	failures     int
	token        uint64 // of the last claim; shared with the rows it covers
	until        int64  // when that claim ends by itself; 0: none
	busy         bool   // a transaction about it is under way
	broken       bool   // its value in the file is damaged: never handed out
	// party are the rows of its last claim, itself too; nil: itself alone.
	party []*row
}

func newRow(st *storedRow) *row {
	r := &row{
		id: st.ID, lane: st.Lane(), thread: st.Thread, slot: st.Slot, group: st.Group, holdFor: st.HoldFor,
		order: st.Order, created: nanos(st.CreatedAt), hold: nanos(st.Hold), nextAt: nanos(st.NextAt),
		failures: st.Failures, token: st.Token,
	}
	if n := len(st.Attempts); n > 0 {
		r.tried = nanos(st.Attempts[n-1].At)
	}
	return r
}

// farAhead is more than any hold, schedule or snooze lasts. A time further
// ahead was written by a clock that has been set back since, and counts as
// come: early is better than a year late.
const farAhead = int64(31 * 24 * time.Hour)

func (r *row) due(now int64) int64 { return max(timely(r.hold, now), timely(r.nextAt, now)) }

func timely(at, now int64) int64 {
	if at > now+farAhead {
		return now
	}
	return at
}

func (r *row) held(now int64) bool { return timely(r.hold, now) > now }

func (r *row) claimed(now int64) bool { return r.busy || r.until > now }

// lane is a lane's health and its waiting rows, oldest first. Guarded by
// Store.mu.
type lane struct {
	health outbox.Lane
	rows   []*row
}

// laneOf gives a lane, made when needed. mu is held.
func (s *Store) laneOf(name string) *lane {
	l := s.lanes[name]
	if l == nil {
		l = &lane{health: outbox.Lane{Name: name}}
		s.lanes[name] = l
	}
	return l
}

// addRow takes a waiting row into its lane. mu is held.
func (s *Store) addRow(r *row) {
	l := s.laneOf(r.lane)
	i, _ := slices.BinarySearchFunc(l.rows, r.order, byOrder)
	l.rows = slices.Insert(l.rows, i, r)
	s.rows[r.id] = r
	s.noteWave(r.lane, r.group, r.holdFor, r.hold)
}

// removeRow takes out a row that no longer waits. mu is held.
func (s *Store) removeRow(r *row) {
	l := s.laneOf(r.lane)
	if i, found := slices.BinarySearchFunc(l.rows, r.order, byOrder); found {
		l.rows = slices.Delete(l.rows, i, i+1)
	}
	delete(s.rows, r.id)
	s.forgetWave(r)
}

func byOrder(r *row, order uint64) int { return cmp.Compare(r.order, order) }

// rewrite changes a stored row. A damaged one is a *DamagedError.
func rewrite(tx *bbolt.Tx, id string, change func(*storedRow)) (storedRow, error) {
	st, found, err := getJSON[storedRow](tx, deliveriesBucket, []byte(id))
	if err != nil {
		return st, err
	}
	if !found {
		return st, &DamagedError{Bucket: string(deliveriesBucket), Key: id, Reason: "missing"}
	}
	change(&st)
	return st, putJSON(tx, deliveriesBucket, []byte(id), &st)
}
