package bolt

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"basewatch/watcher"
)

// targetMove is what a Watch means for one target.
type targetMove struct {
	look   *look
	cfg    *config
	latest int64  // the next look is not later than this
	reread bool   // other platforms are wanted: the next look reads again
	fresh  bool   // not in memory yet
	other  string // the odd digest of a fresh one
}

// Watch implements watcher.Store. The same image twice in ts unites.
func (s *Store) Watch(ctx context.Context, source string, ts []watcher.Target) error {
	wants := make(map[string]want, len(ts))
	for _, t := range ts {
		w, err := wantOf(t)
		if err != nil {
			return err
		}
		if old, ok := wants[t.Ref]; ok {
			w = old.unite(w)
		}
		wants[t.Ref] = w
	}
	release, err := s.exclusive(ctx)
	if err != nil {
		return err
	}
	defer release()
	if s.orphaned(source) {
		wants = nil
	}
	if err := s.setTargets(ctx, source, wants); err != nil {
		return err
	}
	for _, orphan := range s.orphans() {
		if err := s.setTargets(ctx, orphan, nil); err != nil {
			return err
		}
	}
	return nil
}

// setTargets makes wants the whole set of a source, in one transaction. write
// is held.
func (s *Store) setTargets(ctx context.Context, source string, wants map[string]want) error {
	moves, err := s.targetMoves(source, wants)
	if err != nil || len(moves) == 0 {
		return err
	}
	err = s.update(func(tx *bbolt.Tx) error { return s.storeTargets(ctx, tx, moves) })
	if err != nil {
		return err
	}
	s.applyTargets(moves)
	s.onTargets()
	return nil
}

// orphaned reports the source of a family that sleeps, or is not known.
func (s *Store) orphaned(source string) bool {
	ref, ok := watcher.FamilyOf(source)
	if !ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	family := s.looks[ref]
	return family == nil || family.asleep()
}

// orphans are the sources of families that sleep and still have targets.
func (s *Store) orphans() []string {
	s.mu.Lock()
	sources := make(map[string]bool)
	for _, c := range s.configs {
		for source := range c.Sources {
			sources[source] = true
		}
	}
	s.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(sources)), func(source string) bool { return !s.orphaned(source) })
}

// targetMoves compares a source's wishes with what is known; it changes
// nothing but the set of interned configs.
func (s *Store) targetMoves(source string, wants map[string]want) ([]targetMove, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UTC()
	var moves []targetMove
	for ref, l := range s.looks {
		w, wanted := wants[ref]
		old, had := l.cfg.Sources[source]
		if wanted == had && (!wanted || w.equal(old)) {
			continue
		}
		pw := &w
		if !wanted {
			pw = nil
		}
		cfg, err := s.configs.with(l.cfg, source, pw)
		if err != nil {
			return nil, err
		}
		moves = append(moves, l.moveTo(cfg, now))
	}
	for ref, w := range wants {
		if s.looks[ref] != nil {
			continue
		}
		cfg, err := s.configs.with(nil, source, &w)
		if err != nil {
			return nil, err
		}
		l := &look{ref: ref, cfg: cfg, due: now.UnixNano(), at: -1}
		moves = append(moves, targetMove{look: l, cfg: cfg, latest: l.due, fresh: true})
	}
	slices.SortFunc(moves, func(a, b targetMove) int { return strings.Compare(a.look.ref, b.look.ref) })
	return moves, nil
}

// moveTo says what another config means for the target.
func (l *look) moveTo(cfg *config, now time.Time) targetMove {
	m := targetMove{look: l, cfg: cfg, latest: math.MaxInt64}
	m.reread = !slices.Equal(l.cfg.Union.Platforms, cfg.Union.Platforms)
	if cfg.Union.Every < l.cfg.Union.Every {
		m.latest = now.Add(cfg.Union.Every).UnixNano()
	}
	return m
}

func (s *Store) storeTargets(ctx context.Context, tx *bbolt.Tx, moves []targetMove) error {
	for i := range moves {
		m := &moves[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := put(tx, targetsBucket, []byte(m.look.ref), m.cfg.payload); err != nil {
			return err
		}
		if m.fresh {
			m.other = s.recall(tx, m.look)
			continue
		}
		after, other := s.copyOf(m.look)
		if !after.is(known) || !m.reread && m.latest >= after.due {
			continue
		}
		m.change(&after)
		if err := put(tx, looksBucket, []byte(after.ref), after.encode(other)); err != nil {
			return err
		}
	}
	return nil
}

// change applies a move to a look.
func (m *targetMove) change(l *look) {
	l.cfg, l.due = m.cfg, min(l.due, m.latest)
	if m.reread {
		l.set(quiet, false)
	}
}

// applyTargets takes the moves over into memory. Who holds a claim on a target
// that sleeps now, or of which other platforms are wanted, has lost it.
func (s *Store) applyTargets(moves []targetMove) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range moves {
		m.change(m.look)
		if m.fresh {
			s.looks[m.look.ref] = m.look
			s.remember(m.look.ref, m.other)
		}
		if m.reread || m.look.asleep() {
			m.look.until = 0
		}
	}
	s.rebuildHosts()
}

// copyOf gives a look as it is now, and its odd digest.
func (s *Store) copyOf(l *look) (look, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *l, s.odd[l.ref]
}

// remember keeps the digest seen of a target whose record cannot hold it. mu
// is held.
func (s *Store) remember(ref, other string) {
	if other == "" {
		delete(s.odd, ref)
		return
	}
	s.odd[ref] = other
}

// recall fills a look from the file: from its own record, or from the state
// when that record is missing or damaged. A target never reported stays as it
// is, due now.
func (s *Store) recall(tx *bbolt.Tx, l *look) (other string) {
	payload, err := get(tx, looksBucket, []byte(l.ref))
	if err == nil && payload != nil {
		if other, err = l.decode(payload); err == nil {
			l.notFromTheFuture(time.Now().UnixNano())
			return other
		}
	}
	if err != nil {
		s.log.Error("a target's record is read from its state instead", "ref", l.ref, "err", err)
	}
	st, found, err := getJSON[watcher.State](tx, statesBucket, []byte(l.ref))
	if err != nil {
		s.log.Error("a target's state cannot be read", "ref", l.ref, "err", err)
	}
	if !found {
		return ""
	}
	return l.learn(&st, nanos(st.NextAt))
}
