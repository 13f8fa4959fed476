package bolt

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// load reads into memory what is kept there.
func (s *Store) load(ctx context.Context) error {
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		for _, read := range []func(*bbolt.Tx) error{s.loadTargets, s.loadLanes, s.loadRows, s.loadOutage} {
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
	defer s.mu.Unlock()
	s.rebuildHosts()
	return nil
}

// begin takes a new range of tokens, so that they grow over a crash too, and
// tells of a store that was lost. On a full disk it takes the room of the
// ballast.
func (s *Store) begin() error {
	var told []*row
	beginning := func(tx *bbolt.Tx) (err error) {
		if err := s.nextEpoch(tx); err != nil {
			return err
		}
		told, err = s.tellLost(tx)
		return err
	}
	err := s.update(beginning)
	if err != nil && s.ailing() && s.lighten() {
		err = s.update(beginning)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range told {
		s.addRow(w)
	}
	return nil
}

func (s *Store) nextEpoch(tx *bbolt.Tx) error {
	epoch, _, err := getJSON[uint64](tx, metaBucket, []byte(metaEpoch))
	if err != nil {
		return err
	}
	epoch++
	s.token = epoch << 32
	return putJSON(tx, metaBucket, []byte(metaEpoch), epoch)
}

// tellLost bears the event that tells of a lost store, once.
func (s *Store) tellLost(tx *bbolt.Tx) ([]*row, error) {
	at, lost, err := getJSON[time.Time](tx, metaBucket, []byte(metaLost))
	if err != nil || !lost {
		return nil, ignoreDamage(err)
	}
	e := watcher.Event{Kind: watcher.Failing, Ref: watcher.StoreRef, At: at, Since: at, Problem: watcher.StoreLost,
		Reason: s.opts.Path + " was missing or empty"}
	e.Identify()
	s.log.Error("the store was lost; a new one was made, every first sight is a baseline", "path", s.opts.Path)
	if err := drop(tx, metaBucket, []byte(metaLost)); err != nil {
		return nil, err
	}
	return s.insertEvents(tx, []watcher.Event{e}, at)
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
