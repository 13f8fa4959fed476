package boltfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// ErrLocked says that another process has the file.
var ErrLocked = errors.New("another process has it open (a running daemon, probably)")

// Options open a file.
type Options struct {
	// LockWait is how long to wait for another process to let go of the file;
	// 0: a moment only.
	LockWait time.Duration
	// ReadOnly opens it without changing a byte.
	ReadOnly bool
	// MaxSize bounds the file in bytes; 0: the disk does.
	MaxSize int64
	// Network allows file systems that bbolt's authors warn of; see [Open].
	Network bool
	// Check is asked whether a file is sound that nobody is known to have
	// closed in order, or that was touched since: it calls [Check] in a process
	// of its own and gives its error. Nil: nobody is asked.
	Check func(ctx context.Context, path string) error
	// Logger; nil: nowhere.
	Logger *slog.Logger
}

const (
	lockMoment = 500 * time.Millisecond // a process that is just ending lets go within
	lockRetry  = 50 * time.Millisecond
	// patience is how long the operating system may take for one call: a dead
	// network file system blocks for ever.
	patience = 20 * time.Second

	// growBytes is how much the file grows at a time. bbolt's own 16 MiB would
	// make each small store look like that.
	growBytes = 1 << 20
	// mmapBytes are reserved addresses, not memory. As long as the file fits,
	// a reader never keeps a writer waiting for a larger mapping.
	mmapBytes = 256 << 20
	// mmapTimes is how much larger than the file that mapping is at least.
	mmapTimes = 4
)

// Open opens an existing file. Its errors carry the remedy and leave a file
// that is not ours as it was. A file that another process has open is
// [ErrLocked], after LockWait, else within a second. Network file systems, and
// those in user space, are refused within a second unless Network is set:
// their locks and their order of writes are not what bbolt needs.
func Open(ctx context.Context, path string, o Options) (*bbolt.DB, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := answered(ctx, func() error { return local(path, o.Network) }); err != nil {
		return nil, err
	}
	a := attempt{path: path, o: o}
	deadline := time.Now().Add(max(o.LockWait, lockMoment))
	for {
		db, err := a.open(ctx)
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

// attempt is one way to the lock; it remembers what it has had checked.
type attempt struct {
	path  string
	o     Options
	sound Stamp // what the file was when it was checked
}

// open tries once; a lock that somebody has is bbolt's ErrTimeout.
func (a *attempt) open(ctx context.Context) (db *bbolt.DB, err error) {
	if err := a.check(ctx); err != nil {
		return nil, err
	}
	err = answered(ctx, func() error {
		db, err = openOnce(a.path, a.o)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := whole(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// check has the file checked, unless it is as its last owner left it.
func (a *attempt) check(ctx context.Context) error {
	if a.o.Check == nil {
		return nil
	}
	if err := answered(ctx, func() error { return free(a.path, a.o.ReadOnly) }); err != nil {
		return err
	}
	now, err := stampOf(a.path)
	if err != nil || now == a.sound || now == closedAs(a.path) {
		return err
	}
	err = a.o.Check(ctx, a.path)
	if errors.Is(err, ErrLocked) {
		return bolterrors.ErrTimeout // somebody was quicker
	}
	if err == nil {
		a.sound = now
	}
	return err
}

// answered runs one call that the disk may never answer. What still runs after
// that is left behind: nothing can end it.
func answered(ctx context.Context, call func() error) error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-late.C:
		return fmt.Errorf("the file system does not answer within %s; is it a network mount whose server is gone? Set store.path to a local disk", patience)
	}
}

// openOnce tries the lock once. What a damaged file makes bbolt panic about is
// an error.
func openOnce(path string, o Options) (db *bbolt.DB, err error) {
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
		InitialMmapSize: mapping(path),
		MaxSize:         int(min(o.MaxSize, int64(^uint(0)>>1))),
		ReadOnly:        o.ReadOnly,
		OpenFile: func(path string, flag int, mode os.FileMode) (f *os.File, err error) {
			// Without O_CREATE: Create has made the file, or found one.
			file, err = os.OpenFile(path, flag&^os.O_CREATE, mode)
			return file, err
		},
	})
	if err != nil {
		return nil, err
	}
	db.AllocSize = growBytes
	if replaced(path, file) {
		return nil, errors.Join(bolterrors.ErrTimeout, db.Close())
	}
	return db, nil
}

// replaced reports that another file has taken the name while we waited for
// the lock of this one (a compaction, a restored copy).
func replaced(path string, file *os.File) bool {
	ours, err := file.Stat()
	theirs, nameErr := os.Stat(path)
	return err == nil && nameErr == nil && !os.SameFile(ours, theirs)
}

// mapping is how many addresses to reserve.
func mapping(path string) int {
	info, err := os.Stat(path)
	if err != nil || strconv.IntSize < 64 {
		return mmapBytes
	}
	return max(mmapBytes, int(info.Size())*mmapTimes)
}

// whole refuses a file that ends before its own count of pages.
func whole(db *bbolt.DB) error {
	info, err := os.Stat(db.Path())
	if err != nil {
		return err
	}
	return db.View(func(tx *bbolt.Tx) error {
		if info.Size() < tx.Size() {
			return fmt.Errorf("%w: it ends after %d of at least %d bytes; %s", ErrDamaged, info.Size(), tx.Size(), RestoreHint(db.Path()))
		}
		return nil
	})
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
