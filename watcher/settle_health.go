package watcher

import (
	"errors"
	"time"
)

// failed counts a failed look, and tells once when they have failed for long.
// None of it touches what is known of the image. A throttled look says nothing
// about the target: it is its host's matter.
func (w *settling) failed(err error) {
	if ProblemOf(err) == Throttled {
		return
	}
	w.Health = w.Health.failed(w.now, err)
	if w.Health.Gone {
		return
	}
	h := &w.Health
	switch {
	case w.Current != nil && h.goneFor(w.now):
		h.Gone = true
		e := Event{Kind: Gone, Ref: w.target.Ref, At: w.now, Problem: h.Problem, Reason: h.Reason,
			Since: h.NotFoundSince, Old: w.Current}
		w.tellHealth(e, "gone: ")
	case h.Told || w.policy.HostDown || w.Current != nil && h.Problem == NotFound:
		// A tag that was there and is not found goes by the rule above.
	case h.failingSince(w.policy.HostUpSince, w.now):
		h.Told = true
		w.tellHealth(h.failing(w.target.Ref, w.now), "failing: ")
	}
}

// recover takes in a look that succeeded.
func (w *settling) recover() {
	if w.Health.Told || w.Health.Gone {
		w.tellHealth(w.Health.recovered(w.target.Ref, w.now), "recovered from: ")
	}
	w.Health = w.Health.good(w.now)
}

func (w *settling) tellHealth(e Event, word string) {
	e.Labels = w.target.Labels
	e.Identify()
	w.events = append(w.events, e)
	w.note(NoteHealth, w.Seen, word+e.Reason)
}

// retryAt is the earliest time at which the host may be asked again, as far as
// a failed look says.
func retryAt(err error) time.Time {
	var le *LookError
	if errors.As(err, &le) {
		return le.RetryAt
	}
	return time.Time{}
}
