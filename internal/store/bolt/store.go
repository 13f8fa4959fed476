package bolt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"basewatch/internal/outbox"
	"basewatch/internal/store/boltfile"
	"basewatch/watcher"
)

// The errors that callers tell apart.
var (
	// ErrLocked: another process has the file.
	ErrLocked = boltfile.ErrLocked
	// ErrReadOnly: the store was opened with Options.ReadOnly.
	ErrReadOnly = errors.New("the store is open for reading only")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("the store is closed")
)

// Store is an open file. All methods are safe for concurrent use; after Close
// they return ErrClosed. What changes something returns ErrReadOnly when the
// store was opened for reading.
type Store struct {
	db    *bbolt.DB
	opts  Options
	log   *slog.Logger
	found boltfile.Found // at the path, before Open
	plan  atomic.Pointer[func(watcher.Event) []outbox.Delivery]

	// write is held over each transaction and what it does to memory; a
	// channel so that waiting for it can be cancelled. Taken before mu.
	write chan struct{}

	mu      sync.Mutex
	queue   []*ticket // writes that wait to share a transaction
	looks   map[string]*look
	odd     map[string]string // digests seen that are not sha256
	hosts   map[string]*hostQueue
	configs configs
	dirty   []*look
	token   uint64 // the last one given, to targets and rows alike
	rows    map[string]*row
	lanes   map[string]*lane
	waves   map[string]int64 // lane and group → until when rows are held for it
	wrote   time.Time        // when a transaction last ended
	failed  error            // how, when not well
	outage  outage

	alarm chan struct{} // wakes the keeper: the disk has refused a write

	closed   atomic.Bool
	closing  sync.Once
	closeErr error
	stop     context.CancelFunc
	running  sync.WaitGroup // the flusher and the keeper
}

// Created reports whether Open made the file.
func (s *Store) Created() bool { return s.found != boltfile.Present }

// Lost reports whether Open made the file in the place of one that was lost.
func (s *Store) Lost() bool { return s.found == boltfile.Lost }

// Path is the file's path as it was given.
func (s *Store) Path() string { return s.opts.Path }

// Version is the version of the file's schema.
func (s *Store) Version() int { return schemaVersion }

// SetPlan replaces the plan that Open was given, for events from now on.
func (s *Store) SetPlan(plan func(watcher.Event) []outbox.Delivery) { s.plan.Store(&plan) }

// Close writes what is still unwritten and lets go of the file. It waits for
// transactions under way; calling it again returns the same.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.stop()
		s.running.Wait()
		s.write <- struct{}{}
		defer func() { <-s.write }()
		s.closed.Store(true)
		s.closeErr = errors.Join(s.lastWrites(), s.db.Close())
	})
	return s.closeErr
}

// lastWrites leaves the file in order. On a disk that takes no writes the looks
// that are unwritten will be made again: that is no reason to fail.
func (s *Store) lastWrites() error {
	if s.opts.ReadOnly {
		return nil
	}
	if err := s.flush(); err != nil {
		s.mu.Lock()
		ailing := s.outage.on()
		s.mu.Unlock()
		if !ailing {
			return err
		}
		s.log.Warn("stopped without writing down the latest unchanged looks; they are made again", "path", s.opts.Path, "err", err)
	}
	if err := boltfile.Closed(s.opts.Path); err != nil {
		s.log.Warn("the store will be checked at the next start", "path", s.opts.Path, "err", err)
	}
	return nil
}

func (s *Store) usable(ctx context.Context) error {
	if s.closed.Load() {
		return ErrClosed
	}
	return ctx.Err()
}

func (s *Store) writable(ctx context.Context) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if s.opts.ReadOnly {
		return ErrReadOnly
	}
	return nil
}

func (s *Store) onWork() {
	if s.opts.OnWork != nil {
		s.opts.OnWork()
	}
}

func (s *Store) onTargets() {
	if s.opts.OnTargets != nil {
		s.opts.OnTargets()
	}
}

// exclusive takes the right to write; the caller gives it back with release.
func (s *Store) exclusive(ctx context.Context) (release func(), err error) {
	if err := s.writable(ctx); err != nil {
		return nil, err
	}
	select {
	case s.write <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.closed.Load() {
		<-s.write
		return nil, ErrClosed
	}
	return func() { <-s.write }, nil
}

// update runs one durable transaction. write is held. What the disk refuses,
// and not fn, begins an outage.
func (s *Store) update(fn func(tx *bbolt.Tx) error) (err error) {
	var wrong error // what fn found
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wrote, s.failed = time.Now(), err
	}()
	defer s.survive(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	err = s.db.Update(func(tx *bbolt.Tx) error {
		wrong = fn(tx)
		return wrong
	})
	if err == nil {
		return nil
	}
	err = fmt.Errorf("store %s: %w", s.opts.Path, err)
	if wrong == nil {
		s.refusedByDisk(err)
	}
	return err
}

// view runs one short reading transaction: no call to anybody within.
func (s *Store) view(ctx context.Context, fn func(tx *bbolt.Tx) error) (err error) {
	if err := s.usable(ctx); err != nil {
		return err
	}
	defer s.survive(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	if err := s.db.View(fn); err != nil {
		return fmt.Errorf("store %s: %w", s.opts.Path, err)
	}
	return nil
}

// survive makes a panic an error: bbolt panics on a damaged page, and touching
// a page beyond the end of a truncated file is a fault.
func (s *Store) survive(err *error) {
	if r := recover(); r != nil {
		s.log.Error("panic within a store transaction", "path", s.opts.Path, "panic", r, "stack", string(debug.Stack()))
		*err = fmt.Errorf("store %s: panic within a transaction, the file may be damaged: %v", s.opts.Path, r)
	}
}
