package bolt

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// touch marks a look to be flushed. mu is held.
func (s *Store) touch(l *look) {
	if !l.is(dirty) {
		l.set(dirty, true)
		s.dirty = append(s.dirty, l)
	}
}

// flusher writes unchanged looks together, every so often, until ctx ends.
func (s *Store) flusher(ctx context.Context) {
	tick := time.NewTicker(s.opts.FlushEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		release, err := s.exclusive(ctx)
		if err != nil {
			return
		}
		if !s.ailing() { // rewriting many pages needs room that others need more
			err = s.flush()
		}
		release()
		if err != nil && !failing {
			s.log.Error("looks cannot be written; they are kept and tried again", "path", s.opts.Path, "err", err)
		}
		failing = err != nil
	}
}

// flush writes the looks that are dirty, all in one transaction and in the
// order of their keys, so that each page is written once. write is held.
func (s *Store) flush() error {
	batch, values := s.unwritten()
	if len(batch) == 0 {
		return nil
	}
	err := s.update(func(tx *bbolt.Tx) error {
		for i, l := range batch {
			if err := put(tx, looksBucket, []byte(l.ref), values[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, l := range batch {
			s.touch(l)
		}
	}
	return err
}

// unwritten takes the dirty looks, with what is to be written of each.
func (s *Store) unwritten() (batch []*look, values [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.dirty
	s.dirty = nil
	batch = slices.DeleteFunc(all, func(l *look) bool { return !l.is(dirty) })
	slices.SortFunc(batch, func(a, b *look) int { return strings.Compare(a.ref, b.ref) })
	batch = slices.Compact(batch)
	for _, l := range batch {
		l.set(dirty, false)
		values = append(values, l.encode(s.odd[l.ref]))
	}
	return batch, values
}
