package boltfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// ErrDamaged says that the file is a store, and not whole.
var ErrDamaged = errors.New("the file is damaged")

// maxFindings are told of one check.
const maxFindings = 3

// Check reads every page of a file, then lets values read what stands in them.
// It changes nothing. Damage can make it panic, fault in a goroutine of
// bbolt's, or end the whole process: call it in one that may die. A file that
// another process writes to is [ErrLocked].
func Check(path string, values func(tx *bbolt.Tx) error) error {
	db, err := openOnce(path, Options{ReadOnly: true})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrLocked
	case err != nil:
		return explain(err)
	}
	if err := whole(db); err != nil {
		return errors.Join(err, db.Close())
	}
	tx, err := db.Begin(false)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	if err := pages(tx); err != nil {
		return err // what is left behind still uses the file
	}
	return errors.Join(values(tx), tx.Rollback(), db.Close())
}

// pages has bbolt follow all its pages. After a few findings bbolt's goroutine
// is left behind as it waits to tell the next: a damaged count can make it find
// billions.
func pages(tx *bbolt.Tx) error {
	var found []string
	for err := range tx.Check() {
		if found = append(found, err.Error()); len(found) == maxFindings {
			break
		}
	}
	if len(found) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s; %s", ErrDamaged, strings.Join(found, "; "), RestoreHint(tx.DB().Path()))
}

// RestoreHint says what to do about a file that cannot be used, and names the
// copies that lie beside it.
func RestoreHint(path string) string {
	base := filepath.Base(path)
	hint := fmt.Sprintf("move it away and put a copy in its place (mv %s %s.damaged; cp COPY %s), or begin anew without it: first sights are baselines then", base, base, base)
	copies := copiesOf(path)
	if len(copies) == 0 {
		return hint + "; no copy lies beside it, `basewatch backup FILE` makes one"
	}
	return hint + "; copies beside it: " + strings.Join(copies, ", ")
}

// maxCopies are named.
const maxCopies = 5

// copiesOf lists files beside path that begin with its name and are bbolt's.
func copiesOf(path string) []string {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil
	}
	var copies []string
	for _, e := range slices.Backward(entries) { // numbered and dated names: the newest first
		name := e.Name()
		if name != filepath.Base(path) && strings.HasPrefix(name, filepath.Base(path)) &&
			e.Type().IsRegular() && len(copies) < maxCopies && IsStore(filepath.Join(filepath.Dir(path), name)) {
			copies = append(copies, name)
		}
	}
	return copies
}

// IsStore reports whether a file begins as bbolt's do.
func IsStore(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	// The magic number of the first meta page, little-endian, behind the
	// page's header.
	var magic [4]byte
	_, err = f.ReadAt(magic[:], 16)
	return err == nil && magic == [4]byte{0xed, 0xda, 0x0c, 0xed}
}
