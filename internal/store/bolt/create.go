package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// create makes a new, empty store at path so that a crash leaves either
// nothing there or all of it: bbolt's own first write is not safe in that way.
// Another process may be quicker; then created is false.
func create(path string) (created bool, err error) {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("there is no directory %s; make it, or set store.path to another one", dir)
	}
	temp, err := os.CreateTemp(dir, filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return false, fmt.Errorf("make a file in %s: %w; let this user write there, or set store.path to another directory", dir, err)
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	if err := errors.Join(temp.Close(), initialize(temp.Name())); err != nil {
		return false, fmt.Errorf("make a new store: %w", err)
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
	return true, syncDir(dir)
}

// initialize writes an empty store into the empty file at path.
func initialize(path string) error {
	db, err := openOnce(path, false)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, b := range buckets() {
			if _, err := tx.CreateBucket([]byte(b)); err != nil {
				return err
			}
		}
		return putJSON(tx, metaBucket, []byte(metaSchema), schemaVersion)
	})
	return errors.Join(err, db.Sync(), db.Close())
}

// syncDir makes a new name in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open directory %s: %w", dir, err)
	}
	return errors.Join(d.Sync(), d.Close())
}
