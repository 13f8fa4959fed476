package bolt

import (
	"context"
	"time"
)

const (
	// The past is pruned for the first time some time after the start, so that
	// a daemon that is started often does it too, and does not while it has
	// other things to do.
	pruneFirst = 10 * time.Minute
	pruneEvery = 24 * time.Hour
)

// keeper heals an outage and prunes the past, until ctx ends.
func (s *Store) keeper(ctx context.Context) {
	prune := time.NewTimer(pruneFirst)
	defer prune.Stop()
	if s.unsettled() {
		s.attend(ctx)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.alarm:
			s.attend(ctx)
		case <-prune.C:
			s.tidy(ctx)
			prune.Reset(pruneEvery)
		}
	}
}

// unsettled reports an outage, or the end of one that is still to be told.
func (s *Store) unsettled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.outage.since.IsZero()
}

// attend stays with an outage until it is over.
func (s *Store) attend(ctx context.Context) {
	tick := time.NewTicker(healEvery)
	defer tick.Stop()
	for step := 0; ; step++ {
		release, err := s.exclusive(ctx)
		if err != nil {
			return
		}
		over := s.heal(ctx, step)
		release()
		if over {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tidy prunes the past and says what it dropped.
func (s *Store) tidy(ctx context.Context) {
	if s.ailing() {
		return
	}
	dropped, err := s.Prune(ctx)
	switch {
	case err != nil && ctx.Err() == nil:
		s.log.Error("the past cannot be pruned; tried again tomorrow", "path", s.opts.Path, "err", err)
	case dropped.Any():
		s.log.Info("the past is pruned", "history_lines", dropped.Lines, "deliveries", dropped.Deliveries, "events", dropped.Events, "roots", dropped.Roots)
	}
}
