package watcher

import (
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// Failing, and gone, are told after so many failed looks in a row that span
	// at least so long.
	failuresToTell = 3
	failingToTell  = time.Hour
	maxReason      = 512
)

// failed is the health after a failed look.
func (h Health) failed(now time.Time, err error) Health {
	h.LastLook = now
	h.Problem, h.Reason = ProblemOf(err), reasonOf(err)
	if h.Failures == 0 {
		h.Since = now
	}
	h.Failures++
	if h.Problem != NotFound {
		if !h.Gone {
			h.NotFound, h.NotFoundSince = 0, time.Time{}
		}
		return h
	}
	if h.NotFound == 0 {
		h.NotFoundSince = now
	}
	h.NotFound++
	return h
}

// good is the health after a look that succeeded.
func (h Health) good(now time.Time) Health {
	return Health{LastLook: now, LastGood: now}
}

// failingSince reports whether looks have failed often and long enough to say
// so. What failed before from is not counted towards the time.
func (h Health) failingSince(from, now time.Time) bool {
	return h.Failures >= failuresToTell && lasted(later(h.Since, from), now, failingToTell)
}

// goneFor is the same for looks that proved that the tag is not there.
func (h Health) goneFor(now time.Time) bool {
	return h.NotFound >= failuresToTell && lasted(h.NotFoundSince, now, failingToTell)
}

// recovered is the event that is owed when a look succeeds again.
func (h Health) recovered(ref string, now time.Time) Event {
	e := Event{Kind: Recovered, Ref: ref, At: now, Problem: h.Problem, Reason: h.Reason, Since: h.Since}
	if h.Gone && !h.Told {
		e.Since = h.NotFoundSince
	}
	e.Identify()
	return e
}

// failing is the event that tells that looks keep failing.
func (h Health) failing(ref string, now time.Time) Event {
	e := Event{Kind: Failing, Ref: ref, At: now, Problem: h.Problem, Reason: h.Reason, Since: h.Since}
	e.Identify()
	return e
}

func lasted(since, now time.Time, d time.Duration) bool { return now.Sub(since) >= d }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// reasonOf is an error's text, short enough to keep.
func reasonOf(err error) string {
	s := strings.ToValidUTF8(err.Error(), "?")
	if len(s) <= maxReason {
		return s
	}
	cut := maxReason
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
