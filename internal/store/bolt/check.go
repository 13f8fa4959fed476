package bolt

import (
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"basewatch/internal/store/boltfile"
)

// Soundness is what [Check] found in a file that can be used.
type Soundness struct {
	Values int `json:"values"`
	// Damaged values are never used; each harms only its own row. First is one
	// of them.
	Damaged int    `json:"damaged,omitempty"`
	First   string `json:"first,omitempty"`
}

// Check reads all of a file, every page and every value. An error means that
// the store must not be used; it has the remedy. Call it in a process of its
// own: damage can end the one that finds it.
func Check(path string) (Soundness, error) {
	var found Soundness
	err := boltfile.Check(path, func(tx *bbolt.Tx) error {
		version, err := schemaOf(tx)
		switch {
		case err != nil:
			return unusable(path, err)
		case version != schemaVersion:
			return nil // Open says more
		}
		if err := complete(tx); err != nil {
			return unusable(path, err)
		}
		for _, b := range buckets() {
			if err := found.read(tx, b); err != nil {
				return unusable(path, err)
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, boltfile.ErrLocked) {
		err = fmt.Errorf("store %s: %w", path, err)
	}
	return found, err
}

func unusable(path string, err error) error {
	if errors.Is(err, errForeign) {
		return err
	}
	return fmt.Errorf("%w: %w; %s", boltfile.ErrDamaged, err, boltfile.RestoreHint(path))
}

// read checks the values of a bucket, and that its numbers have not fallen
// back behind its keys: the next ones would overwrite them.
func (f *Soundness) read(tx *bbolt.Tx, b bucket) error {
	bk := tx.Bucket([]byte(b))
	err := bk.ForEach(func(key, value []byte) error {
		f.Values++
		if _, err := unseal(b, key, value); err != nil {
			if b == metaBucket && string(key) != metaCounts {
				return err
			}
			if f.Damaged++; f.Damaged == 1 {
				f.First = err.Error()
			}
		}
		return nil
	})
	if last, _ := bk.Cursor().Last(); err == nil && b == orderBucket && last != nil && string(be64(bk.Sequence())) < string(last) {
		err = &DamagedError{Bucket: string(b), Key: string(last), Reason: "beyond the last number given"}
	}
	return err
}
