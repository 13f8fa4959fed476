package boltfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"go.etcd.io/bbolt"
)

// Found is what is at a path.
type Found int

// What [Find] finds.
const (
	Nothing Found = iota // and nothing is known to have been
	Present
	Lost // a file was there; it is gone, or empty
)

// Find says what is at a path, and refuses what can be no store.
func Find(path string) (Found, error) {
	marked, err := Marked(path)
	if err != nil {
		return Nothing, err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && marked:
		return Lost, nil
	case errors.Is(err, fs.ErrNotExist):
		return Nothing, nil
	case err != nil:
		return Nothing, err
	case info.IsDir():
		return Nothing, errors.New("it is a directory; set store.path to a file in it")
	case !info.Mode().IsRegular():
		return Nothing, errors.New("it is not a regular file; set store.path to another one")
	case info.Size() == 0 && marked:
		return Lost, nil
	case info.Size() == 0:
		return Nothing, errors.New("the file is empty, what it held is lost; restore a copy, or remove it to start anew (first sights are baselines then)")
	}
	return Present, nil
}

// Create makes a new file at path, filled by fill, so that a crash leaves
// either nothing there or all of it: bbolt's own first write is not safe in
// that way. An empty file there is replaced. Another process may be quicker;
// then created is false.
func Create(path string, network bool, fill func(tx *bbolt.Tx) error) (created bool, err error) {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("there is no directory %s; make it, or set store.path to another one", dir)
	}
	if err := local(path, network); err != nil {
		return false, err
	}
	temp, err := os.CreateTemp(dir, filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return false, fmt.Errorf("make a file in %s: %w; let this user write there, or set store.path to another directory", dir, err)
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	if err := errors.Join(temp.Close(), initialize(temp.Name(), fill)); err != nil {
		return false, fmt.Errorf("make a new store: %w", err)
	}
	if err := removeEmpty(path); err != nil {
		return false, err
	}
	// A link, unlike a rename, never replaces a file that has come meanwhile.
	err = os.Link(temp.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil { // a file system without links
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return false, fmt.Errorf("put the new store in place: %w", err)
	}
	// The marker comes last: one without a file would tell of a loss.
	if err := errors.Join(syncDir(dir), Closed(path)); err != nil {
		return true, err
	}
	return true, syncDir(dir)
}

// initialize fills the empty file at path.
func initialize(path string, fill func(tx *bbolt.Tx) error) error {
	db, err := openOnce(path, Options{})
	if err != nil {
		return err
	}
	return errors.Join(db.Update(fill), db.Sync(), db.Close())
}

// removeEmpty takes an empty file out of the way. Under its lock, so that of
// two processes none removes what the other has just made.
func removeEmpty(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := flock(f, syscall.LOCK_EX); err != nil {
		return nil // somebody works on it
	}
	info, err := f.Stat()
	if err != nil || info.Size() > 0 || replaced(path, f) {
		return err
	}
	return os.Remove(path)
}

// syncDir makes a new name in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open directory %s: %w", dir, err)
	}
	return errors.Join(d.Sync(), d.Close())
}
