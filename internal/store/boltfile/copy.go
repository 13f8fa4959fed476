package boltfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// Copy writes a consistent copy to w while others go on reading and writing. It
// holds a reading transaction meanwhile, so w must be quick: a local file,
// never a connection. It ends with ctx.
func Copy(ctx context.Context, db *bbolt.DB, w io.Writer) error {
	return db.View(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(cancelled{ctx, w})
		return err
	})
}

// cancelled is a writer that ends with its context.
type cancelled struct {
	ctx context.Context
	w   io.Writer
}

func (c cancelled) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}

// CopyTo makes a durable copy at path, which it replaces as a whole.
func CopyTo(ctx context.Context, db *bbolt.DB, path string) error {
	return replace(path, func(temp *os.File) error { return Copy(ctx, db, temp) })
}

// replace writes a file beside path and puts it in its place once it is whole
// and durable.
func replace(path string, write func(temp *os.File) error) error {
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	if err := errors.Join(write(temp), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return Rename(temp.Name(), path)
}

// Rename puts a file in its place, durably.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

const (
	// A file is written anew when more than half of it is free and it is larger
	// than compactBytes: a smaller one is not worth the start's delay.
	compactBytes = 64 << 20
	compactBatch = 1 << 20 // bytes in one transaction
)

// Compact writes a file anew, without its free pages, when that is worth it. db
// is the file opened for writing; it stays open, and done says that it is now
// another one than at its path: close it and open that.
func Compact(db *bbolt.DB, log *slog.Logger) (done bool, err error) {
	info, err := os.Stat(db.Path())
	if err != nil {
		return false, err
	}
	free, err := freeBytes(db)
	if err != nil || info.Size() < compactBytes || free*2 < info.Size() {
		return false, err
	}
	err = replace(db.Path(), func(temp *os.File) error { return compactInto(temp.Name(), db) })
	if err != nil {
		return false, fmt.Errorf("compact %s: %w", db.Path(), err)
	}
	after, err := os.Stat(db.Path())
	if err != nil {
		return true, err
	}
	log.Info("store compacted", "path", db.Path(), "bytes_before", info.Size(), "bytes_after", after.Size())
	return true, nil
}

func compactInto(path string, db *bbolt.DB) error {
	dst, err := openOnce(path, Options{})
	if err != nil {
		return err
	}
	return errors.Join(bbolt.Compact(dst, db, compactBatch), dst.Sync(), dst.Close())
}

// freeBytes is how much of the file is in no use. bbolt counts it at the end of
// a writing transaction.
func freeBytes(db *bbolt.DB) (int64, error) {
	tx, err := db.Begin(true)
	if err != nil {
		return 0, err
	}
	if err := tx.Rollback(); err != nil {
		return 0, err
	}
	s := db.Stats()
	return int64(s.FreePageN+s.PendingPageN) * int64(db.Info().PageSize), nil
}
