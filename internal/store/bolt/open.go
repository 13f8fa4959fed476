package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"go.etcd.io/bbolt"

	"basewatch/internal/outbox"
	"basewatch/internal/store"
	"basewatch/internal/store/boltfile"
	"basewatch/watcher"
)

// Options open a store.
type Options struct {
	// Path of the file. It is made when it does not exist; its directory is
	// not.
	Path string
	// LockWait is how long to wait for another process to let go of the file;
	// 0: a moment only.
	LockWait time.Duration
	// ReadOnly opens an existing file without changing a byte of it.
	ReadOnly bool
	// MaxSize bounds the file in bytes; 0: the disk does. At the bound history
	// is shortened and what is new waits, as on a full disk.
	MaxSize int64
	// Network allows file systems that bbolt does not work on reliably.
	Network bool
	// Check is asked whether a file is sound that was not closed in order or was
	// touched since; it calls [Check] in another process and gives its error.
	// Nil: nobody is asked.
	Check func(ctx context.Context, path string) error
	// Plan says which deliveries an event means. It is called within the
	// transaction that stores the event, so it is pure: no I/O, no lock that a
	// caller of the store may hold. Nil: none.
	Plan func(watcher.Event) []outbox.Delivery
	// OnWork is called when rows may have become due, OnTargets when targets
	// may have. Hints: never blocking, after the transaction. Nil: nobody.
	OnWork, OnTargets func()
	// FlushEvery is how often unchanged looks are written; 0: 2 minutes.
	FlushEvery time.Duration
	// Limits say what is kept of the past; the zero value: [store.DefaultLimits].
	Limits store.Limits
	// Logger; nil: nowhere.
	Logger *slog.Logger
}

const flushEvery = 2 * time.Minute

// complete puts in the defaults.
func (o *Options) complete() {
	if o.FlushEvery <= 0 {
		o.FlushEvery = flushEvery
	}
	if o.Limits == (store.Limits{}) {
		o.Limits = store.DefaultLimits()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Open opens the file, or makes it. Its errors name the path and the remedy,
// and leave a file that is not ours as it was. A file that another process has
// open is [ErrLocked], after LockWait, else within a second.
//
// Where a file is known to have been and is gone, or empty, a new one is made
// that tells so ([Store.Lost]): one failing event about [watcher.StoreRef],
// planned like any other.
func Open(ctx context.Context, o Options) (*Store, error) {
	o.complete()
	found, err := prepare(o)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", o.Path, err)
	}
	s := &Store{
		opts: o, log: o.Logger, found: found,
		write: make(chan struct{}, 1), alarm: make(chan struct{}, 1),
		looks: make(map[string]*look), odd: make(map[string]string), configs: make(configs),
		rows: make(map[string]*row), lanes: make(map[string]*lane), waves: make(map[string]int64),
	}
	s.SetPlan(o.Plan)
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	// What runs besides outlives ctx, which is for opening: Close ends it.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	if !o.ReadOnly {
		s.running.Go(func() { s.flusher(background) })
		s.running.Go(func() { s.keeper(background) })
	}
	return s, nil
}

// prepare sees what is at the path, and makes a new file when it may. It gives
// what was there.
func prepare(o Options) (boltfile.Found, error) {
	found, err := boltfile.Find(o.Path)
	switch {
	case err != nil || found == boltfile.Present:
		return found, err
	case o.ReadOnly && found == boltfile.Lost:
		return found, fmt.Errorf("%w: the store is lost; put a copy in its place, or let `basewatch run` make a new one", fs.ErrNotExist)
	case o.ReadOnly:
		return found, fmt.Errorf("%w; `basewatch run` makes it", fs.ErrNotExist)
	}
	created, err := boltfile.Create(o.Path, o.Network, func(tx *bbolt.Tx) error { return initialize(tx, found) })
	if !created {
		found = boltfile.Present // another process was quicker
	}
	return found, err
}

// initialize writes an empty store.
func initialize(tx *bbolt.Tx, found boltfile.Found) error {
	for _, b := range buckets() {
		if _, err := tx.CreateBucket([]byte(b)); err != nil {
			return err
		}
	}
	if found == boltfile.Lost {
		// Written with the file, so that no crash keeps it from being told.
		if err := putJSON(tx, metaBucket, []byte(metaLost), time.Now().UTC()); err != nil {
			return err
		}
	}
	if err := fillBallast(tx); err != nil {
		return err
	}
	return putJSON(tx, metaBucket, []byte(metaSchema), schemaVersion)
}

// open opens the file, brings it to this version, and reads into memory what is
// kept there. A large file that is mostly free is written anew before that.
func (s *Store) open(ctx context.Context) (err error) {
	o := boltfile.Options{LockWait: s.opts.LockWait, ReadOnly: s.opts.ReadOnly, MaxSize: s.opts.MaxSize, Network: s.opts.Network, Check: s.opts.Check}
	if s.db, err = boltfile.Open(ctx, s.opts.Path, o); err != nil {
		return fmt.Errorf("store %s: %w", s.opts.Path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.db.Close())
		}
	}()
	if err := s.migrate(ctx, migrations()); err != nil {
		return err
	}
	if s.opts.ReadOnly {
		return s.load(ctx)
	}
	if err := s.compact(ctx, o); err != nil {
		return err
	}
	if err := boltfile.Mark(s.opts.Path); err != nil {
		return fmt.Errorf("store %s: %w", s.opts.Path, err)
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	if err := s.begin(); err != nil {
		return err
	}
	return s.restock(ctx)
}

// compact writes the file anew when that is worth it. When that fails the
// store goes on as it is.
func (s *Store) compact(ctx context.Context, o boltfile.Options) error {
	done, err := boltfile.Compact(s.db, s.log)
	if err != nil {
		s.log.Warn("the store goes on as it is", "path", s.opts.Path, "err", err)
	}
	if !done {
		return nil
	}
	o.Check = nil // we have just written it
	db, err := boltfile.Open(ctx, s.opts.Path, o)
	if err != nil {
		return fmt.Errorf("store %s: %w", s.opts.Path, err)
	}
	old := s.db
	s.db = db
	return old.Close()
}
