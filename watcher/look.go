package watcher

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// made is what one look led to.
type made struct {
	result Result  // ends the claim
	health *Result // the host's health, if it must be written down too
	err    error   // why the look failed, or was not made
}

// look makes one look for a claim. It is the same for the loop and for a user's
// check. Whatever happens, also a panic, happens to this target alone.
func (l *Loop) look(ctx context.Context, h *host, c Claim) (m made) {
	defer func() {
		if p := recover(); p != nil {
			m = handBack(c, nextTry(c.Target.Ref, time.Now(), h.interval(c.Target), c.Failures+1, false), l.panicked(c, p))
		}
	}()
	if until, paused := h.paused(time.Now()); paused {
		return l.putOff(ctx, h, c, h.waitError(until))
	}
	start := time.Now()
	found, state, storeErr := l.ask(ctx, c)
	now := time.Now()
	switch {
	case ctx.Err() != nil:
		return handBack(c, now, ctx.Err()) // not the target's fault
	case storeErr != nil:
		l.log.Error("the store cannot be asked; looking again", "ref", c.Target.Ref, "error", storeErr)
		return handBack(c, NextLook(c.Target.Ref, now, h.interval(c.Target)), storeErr) // it may be damaged for good
	}
	l.observe(h.name, outcome(c, found), now.Sub(start))
	if isThrottled(found.Err) {
		return l.putOff(ctx, h, c, found.Err)
	}
	m = made{health: h.observe(found.Err, now), err: found.Err}
	if state == nil {
		m.result = Result{Ref: c.Target.Ref, Token: c.Token, NextAt: NextLook(c.Target.Ref, now, h.interval(c.Target))}
		return m
	}
	if found.Err != nil && c.Failures == 0 && !h.seemsDown() {
		l.log.Warn("look failed", "ref", c.Target.Ref, "problem", ProblemOf(found.Err), "error", found.Err)
	}
	m.result = l.settle(h, c, *state, found, now)
	return m
}

// ask asks the registry, and reads the state where the answer may matter: it is
// nil when a quiet target has not moved. The last error is the store's.
func (l *Loop) ask(ctx context.Context, c Claim) (Look, *State, error) {
	asking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if c.Target.IsFamily() {
		return l.list(ctx, asking, c)
	}
	digest, err := guard(l, c, func() (string, error) { return l.cfg.Registry.Digest(asking, c.Target.Ref) })
	if err == nil && c.Quiet && digest == c.Seen {
		return Look{Digest: digest}, nil, nil
	}
	s, storeErr := l.cfg.Store.State(ctx, c.Target.Ref)
	if err != nil || storeErr != nil {
		return Look{Err: err}, &s, storeErr
	}
	if digest == s.Seen && !s.unread(c.Target.Platforms) {
		return Look{Digest: digest}, &s, nil
	}
	snap, err := guard(l, c, func() (Snapshot, error) { return l.cfg.Registry.Snapshot(asking, c.Target, digest) })
	if err != nil {
		return Look{Err: notGone(err)}, &s, nil
	}
	return Look{Digest: digest, Snapshot: &snap}, &s, nil
}

// list is ask for a family. What it finds are targets before anybody is told,
// and again at each look: so none is lost when the daemon ends in between, or
// when the wishes for the family have changed.
func (l *Loop) list(ctx, asking context.Context, c Claim) (Look, *State, error) {
	tags, err := guard(l, c, func() ([]string, error) { return l.cfg.Registry.Tags(asking, c.Target) })
	found := Look{Err: err}
	if err == nil {
		found = Look{Digest: listDigest(tags), Tags: tags}
		if err := l.cfg.Store.Watch(ctx, FamilySource(c.Target.Ref), members(c.Target, tags)); err != nil {
			return found, nil, err
		}
		if c.Quiet && found.Digest == c.Seen {
			return found, nil, nil
		}
	}
	s, err := l.cfg.Store.State(ctx, c.Target.Ref)
	return found, &s, err
}

// settle is what follows from a look that may matter.
func (l *Loop) settle(h *host, c Claim, s State, found Look, now time.Time) Result {
	p := h.policy(l.cfg.Policy, c.Target)
	next, events, notes := Settle(s, found, now, c.Target, p)
	if !c.LastGood.IsZero() && now.Sub(c.LastGood) > 3*p.Interval {
		for i := range events {
			if events[i].Kind == Changed {
				events[i].CatchUp = true
				h.beginPass(now)
			}
		}
	}
	return Result{Ref: c.Target.Ref, Token: c.Token, NextAt: next.NextAt, State: &next, Events: events, Notes: notes}
}

// putOff ends a claim while its host wants no requests, or no pulls. That is a
// failure of the host, not of the target. What is pending there may have its
// time come all the same.
func (l *Loop) putOff(ctx context.Context, h *host, c Claim, err error) made {
	now := time.Now()
	health := h.observe(err, now)
	if !c.Quiet {
		s, storeErr := l.cfg.Store.State(ctx, c.Target.Ref)
		if storeErr == nil && (s.Pending != nil || len(s.Awaiting) > 0) {
			return made{result: l.settle(h, c, s, Look{Err: err}, now), health: health, err: err}
		}
	}
	next := retryAt(err)
	switch usual := NextLook(c.Target.Ref, now, h.interval(c.Target)); {
	case !next.After(now):
		next = nextTry(c.Target.Ref, now, h.interval(c.Target), 1, false)
	case pullsOnly(err) && usual.Before(next):
		next = usual // asking where the tag points costs no pull, and may tell that there are some again
	}
	m := handBack(c, next, err)
	m.health = health
	return m
}

func handBack(c Claim, next time.Time, why error) made {
	return made{result: Result{Ref: c.Target.Ref, Token: c.Token, NextAt: next, Unlooked: true}, err: why}
}

func outcome(c Claim, found Look) string {
	switch {
	case found.Err != nil:
		return string(ProblemOf(found.Err))
	case found.Digest == c.Seen:
		return Unchanged
	}
	return Moved
}

func isThrottled(err error) bool { return err != nil && ProblemOf(err) == Throttled }

// notGone makes sure that an index that cannot be read is not taken for a tag
// that is not there: its HEAD has just answered.
func notGone(err error) error {
	if ProblemOf(err) != NotFound {
		return err
	}
	return &LookError{Problem: Invalid, Err: fmt.Errorf("the tag is there and what it points to is not: %w", err)}
}

// guard makes a panic of the registry's the failure of one look.
func guard[T any](l *Loop, c Claim, f func() (T, error)) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = l.panicked(c, p)
		}
	}()
	return f()
}

func (l *Loop) panicked(c Claim, p any) error {
	l.log.Error("panic in a look", "ref", c.Target.Ref, "panic", p, "stack", string(debug.Stack()))
	return &LookError{Problem: Panicked, Err: errors.New("a fault of basewatch itself, a panic; its log says where")}
}
