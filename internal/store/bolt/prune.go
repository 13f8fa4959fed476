package bolt

import (
	"bytes"
	"context"
	"hash/maphash"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"basewatch/internal/outbox"
	"basewatch/internal/store"
	"basewatch/watcher"
)

const (
	// pruneBatch entries are dropped in one transaction: others wait no longer
	// than that takes.
	pruneBatch = 200
	// pruneGather keys are held in memory at a time.
	pruneGather = 10_000
)

// Prune drops what the limits do not keep, a batch at a time, so that others
// read and write in between. It can be stopped and called again at any time. A
// store that keeps everything writes nothing.
func (s *Store) Prune(ctx context.Context) (store.Pruned, error) {
	if err := s.writable(ctx); err != nil {
		return store.Pruned{}, err
	}
	return s.prune(ctx, s.opts.Limits, func(fn func(tx *bbolt.Tx) error) error {
		release, err := s.exclusive(ctx)
		if err != nil {
			return err
		}
		defer release()
		return s.update(fn)
	})
}

// shrink makes room in a file that has reached its bound, the more the longer
// that lasts: what is new counts for more than what is old. write is held.
func (s *Store) shrink(ctx context.Context, step int) {
	if s.opts.MaxSize == 0 {
		return // the disk is full: a shorter history would not make it emptier
	}
	dropped, err := s.prune(ctx, tightened(s.opts.Limits, step), s.update)
	if err == nil && dropped.Any() {
		s.log.Warn("the store has reached its bound; the past is shortened", "path", s.opts.Path, "max_size", s.opts.MaxSize,
			"history_lines", dropped.Lines, "deliveries", dropped.Deliveries)
	}
}

// tightened are limits that keep less with each step: half, a quarter, … and at
// last what is recent alone.
func tightened(l store.Limits, step int) store.Limits {
	n := min(max(step, 0), 12)
	l.HistoryAge, l.SettledAge = l.HistoryAge>>n, l.SettledAge>>n
	l.HistoryLines, l.SettledRows = max(1, l.HistoryLines>>n), max(1, l.SettledRows>>n)
	l.Recent = min(l.Recent, l.SettledAge)
	return l
}

// pruning is one Prune under way.
type pruning struct {
	*Store
	ctx    context.Context
	limits store.Limits
	now    time.Time
	write  func(fn func(tx *bbolt.Tx) error) error
	// from is when the oldest row that is left was planned, if rows had to go
	// because of their number.
	from time.Time
}

func (s *Store) prune(ctx context.Context, l store.Limits, write func(fn func(tx *bbolt.Tx) error) error) (done store.Pruned, err error) {
	p := &pruning{Store: s, ctx: ctx, limits: l, now: time.Now().UTC(), write: write}
	if done.Lines, err = p.sweep(historyBucket, p.oldLines, dropKey(historyBucket)); err != nil {
		return done, err
	}
	if done.Deliveries, err = p.sweep(orderBucket, p.oldRows, p.dropRow); err != nil {
		return done, err
	}
	unused, err := p.unused()
	if err != nil {
		return done, err
	}
	if done.Events, err = p.sweep(eventsBucket, unused.of(eventsBucket), dropKey(eventsBucket)); err != nil {
		return done, err
	}
	done.Roots, err = p.sweep(rootsBucket, unused.of(rootsBucket), dropKey(rootsBucket))
	return done, err
}

// doomed says of each entry of a bucket, newest first, whether it goes.
type doomed func(tx *bbolt.Tx, key, payload []byte) (bool, error)

// dropper drops an entry, unless it has come to be needed, and says how many
// are gone.
type dropper func(tx *bbolt.Tx, key []byte) (int, error)

// sweep drops the entries of a bucket that the judge dooms. judging gives one
// for each round through the bucket.
func (p *pruning) sweep(b bucket, judging func() doomed, drop dropper) (dropped int, err error) {
	for {
		keys, err := p.gather(b, judging())
		if err != nil {
			return dropped, err
		}
		for batch := range slices.Chunk(keys, pruneBatch) {
			n := 0
			err := p.write(func(tx *bbolt.Tx) error {
				n = 0
				for _, key := range batch {
					one, err := drop(tx, key)
					if err != nil {
						return err
					}
					n += one
				}
				return nil
			})
			if err != nil {
				return dropped, err
			}
			dropped += n
		}
		if len(keys) < pruneGather {
			return dropped, nil
		}
	}
}

func (p *pruning) gather(b bucket, goes doomed) (keys [][]byte, err error) {
	err = p.backwards(p.ctx, scan{bucket: b, visit: func(tx *bbolt.Tx, key, payload []byte) (bool, error) {
		yes, err := goes(tx, key, payload)
		if yes {
			keys = append(keys, bytes.Clone(key))
		}
		return len(keys) < pruneGather, err
	}})
	return keys, err
}

func dropKey(b bucket) dropper {
	return func(tx *bbolt.Tx, key []byte) (int, error) { return 1, drop(tx, b, key) }
}

