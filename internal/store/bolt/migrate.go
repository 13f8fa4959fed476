package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"basewatch/internal/store/boltfile"
)

// migration brings a file of one version to the next. It changes what is in
// the transaction and nothing else, so that it is made as a whole or not at
// all.
type migration func(tx *bbolt.Tx) error

// migrations are the steps to schemaVersion; the first is from version 1 to 2.
// There is no way back but the copy that is made before.
func migrations() []migration { return nil }

// copyName is where the copy of an older version is kept.
func copyName(path string, version int) string { return fmt.Sprintf("%s.v%d", path, version) }

// migrate brings the file to the version that steps lead to: all of them in one
// transaction, after a copy. A file of a later version is refused, and so is
// one of an earlier version when it may only be read.
func (s *Store) migrate(ctx context.Context, steps []migration) error {
	newest := 1 + len(steps)
	version := 0
	err := s.view(ctx, func(tx *bbolt.Tx) (err error) {
		version, err = schemaOf(tx)
		if err == nil && version == newest {
			err = complete(tx)
		}
		return err
	})
	switch {
	case err != nil || version == newest:
		return err
	case version > newest:
		return fmt.Errorf("store %s: %w", s.opts.Path, newerSchema(s.opts.Path, version, newest))
	case s.opts.ReadOnly:
		return fmt.Errorf("store %s: an older basewatch wrote it (schema %d, this one has %d); `basewatch run` brings it up to date", s.opts.Path, version, newest)
	}
	backup := copyName(s.opts.Path, version)
	if err := boltfile.CopyTo(ctx, s.db, backup); err != nil {
		return fmt.Errorf("store %s: copy it to %s before it is brought up to date: %w; nothing was changed", s.opts.Path, backup, err)
	}
	err = s.update(func(tx *bbolt.Tx) error {
		for i, step := range steps[version-1:] {
			if err := step(tx); err != nil {
				return fmt.Errorf("from schema %d to %d: %w", version+i, version+i+1, err)
			}
		}
		return putJSON(tx, metaBucket, []byte(metaSchema), newest)
	})
	if err != nil {
		return fmt.Errorf("bring it up to date: %w; nothing was changed", err)
	}
	s.log.Info("store brought up to date", "path", s.opts.Path, "schema_before", version, "schema", newest, "copy", backup)
	return nil
}

// schemaOf reads a file's version. What has none is another program's.
func schemaOf(tx *bbolt.Tx) (int, error) {
	if tx.Bucket([]byte(metaBucket)) == nil {
		return 0, errForeign
	}
	version, found, err := getJSON[int](tx, metaBucket, []byte(metaSchema))
	if err == nil && (!found || version < 1) {
		err = errForeign
	}
	return version, err
}

var errForeign = errors.New("this is another program's database; set store.path to another file")

// complete refuses a file that lacks a part.
func complete(tx *bbolt.Tx) error {
	for _, b := range buckets() {
		if tx.Bucket([]byte(b)) == nil {
			return &DamagedError{Bucket: string(b), Reason: "missing"}
		}
	}
	return nil
}

// newerSchema names the copy that the newer version made, if it lies there.
func newerSchema(path string, version, newest int) error {
	remedy := "or restore a copy made before it"
	for v := newest; v > 0; v-- {
		if name := copyName(path, v); boltfile.IsStore(name) {
			remedy = fmt.Sprintf("or go back to the copy that it made before: %s (what came after is not in it)", filepath.Base(name))
			break
		}
	}
	return fmt.Errorf("a newer basewatch wrote it (schema %d, this one knows %d); run that version again, %s", version, newest, remedy)
}

// Copy writes a consistent copy of the store to f, a local file, while all else
// goes on. What is known and unwritten of unchanged looks is not in it. It ends
// with ctx.
func (s *Store) Copy(ctx context.Context, f *os.File) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if err := boltfile.Copy(ctx, s.db, f); err != nil {
		return fmt.Errorf("copy store %s: %w", s.opts.Path, err)
	}
	return nil
}
