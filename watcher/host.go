package watcher

import (
	"fmt"
	"sync"
	"time"
)

// passMax is how long people's news of a host's first pass may be held back.
const passMax = 10 * time.Minute

// pauseToKeep is the shortest pause that is written down for the next start.
const pauseToKeep = time.Minute

// crowd is how many targets of a host that fails may be tried again soon.
const crowd = 100

// host is what the loop knows of one registry host. Its health is the same as a
// target's: told once when all looks at the host have failed for long.
type host struct {
	name string
	wake chan struct{}

	mu          sync.Mutex
	stretch     float64
	targets     int
	health      Health
	loaded      bool // health has been read from the store
	saved       bool // the store has a health that is not well
	upSince     time.Time
	pausedUntil time.Time
	// held counts claims that are not reported yet.
	held int
	// passSince is when the pass began that is not ended yet, zero when none is;
	// passLong, that its news was let go because it takes long.
	passSince time.Time
	passLong  bool
}

func newHost(name string) *host {
	return &host{name: name, wake: make(chan struct{}, 1), stretch: 1}
}

func (h *host) setLoad(load HostLoad, ceiling float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.targets, h.stretch = load.Targets, Stretch(load.PerMinute, ceiling)
}

// interval is a target's own, stretched.
func (h *host) interval(t Target) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Duration(float64(t.Every) * h.stretch)
}

// policy completes the policy of the loop for one target.
func (h *host) policy(p SettlePolicy, t Target) SettlePolicy {
	p.Interval = h.interval(t)
	h.mu.Lock()
	defer h.mu.Unlock()
	p.HostDown, p.HostUpSince = h.health.Told, h.upSince
	p.HostCrowded = h.targets > crowd && h.health.Failures > failuresToTell
	return p
}

// observe takes one look's outcome into the host's health, and gives what must
// be written down, if anything: that it began to fail, is failing, recovered.
func (h *host) observe(err error, now time.Time) *Result {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil && (ProblemOf(err) == Panicked || paced(err)) {
		return nil
	}
	if err == nil || pullsOnly(err) || !h.blames(ProblemOf(err)) {
		return h.answered(now)
	}
	h.health = h.health.failed(now, err)
	wasUntil := h.pausedUntil
	h.pausedUntil = later(h.pausedUntil, retryAt(err))
	h.health.PausedUntil = h.pausedUntil
	longer := h.pausedUntil.Sub(later(wasUntil, now)) > pauseToKeep
	if h.health.Told {
		return nil
	}
	if h.health.failingSince(time.Time{}, now) {
		h.health.Told = true
		return h.result(h.health.failing(h.name, now))
	}
	if h.health.Failures == failuresToTell || longer {
		return h.result()
	}
	return nil
}

// blames says which failures are a host's own. A lone image that is denied is
// that image's matter.
func (h *host) blames(p Problem) bool {
	return p == Unreachable || p == Throttled || p == Denied && h.targets > 1
}

// answered is the host's health after any answer. Only what was written down
// as failing is written down as well again.
func (h *host) answered(now time.Time) *Result {
	was := h.health
	h.health = h.health.good(now)
	switch {
	case was.Told:
		h.upSince = now
		return h.result(was.recovered(h.name, now))
	case h.saved:
		return h.result()
	}
	return nil
}

func (h *host) result(events ...Event) *Result {
	h.saved = h.health.Failures > 0
	r := &Result{Ref: h.name, Health: true, State: &State{Health: h.health}, Events: events}
	for _, e := range events {
		r.Notes = append(r.Notes, Note{At: e.At, Kind: NoteHealth, Text: string(e.Kind) + ": " + e.Reason})
	}
	return r
}

// restore gives the host the health that the store has, unless that was done.
func (h *host) restore(s State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.loaded {
		h.loaded, h.health, h.saved = true, s.Health, s.Health.Failures > 0
		h.pausedUntil = later(h.pausedUntil, s.Health.PausedUntil)
	}
}

// restored reports whether the host's health has been read from the store.
func (h *host) restored() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.loaded
}

// paused gives the time before which the host wants no request, if it is not
// over.
func (h *host) paused(now time.Time) (time.Time, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pausedUntil, h.pausedUntil.After(now)
}

// seemsDown reports whether so many looks have failed that one more is no news.
func (h *host) seemsDown() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.health.Failures > failuresToTell
}

// hold counts claims from the moment they are made, release when they are
// reported.
func (h *host) hold(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held += n
}

func (h *host) release(n int) { h.hold(-n) }

// beginPass says that news may be held back until a pass over the host ends.
func (h *host) beginPass(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.passSince.IsZero() {
		h.passSince = now
	}
}

// endPass ends the pass that is on: for good if nothing is due nor held, or for
// its news if it has lasted too long. undo takes that back.
func (h *host) endPass(now time.Time, drained bool) (over, forGood bool, undo func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	since, long := h.passSince, h.passLong
	undo = func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.passSince, h.passLong = since, long
	}
	switch {
	case since.IsZero():
		return false, false, undo
	case drained && h.held == 0:
		h.passSince, h.passLong = time.Time{}, false
		return true, true, undo
	case !long && lasted(since, now, passMax):
		h.passLong = true
		return true, false, undo
	}
	return false, false, undo
}

// waitError is why no look is made before then: the host asked for it, or our
// own ceiling wants it, which says nothing about the host.
func (h *host) waitError(until time.Time) error {
	if _, paused := h.paused(time.Now()); paused {
		return &LookError{Problem: Throttled, RetryAt: until,
			Err: fmt.Errorf("%s: the registry wants no request before %s", h.name, until.UTC().Format(time.RFC3339))}
	}
	return &LookError{Problem: Throttled, RetryAt: until, Paced: true,
		Err: fmt.Errorf("%s: its ceiling of requests a minute allows no look before %s", h.name, until.UTC().Format(time.RFC3339))}
}
