package bolt

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"basewatch/internal/outbox"
)

// load checks the schema and reads into memory what is kept there.
func (s *Store) load(ctx context.Context) error {
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		if err := checkSchema(tx); err != nil {
			return err
		}
		for _, read := range []func(*bbolt.Tx) error{s.loadTargets, s.loadLanes, s.loadRows} {
			if err := read(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.rebuildHosts()
	s.mu.Unlock()
	if s.opts.ReadOnly {
		return nil
	}
	return s.update(s.begin)
}

// checkSchema refuses a file that is another program's or a later version's.
func checkSchema(tx *bbolt.Tx) error {
	if tx.Bucket([]byte(metaBucket)) == nil {
		return errors.New("this is another program's database; set store.path to another file")
	}
	version, found, err := getJSON[int](tx, metaBucket, []byte(metaSchema))
	switch {
	case err != nil:
		return err
	case !found:
		return errors.New("this is another program's database; set store.path to another file")
	case version > schemaVersion:
		return fmt.Errorf("a newer basewatch wrote it (schema %d, this one knows %d); run that version again, or restore a copy made before it", version, schemaVersion)
	}
	for _, b := range buckets() {
		if tx.Bucket([]byte(b)) == nil {
			return &DamagedError{Bucket: string(b), Reason: "missing"}
		}
	}
	return nil
}

// begin takes a new range of tokens, so that they grow over a crash too.
func (s *Store) begin(tx *bbolt.Tx) error {
	epoch, _, err := getJSON[uint64](tx, metaBucket, []byte(metaEpoch))
	if err != nil {
		return err
	}
	epoch++
	s.token = epoch << 32
	return putJSON(tx, metaBucket, []byte(metaEpoch), epoch)
}

// each calls f with each sound value of a bucket. A damaged one is logged and
// passed over.
func (s *Store) each(tx *bbolt.Tx, b bucket, f func(key, payload []byte) error) error {
	return tx.Bucket([]byte(b)).ForEach(func(key, value []byte) error {
		payload, err := unseal(b, key, value)
		if err == nil {
			err = f(key, payload)
		}
		var de *DamagedError
		if errors.As(err, &de) {
			s.log.Error("a stored value is passed over", "path", s.opts.Path, "err", err)
			return nil
		}
		return err
	})
}

func (s *Store) loadTargets(tx *bbolt.Tx) error {
	return s.each(tx, targetsBucket, func(key, payload []byte) error {
		cfg, err := s.configs.load(key, payload)
		if err != nil {
			return err
		}
		l := &look{ref: string(key), cfg: cfg, at: -1}
		s.remember(l.ref, s.recall(tx, l))
		s.looks[l.ref] = l
		return nil
	})
}

func (s *Store) loadLanes(tx *bbolt.Tx) error {
	return s.each(tx, lanesBucket, func(key, payload []byte) error {
		health, err := decode[outbox.Lane](lanesBucket, key, payload)
		if err != nil {
			return err
		}
		s.laneOf(string(key)).health = health
		return nil
	})
}

func (s *Store) loadRows(tx *bbolt.Tx) error {
	return s.each(tx, waitingBucket, func(key, _ []byte) error {
		st, found, err := getJSON[storedRow](tx, deliveriesBucket, key)
		if err != nil {
			return err
		}
		if !found || st.State != outbox.Waiting {
			return &DamagedError{Bucket: string(waitingBucket), Key: string(key), Reason: "no such row waits"}
		}
		s.addRow(newRow(&st))
		return nil
	})
}
