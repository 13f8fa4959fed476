package watcher

import (
	"errors"
	"time"
)

// Problem is the class of a failed look: few, bounded, fit for a metric label.
type Problem string

// The classes. None of them is ever a change.
const (
	NotFound    Problem = "not-found"   // no such tag: HEAD and GET both said so
	Denied      Problem = "denied"      // 401, 403
	Throttled   Problem = "throttled"   // 429, or a host that asked to wait
	Unreachable Problem = "unreachable" // network, TLS, 5xx, timeout
	Invalid     Problem = "invalid"     // an answer that is wrong or not supported
	NoPlatform  Problem = "no-platform" // none of the wanted platforms is there
	GivenUp     Problem = "given-up"    // a receiver refused a message for good
	Panicked    Problem = "panic"       // our own fault

	// Of the store, not of a look.
	StoreUnwritable Problem = "store-unwritable" // the disk takes no writes
	StoreLost       Problem = "store-lost"       // it was missing or empty; a new one was made
)

// LookError is how a [Registry] says why a look failed. Its text names what
// was tried, on what, and the remedy where there is one; no secret is in it.
type LookError struct {
	Problem Problem
	Err     error
	// RetryAt is the earliest time to ask that host again; zero: no opinion.
	RetryAt time.Time
	// PullsOnly narrows a Throttled: what must wait until RetryAt is the reading
	// of what digests name, not the question where a tag points. The host is
	// well.
	PullsOnly bool
	// Paced narrows a Throttled: our own limits, in flight or per minute, let no
	// request through in time. It says nothing about the host.
	Paced bool
}

func (e *LookError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *LookError) Unwrap() error { return e.Err }

// pullsOnly reports a failure after which a host may be asked on.
func pullsOnly(err error) bool {
	var le *LookError
	return errors.As(err, &le) && le.PullsOnly
}

// paced reports a look that our own limits kept waiting for too long.
func paced(err error) bool {
	var le *LookError
	return errors.As(err, &le) && le.Paced
}

// ProblemOf classifies any error of a look; what is not a *LookError is
// Unreachable.
func ProblemOf(err error) Problem {
	var le *LookError
	if errors.As(err, &le) {
		return le.Problem
	}
	return Unreachable
}
