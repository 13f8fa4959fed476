package registry

import (
	"fmt"
	"time"

	"basewatch/watcher"
)

// pulls says when the next pull may begin at a host that counts them. What the
// host said last counts: a HEAD costs nothing and tells what is left.
type pulls struct {
	quota quota
	last  time.Time // the last pull began
	// emptyAt is since when nothing is left; zero while something is.
	emptyAt time.Time
	// After a refusal: when it came, until when it closes, whether the host said
	// so itself, its words, and how many came in a row.
	refusedAt, closedUntil time.Time
	said                   bool
	reason                 string
	refusals               int
}

// counted takes in a quota. An answer to what was asked before a refusal knows
// less than the refusal.
func (p *pulls) counted(q quota, began time.Time) {
	if began.Before(p.refusedAt) {
		return
	}
	p.quota = q
	switch {
	case q.remaining > 0:
		p.emptyAt = time.Time{}
	case p.emptyAt.IsZero():
		p.emptyAt = q.at
	}
}

// answered takes in a pull that worked. If nothing was said with it, what was
// said before is no longer so.
func (p *pulls) answered() {
	p.refusals, p.said, p.closedUntil = 0, false, time.Time{}
	if p.quota.at.Before(p.last) {
		p.quota, p.emptyAt = quota{}, time.Time{}
	}
}

// refused closes for wait. A host that names no time has an empty quota, also
// when its headers say otherwise or nothing; fresh tells a refusal of what was
// asked after the last one.
func (p *pulls) refused(began, now time.Time, wait time.Duration, reason string) (fresh bool) {
	if fresh = began.After(p.refusedAt); fresh {
		p.refusals++
		p.refusedAt = now
	}
	p.said, p.reason = wait > 0, reason
	if !p.said {
		wait = unsaidWait(p.refusals)
		if p.quota.window == 0 {
			p.quota.window = defaultQuotaWindow
		}
		p.quota.remaining, p.quota.at = 0, now
	}
	if p.quota.remaining == 0 && p.emptyAt.IsZero() {
		p.emptyAt = now
	}
	p.closedUntil = later(p.closedUntil, now.Add(wait+jitter(wait/20)))
	return fresh
}

// opensAt is when the next pull may begin. What is left when there is little is
// spread over the window. When there is nothing the window must pass; then one
// pull is tried, so that a host that never counts up again is not lost.
func (p *pulls) opensAt(now time.Time) time.Time {
	switch {
	case !p.quota.low(now):
		return p.closedUntil
	case p.quota.remaining > 0 || p.said:
		return later(p.closedUntil, p.last.Add(p.quota.pace()))
	}
	return later(p.closedUntil, later(p.emptyAt, p.last).Add(p.quota.window))
}

// error is that of a look that would need a pull before then.
func (p *pulls) error(host string, then time.Time) error {
	why := fmt.Sprintf("leaves only %d of %d pulls, so they are spread", p.quota.remaining, p.quota.limit)
	switch {
	case p.refusals > 0:
		why = "lets nothing more be pulled (" + p.reason + "): tags are watched on, details wait"
	case p.quota.remaining == 0:
		why = fmt.Sprintf("leaves none of %d pulls: tags are watched on, details wait", p.quota.limit)
	}
	return &watcher.LookError{Problem: watcher.Throttled, RetryAt: then, PullsOnly: true, Err: fmt.Errorf(
		"%s %s; the next is at %s (a login raises the limit: username and password under [registry.%q])",
		host, why, then.UTC().Format(time.DateTime+" MST"), host)}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
