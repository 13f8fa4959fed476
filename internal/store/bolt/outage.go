package bolt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"basewatch/watcher"
)

// An outage is a time in which the disk takes no writes: it is full, the file
// has reached its bound, or something is broken. Meanwhile nothing new is
// recorded, so that the room that is left serves what must be recorded of
// deliveries; the keeper tries until there is room again. An outage that lasts
// is told once, and so is its end.
type outage struct {
	since time.Time // zero: none
	err   error     // the last refusal; nil: it takes writes again
	why   string    // that one, for people
	well  time.Time // since when it takes writes again
	told  bool
}

const (
	healEvery = 10 * time.Second
	// What is shorter is not worth a message; what comes back sooner is the
	// same outage.
	worthTelling = 30 * time.Second
)

// storedOutage is what is kept of one that people were told of.
type storedOutage struct {
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
}

// on reports whether the disk takes no writes now.
func (o *outage) on() bool { return o.err != nil }

// refusedByDisk begins an outage, or goes on with the one that has just ended.
func (s *Store) refusedByDisk(err error) {
	s.mu.Lock()
	began := !s.outage.on()
	if s.outage.since.IsZero() {
		s.outage.since = time.Now().UTC()
	}
	s.outage.err, s.outage.why, s.outage.well = err, reasonOf(err), time.Time{}
	s.mu.Unlock()
	if began {
		s.log.Error("the disk takes no writes; nothing new is recorded until it does, what is known goes on being delivered",
			"path", s.opts.Path, "err", err)
	}
	select {
	case s.alarm <- struct{}{}:
	default:
	}
}

// ailing reports whether an outage is on.
func (s *Store) ailing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outage.on()
}

// refused is the error for what is new during an outage; nil: there is none.
func (s *Store) refused() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.outage.on() {
		return nil
	}
	return fmt.Errorf("nothing new is recorded while the disk takes no writes: %w", s.outage.err)
}

// loadOutage reads an outage whose end nobody was told of. It counts as on
// until the disk has proved otherwise.
func (s *Store) loadOutage(tx *bbolt.Tx) error {
	o, found, err := getJSON[storedOutage](tx, metaBucket, []byte(metaOutage))
	if found {
		s.outage = outage{since: o.Since, err: errors.New(o.Reason), why: o.Reason, told: true}
	}
	return ignoreDamage(err)
}

// restock takes the ballast when Open did not find it, and tries the disk when
// the last process left it failing. That the disk refuses is no error: the
// outage begins, or goes on.
func (s *Store) restock(ctx context.Context) error {
	stocked := false
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		stocked = tx.Bucket([]byte(ballastBucket)) != nil
		return nil
	})
	if err != nil || stocked && !s.ailing() {
		return err
	}
	if s.reload() == nil {
		s.recovered()
	}
	return nil
}

// heal is one step of an outage: try whether the disk takes writes, tell what
// is owed. It reports whether the outage is over. write is held.
func (s *Store) heal(ctx context.Context, step int) bool {
	if s.ailing() {
		s.lighten()
		s.shrink(ctx, step)
		if s.reload() == nil {
			s.recovered()
			s.onTargets()
			s.onWork()
		}
	}
	s.mu.Lock()
	o, now := s.outage, time.Now().UTC()
	s.mu.Unlock()
	if o.since.IsZero() {
		return true
	}
	ended, steady := now, false
	if !o.on() {
		ended, steady = o.well, now.Sub(o.well) >= worthTelling
	}
	switch {
	case !o.told && ended.Sub(o.since) >= worthTelling:
		s.tell(&o, watcher.Failing, now)
		return false
	case steady && o.told:
		return s.tell(&o, watcher.Recovered, now) && s.over()
	}
	return steady && s.over()
}

// recovered notes that the disk takes writes, if it did not.
func (s *Store) recovered() {
	s.mu.Lock()
	was := s.outage.on()
	if was {
		s.outage.err, s.outage.well = nil, time.Now().UTC()
	}
	s.mu.Unlock()
	if was {
		s.log.Info("the disk takes writes again", "path", s.opts.Path)
	}
}

func (s *Store) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage = outage{}
	return true
}

// tell records the event of an outage, or of its end, with the deliveries that
// it means.
func (s *Store) tell(o *outage, kind watcher.Kind, now time.Time) bool {
	e := watcher.Event{Kind: kind, Ref: watcher.StoreRef, At: now, Since: o.since, Problem: watcher.StoreUnwritable, Reason: o.why}
	e.Identify()
	var rows []*row
	err := s.update(func(tx *bbolt.Tx) (err error) {
		if rows, err = s.insertEvents(tx, []watcher.Event{e}, now); err != nil {
			return err
		}
		if kind == watcher.Recovered {
			return drop(tx, metaBucket, []byte(metaOutage))
		}
		return putJSON(tx, metaBucket, []byte(metaOutage), storedOutage{Since: o.since, Reason: e.Reason})
	})
	if err != nil {
		return false // once it can be recorded
	}
	s.mu.Lock()
	s.outage.told = kind == watcher.Failing
	for _, w := range rows {
		s.addRow(w)
	}
	s.mu.Unlock()
	s.onWork()
	return true
}

// reasonOf is the cause of a refusal in the operating system's words, for
// people: where the store is they know.
func reasonOf(err error) string {
	if errors.Is(err, bolterrors.ErrMaxSizeReached) {
		return "the store has reached store.max_size"
	}
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(next) {
		err = next
	}
	return err.Error()
}
