package bolt

import (
	"context"
	"os"
	"time"

	"go.etcd.io/bbolt"

	"basewatch/internal/outbox"
)

// The keys of the meta bucket.
const (
	metaSchema = "schema" // int
	metaEpoch  = "epoch"  // how often the store was opened for writing
	metaCounts = "counts" // tally of settled deliveries
	metaProbe  = "probe"  // when Writable last tried
	metaLost   = "lost"   // when the file took the place of a lost one, until that is told
	metaOutage = "outage" // a failing of the disk that people were told of, until its end is told too
)

// tally counts settled deliveries by state, or what a transaction adds to that.
type tally map[outbox.State]int

func (t tally) settled(to outbox.State) {
	if to != outbox.Waiting {
		t[to]++
	}
}

func (t tally) replayed(from outbox.State) { t[from]-- }

// store adds t to the counts in the file.
func (t tally) store(tx *bbolt.Tx) error {
	if len(t) == 0 {
		return nil
	}
	sum, _, err := getJSON[tally](tx, metaBucket, []byte(metaCounts))
	if err := ignoreDamage(err); err != nil {
		return err
	}
	if sum == nil {
		sum = make(tally)
	}
	for state, n := range t {
		sum[state] += n
	}
	return putJSON(tx, metaBucket, []byte(metaCounts), sum)
}

// Counts sums up the deliveries and the file.
func (s *Store) Counts(ctx context.Context) (outbox.Counts, error) {
	var sum tally
	err := s.view(ctx, func(tx *bbolt.Tx) (err error) {
		sum, _, err = getJSON[tally](tx, metaBucket, []byte(metaCounts))
		return err
	})
	if err != nil {
		return outbox.Counts{}, err
	}
	c := outbox.Counts{
		Dead: sum[outbox.Dead], Delivered: sum[outbox.Delivered],
		Skipped: sum[outbox.Skipped], Superseded: sum[outbox.Superseded],
	}
	if info, err := os.Stat(s.opts.Path); err == nil {
		c.Bytes = info.Size()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Waiting = len(s.rows)
	var oldest int64
	for _, w := range s.rows {
		if oldest == 0 || w.created < oldest {
			oldest = w.created
		}
	}
	c.Oldest = moment(oldest)
	return c, nil
}

// How long the outcome of a transaction answers Writable.
const (
	wellFor = time.Minute
	illFor  = 5 * time.Second
)

// Writable reports whether the store can be written to: how the last
// transaction ended, or a small new one when that was some time ago.
func (s *Store) Writable(ctx context.Context) error {
	if err := s.writable(ctx); err != nil {
		return err
	}
	if fresh, err := s.lastWrite(); fresh {
		return err
	}
	release, err := s.exclusive(ctx)
	if err != nil {
		return err
	}
	defer release()
	if fresh, err := s.lastWrite(); fresh {
		return err
	}
	return s.update(func(tx *bbolt.Tx) error {
		return putJSON(tx, metaBucket, []byte(metaProbe), time.Now().UTC())
	})
}

// lastWrite is how the last transaction ended, and whether that still says how
// the next one would.
func (s *Store) lastWrite() (fresh bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outage.on() {
		return true, s.outage.err // the keeper tries
	}
	age := time.Since(s.wrote)
	if s.failed != nil {
		return age < illFor, s.failed
	}
	return age < wellFor, nil
}
