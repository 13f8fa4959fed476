package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"basewatch/internal/outbox"
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
	// Plan says which deliveries an event means. It is called within the
	// transaction that stores the event, so it is pure: no I/O, no lock that a
	// caller of the store may hold. Nil: none.
	Plan func(watcher.Event) []outbox.Delivery
	// OnWork is called when rows may have become due, OnTargets when targets
	// may have. Hints: never blocking, after the transaction. Nil: nobody.
	OnWork, OnTargets func()
	// FlushEvery is how often unchanged looks are written; 0: 2 minutes.
	FlushEvery time.Duration
	// Logger; nil: nowhere.
	Logger *slog.Logger
}

const (
	flushEvery = 2 * time.Minute
	lockMoment = 500 * time.Millisecond // a process that is just ending lets go within
	lockRetry  = 50 * time.Millisecond

	// mmapBytes are reserved addresses, not memory. As long as the file fits,
	// a reader never keeps a writer waiting for a larger mapping.
	mmapBytes = 256 << 20
	// growBytes is how much the file grows at a time. bbolt's own 16 MiB would
	// make each small store look like that.
	growBytes = 1 << 20
)

// Open opens the file, or makes it. Its errors name the path and the remedy,
// and leave a file that is not ours as it was. A file that another process has
// open is [ErrLocked], after LockWait, else within a second.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.FlushEvery <= 0 {
		o.FlushEvery = flushEvery
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	created, err := prepare(o)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", o.Path, err)
	}
	db, err := openLocked(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", o.Path, err)
	}
	s := &Store{
		db: db, opts: o, log: o.Logger, created: created,
		write: make(chan struct{}, 1), stopped: make(chan struct{}),
		looks: make(map[string]*look), odd: make(map[string]string), configs: make(configs),
		rows: make(map[string]*row), lanes: make(map[string]*lane),
	}
	s.SetPlan(o.Plan)
	if err := s.load(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	// The flusher outlives ctx, which is for opening: Close ends it.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go s.flusher(background)
	return s, nil
}

// prepare checks what is at the path, and makes a new file when it may.
func prepare(o Options) (created bool, err error) {
	info, err := os.Stat(o.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && o.ReadOnly:
		return false, fmt.Errorf("%w; `basewatch run` makes it", fs.ErrNotExist)
	case errors.Is(err, fs.ErrNotExist):
		return create(o.Path)
	case err != nil:
		return false, err
	case info.IsDir():
		return false, errors.New("it is a directory; set store.path to a file in it")
	case !info.Mode().IsRegular():
		return false, errors.New("it is not a regular file; set store.path to another one")
	case info.Size() == 0:
		return false, errors.New("the file is empty, what it held is lost; restore a copy, or remove it to start anew (first sights are baselines then)")
	}
	return false, nil
}

// openLocked opens the file as soon as its lock is free.
func openLocked(ctx context.Context, o Options) (*bbolt.DB, error) {
	deadline := time.Now().Add(max(o.LockWait, lockMoment))
	for {
		db, err := openOnce(o.Path, o.ReadOnly)
		if !errors.Is(err, bolterrors.ErrTimeout) {
			return db, explain(err)
		}
		if !time.Now().Before(deadline) {
			return nil, fmt.Errorf("%w; stop that one, or set store.lock_wait to wait for it", ErrLocked)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for its lock: %w", ctx.Err())
		case <-time.After(lockRetry):
		}
	}
}

// openOnce tries the lock once. What a damaged file makes bbolt panic about is
// an error.
func openOnce(path string, readOnly bool) (db *bbolt.DB, err error) {
	var file *os.File
	defer func() {
		if r := recover(); r != nil {
			_ = file.Close() // and with it the lock, which bbolt still has
			db, err = nil, fmt.Errorf("%w: %v", bolterrors.ErrInvalid, r)
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:         time.Millisecond, // one try; bbolt's own waiting cannot be cancelled
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: mmapBytes,
		ReadOnly:        readOnly,
		OpenFile: func(path string, flag int, mode os.FileMode) (f *os.File, err error) {
			// Without O_CREATE: prepare has made the file, or found one.
			file, err = os.OpenFile(path, flag&^os.O_CREATE, mode)
			return file, err
		},
	})
	if err == nil {
		db.AllocSize = growBytes
	}
	return db, err
}

// explain adds the remedy.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; let this user read and write it, or set store.path to another file", err)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		return fmt.Errorf("this is no basewatch store, or a damaged one (%w); restore a copy, or set store.path to another file", err)
	default:
		return err
	}
}
