package watcher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// How long a check waits for a target that is being looked at anyway, or
	// for a host's next allowance.
	checkPatience = 5 * time.Second
	checkRetry    = 200 * time.Millisecond
)

// CheckResult is what a user's check found of one target.
type CheckResult struct {
	Ref string
	// State is the target's after the look, also when that failed.
	State State
	// Moved: the index moved since the look before. Whether that is a change,
	// Events say.
	Moved  bool
	Events []Event
	// Err is why there was no look (State is zero then, or as it was), or why it
	// failed.
	Err error
}

// Check looks at targets now, due or not, and records what it finds: the same
// look as [Loop.Run]'s. Results come in the order of refs, which are canonical.
// One that is not watched, or that somebody else is looking at for too long, or
// whose host wants no requests now, has an Err. The error is ctx's.
func (l *Loop) Check(ctx context.Context, refs []string) ([]CheckResult, error) {
	results := make([]CheckResult, len(refs))
	byHost := make(map[string][]*CheckResult)
	for i, ref := range refs {
		results[i].Ref = ref
		byHost[hostOf(ref)] = append(byHost[hostOf(ref)], &results[i])
	}
	var wg sync.WaitGroup
	for name, rs := range byHost {
		wg.Go(func() { l.checkHost(ctx, l.host(name), rs) })
	}
	wg.Wait()
	return results, ctx.Err()
}

// checkHost looks at some targets of a host, a few at once.
func (l *Loop) checkHost(ctx context.Context, h *host, rs []*CheckResult) {
	lingering, cancel := linger(ctx)
	defer cancel()
	slots := make(chan struct{}, l.inFlight(h.name))
	var wg sync.WaitGroup
	for _, r := range rs {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			l.checkOne(ctx, lingering, h, r)
		})
	}
	wg.Wait()
}

func (l *Loop) checkOne(ctx, lingering context.Context, h *host, r *CheckResult) {
	c, err := l.claimNow(ctx, h, r.Ref)
	if err != nil {
		r.Err = err
		return
	}
	m := l.look(ctx, h, c)
	rs := []Result{m.result}
	if m.health != nil {
		rs = append(rs, *m.health)
	}
	l.commit(ctx, lingering, h, rs)
	r.Events, r.Err = m.result.Events, m.err
	s, err := l.cfg.Store.State(ctx, r.Ref)
	if err != nil {
		r.Err = errors.Join(r.Err, fmt.Errorf("read the state of %s: %w", r.Ref, err))
	}
	r.State, r.Moved = s, c.Seen != "" && s.Seen != c.Seen
}

// claimNow claims one target, waiting a little for whoever has it, and for the
// host's next allowance.
func (l *Loop) claimNow(ctx context.Context, h *host, ref string) (Claim, error) {
	if err := l.restoreHealth(ctx, h); err != nil {
		return Claim{}, fmt.Errorf("read the health of %s: %w", h.name, err)
	}
	for deadline := time.Now().Add(checkPatience); ; {
		again := time.Now().Add(checkRetry)
		why := fmt.Errorf("%s: not watched, or being looked at right now", ref)
		if n, at := l.cfg.Registry.Allowance(h.name); n <= 0 {
			again, why = later(at, time.Now().Add(shortest)), h.waitError(at)
		} else {
			r := ClaimRequest{Host: h.name, Max: 1, TTL: claimTTL, Refs: []string{ref}}
			claims, err := l.cfg.Store.Claim(ctx, r)
			if err != nil {
				return Claim{}, fmt.Errorf("claim %s: %w", ref, err)
			}
			if len(claims) > 0 {
				h.hold(1)
				return claims[0], nil
			}
		}
		if again.After(deadline) {
			return Claim{}, why
		}
		if !sleep(ctx, time.Until(again), nil) {
			return Claim{}, ctx.Err()
		}
	}
}
