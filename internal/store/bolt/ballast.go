package bolt

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"

	"go.etcd.io/bbolt"
)

// The ballast is room that is taken while there is enough and given up when the
// disk is full, so that what is known can still be told and recorded. It is no
// part of the schema: a file without it works.
const (
	ballastBucket = "ballast"
	headroom      = "headroom" // taken and given back, to see that there is more

	ballastBytes = 1 << 20
	ballastValue = 8 << 10
)

// fillBallast takes the room, if it is not taken.
func fillBallast(tx *bbolt.Tx) error { return takeRoom(tx, ballastBucket) }

// takeRoom fills a bucket with what no file system can compress.
func takeRoom(tx *bbolt.Tx, name string) error {
	if tx.Bucket([]byte(name)) != nil {
		return nil
	}
	b, err := tx.CreateBucket([]byte(name))
	if err != nil {
		return err
	}
	noise := rand.NewPCG(1, 2)
	for i := range uint64(ballastBytes / ballastValue) {
		value := make([]byte, 0, ballastValue)
		for len(value) < ballastValue {
			value = binary.BigEndian.AppendUint64(value, noise.Uint64())
		}
		if err := b.Put(be64(i), value); err != nil {
			return err
		}
	}
	return nil
}

var errGivenUp = errors.New("the ballast was given up before")

// lighten gives the ballast up; false: it was given up before, or the disk does
// not even take that. write is held.
func (s *Store) lighten() bool {
	err := s.update(func(tx *bbolt.Tx) error {
		if tx.Bucket([]byte(ballastBucket)) == nil {
			return errGivenUp
		}
		return tx.DeleteBucket([]byte(ballastBucket))
	})
	return err == nil
}

// reload takes the ballast again, and room beyond it for what comes next: the
// pages that lighten has freed are not enough for both. write is held.
func (s *Store) reload() error {
	err := s.update(func(tx *bbolt.Tx) error {
		if err := fillBallast(tx); err != nil {
			return err
		}
		return takeRoom(tx, headroom)
	})
	if err != nil {
		return err
	}
	return s.update(func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte(headroom)) })
}