// oldLines dooms history lines, never the newest of a target.
func (p *pruning) oldLines() doomed {
	var target []byte
	newer := 0
	oldest := p.now.Add(-p.limits.HistoryAge)
	return func(_ *bbolt.Tx, key, payload []byte) (bool, error) {
		ref, _, _ := bytes.Cut(key, []byte{0})
		if !bytes.Equal(ref, target) {
			target, newer = bytes.Clone(ref), 1
			return false, nil
		}
		newer++
		if newer > p.limits.HistoryLines {
			return true, nil
		}
		line, err := decode[struct {
			At time.Time `json:"at"`
		}](historyBucket, key, payload)
		return err == nil && line.At.Before(oldest), err
	}
}

// settledRow is the part of a stored delivery that pruning looks at.
type settledRow struct {
	EventKey  string       `json:"event_key"`
	Receiver  string       `json:"receiver"`
	Address   string       `json:"address"`
	Thread    string       `json:"thread"`
	State     outbox.State `json:"state"`
	CreatedAt time.Time    `json:"created_at"`
	SettledAt time.Time    `json:"settled_at"`
}

// oldRows dooms settled deliveries.
func (p *pruning) oldRows() doomed {
	newer := 0
	oldest, recent := p.now.Add(-p.limits.SettledAge), p.now.Add(-p.limits.Recent)
	p.from = time.Time{}
	var last time.Time
	return func(tx *bbolt.Tx, _, id []byte) (bool, error) {
		row, found, err := getJSON[settledRow](tx, deliveriesBucket, id)
		if err != nil || !found || row.State == outbox.Waiting {
			return false, err
		}
		newer++
		many := newer > p.limits.SettledRows && row.SettledAt.Before(recent)
		if many && p.from.IsZero() {
			p.from = last
		}
		if many || row.SettledAt.Before(oldest) {
			return true, nil
		}
		last = row.CreatedAt
		return false, nil
	}
}

// dropRow drops a settled delivery by its place in the order.
func (p *pruning) dropRow(tx *bbolt.Tx, place []byte) (int, error) {
	id, err := get(tx, orderBucket, place)
	if err != nil || id == nil {
		return 0, ignoreDamage(err)
	}
	id = bytes.Clone(id)
	row, _, err := getJSON[settledRow](tx, deliveriesBucket, id)
	if err != nil || row.State == outbox.Waiting { // replayed meanwhile
		return 0, ignoreDamage(err)
	}
	if err := drop(tx, deliveriesBucket, id); err != nil {
		return 0, err
	}
	t := make(tally)
	t.replayed(row.State)
	if err := t.store(tx); err != nil {
		return 0, err
	}
	return 1, drop(tx, orderBucket, place)
}

// unused are events and roots that no delivery refers to, by the hash of
// bucket and key. Two that have the same are both kept if one of them is.
type unused struct {
	seed maphash.Seed
	set  map[uint64]bool
}

func (u *unused) hash(b bucket, key []byte) uint64 {
	return maphash.Bytes(u.seed, append([]byte(b+"\x00"), key...))
}

// of gives a judge that dooms the bucket's unused entries.
func (u *unused) of(b bucket) func() doomed {
	return func() doomed {
		return func(_ *bbolt.Tx, key, _ []byte) (bool, error) { return u.set[u.hash(b, key)], nil }
	}
}

// unused takes all old events and all roots, then strikes out those that a
// delivery refers to. In that order: what comes meanwhile is not in the set.
func (p *pruning) unused() (*unused, error) {
	u := &unused{seed: maphash.MakeSeed(), set: make(map[uint64]bool)}
	oldest := p.now.Add(-p.limits.SettledAge)
	if recent := p.now.Add(-p.limits.Recent); p.from.After(oldest) {
		oldest = p.from
		if oldest.After(recent) {
			oldest = recent
		}
	}
	err := p.backwards(p.ctx, scan{bucket: eventsBucket, visit: func(_ *bbolt.Tx, key, payload []byte) (bool, error) {
		e, err := decode[watcher.Event](eventsBucket, key, payload)
		if err == nil && e.At.Before(oldest) {
			u.set[u.hash(eventsBucket, key)] = true
		}
		return true, err
	}})
	if err != nil {
		return nil, err
	}
	err = p.backwards(p.ctx, scan{bucket: rootsBucket, visit: func(_ *bbolt.Tx, key, _ []byte) (bool, error) {
		u.set[u.hash(rootsBucket, key)] = true
		return true, nil
	}})
	if err != nil || len(u.set) == 0 {
		return u, err
	}
	err = p.backwards(p.ctx, scan{bucket: deliveriesBucket, visit: func(_ *bbolt.Tx, key, payload []byte) (bool, error) {
		row, err := decode[settledRow](deliveriesBucket, key, payload)
		if err == nil {
			delete(u.set, u.hash(eventsBucket, []byte(row.EventKey)))
			delete(u.set, u.hash(rootsBucket, joined(outbox.LaneName(row.Receiver, row.Address), row.Thread)))
		}
		return true, err
	}})
	return u, err
}
