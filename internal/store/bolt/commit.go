package bolt

import (
	"context"

	"go.etcd.io/bbolt"
)

// op is a write that may share its transaction with others.
type op interface {
	// stage reserves in memory what the write is about and writes it. It runs
	// again, after abort, when the shared transaction failed.
	stage(tx *bbolt.Tx) error
	// apply takes the write over into memory once it is durable.
	apply()
	// abort frees what stage reserved, if it ran.
	abort()
}

// ticket is an op that waits for its transaction.
type ticket struct {
	op   op
	done chan struct{} // closed when err is final
	err  error
}

// commit makes o durable. Whoever gets the right to write first writes for all
// that wait then: while one transaction is on its way to the disk, the next
// one gathers.
func (s *Store) commit(ctx context.Context, o op) error {
	t := &ticket{op: o, done: make(chan struct{})}
	s.mu.Lock()
	s.queue = append(s.queue, t)
	s.mu.Unlock()
	select {
	case s.write <- struct{}{}:
		s.drain()
		<-s.write
	case <-t.done:
	case <-ctx.Done():
		if s.withdraw(t) {
			return ctx.Err()
		}
	}
	<-t.done
	return t.err
}

// withdraw takes t out of the queue, unless it is being written already.
func (s *Store) withdraw(t *ticket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, q := range s.queue {
		if q == t {
			s.queue = append(s.queue[:i], s.queue[i+1:]...)
			return true
		}
	}
	return false
}

// drain writes all that waits, in one transaction; when that fails, each by
// itself, so that one bad write harms no other. A full disk makes room first,
// for those that may have it. write is held.
func (s *Store) drain() {
	s.mu.Lock()
	all := s.queue
	s.queue = nil
	s.mu.Unlock()
	err := s.commitAll(all)
	room := err != nil && s.ailing() && s.lighten()
	for _, t := range all {
		t.err = err
		if err != nil && (room || len(all) > 1) {
			t.err = s.commitAll([]*ticket{t})
		}
		close(t.done)
	}
}

func (s *Store) commitAll(all []*ticket) error {
	if len(all) == 0 {
		return nil
	}
	if s.closed.Load() {
		return ErrClosed
	}
	err := s.update(func(tx *bbolt.Tx) error {
		for _, t := range all {
			if err := t.op.stage(tx); err != nil {
				return err
			}
		}
		return nil
	})
	for _, t := range all {
		if err != nil {
			t.op.abort()
			continue
		}
		t.op.apply()
	}
	return err
}
