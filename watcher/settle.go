package watcher

import (
	"maps"
	"slices"
	"time"
)

// SettlePolicy is how patient [Settle] is, and what it must know of the world.
type SettlePolicy struct {
	// Settle is how long no wanted platform may move before a change that is
	// not whole, or not new, is told; SettleMax, how long it may wait at most.
	Settle    time.Duration
	SettleMax time.Duration
	// Interval is the time between looks as it is now, stretched where a
	// ceiling asks for it. Zero stands for [Target.Every].
	Interval time.Duration
	// HostDown says that the whole host fails and that this is told: its
	// targets' own failing is not. HostUpSince is when the host last recovered;
	// a target's failures count from then on.
	HostDown    bool
	HostUpSince time.Time
	// HostCrowded says that many targets of the host fail at once: then none is
	// looked at again before its interval.
	HostCrowded bool
}

// Settle turns a target's state and what a look found at now into the next
// state, the events that follow and the lines of history. It is pure, and is
// called for every look that may matter, also for failed ones: time passes for
// what is pending.
//
// A change is a moved projection, the digests of the wanted platforms. It is
// told at once when all of them moved, to what was not told before, and the
// move was first seen later than Settle after the last telling. Otherwise it is
// pending until nothing wanted moved for Settle, or for SettleMax at most. What
// comes back before that is a flap and silent. Where some platforms had not
// moved the change is partial, and the rest is one follow-up in its thread.
//
// Only events of a later number are ever found for a state; the same state and
// look give the same keys.
func Settle(s State, l Look, now time.Time, t Target, p SettlePolicy) (State, []Event, []Note) {
	if p.Interval <= 0 {
		p.Interval = t.Every
	}
	w := &settling{State: s.clone(), target: t, policy: p, now: now}
	w.notLaterThanNow()
	w.keepWanted()
	if l.Err != nil {
		w.failed(l.Err)
	} else {
		w.succeeded(l)
	}
	w.close()
	w.NextAt = w.next(l.Err)
	return w.State, w.events, w.notes
}

// settling is one call of Settle: the state as it becomes, and what follows.
type settling struct {
	State
	target Target
	policy SettlePolicy
	now    time.Time
	events []Event
	notes  []Note
}

func (w *settling) succeeded(l Look) {
	w.recover()
	if w.target.IsFamily() {
		w.listed(l)
		return
	}
	if l.Snapshot != nil {
		seen := *l.Snapshot
		seen.Index = l.Digest
		w.saw(seen)
		w.Seen = l.Digest
	}
	w.incomplete()
}

// saw takes in a snapshot that was read.
func (w *settling) saw(seen Snapshot) {
	w.notePresence(seen)
	seen = w.completed(seen)
	if w.Current == nil {
		w.baseline(seen)
		return
	}
	w.adopt(seen)
	switch moved := w.moved(seen); {
	case len(moved) > 0:
		w.pend(seen, moved)
	case w.Pending != nil:
		w.note(NoteFlap, w.Pending.Index, "moved and came back before it settled")
		w.forgetPending()
	case seen.Index != w.Seen:
		w.note(NoteQuiet, seen.Index, "the index moved, no wanted platform did")
	}
}

func (w *settling) baseline(seen Snapshot) {
	w.Current = &seen
	w.remember(seen)
	e := w.event(Baseline)
	e.New = w.Current
	e.Identify()
	w.events = append(w.events, e)
	w.note(NoteBaseline, seen.Index, "first sight")
}

// next is when the target is due: the next poll, or earlier when something
// pending may close.
func (w *settling) next(err error) time.Time {
	due := NextLook(w.target.Ref, w.now, w.policy.Interval)
	if err != nil && !pullsOnly(err) {
		due = later(nextTry(w.target.Ref, w.now, w.policy.Interval, w.Health.Failures, !w.policy.HostCrowded), retryAt(err))
	}
	for _, at := range w.deadlines() {
		if at.After(w.now) && at.Before(due) {
			due = at
		}
	}
	return due
}

// deadlines are the times at which something may close without a move. Those
// that have passed wait for something else.
func (w *settling) deadlines() []time.Time {
	var ds []time.Time
	if w.Pending != nil {
		ds = append(ds, w.MovedAt.Add(w.policy.Settle), w.PendingSince.Add(w.policy.SettleMax))
	}
	if len(w.Awaiting) > 0 {
		ds = append(ds, w.PartialAt.Add(w.policy.SettleMax))
	}
	for p, since := range w.MissingSince {
		if !slices.Contains(w.MissingTold, p) {
			ds = append(ds, since.Add(w.policy.SettleMax))
		}
	}
	return ds
}

// notLaterThanNow mends times of a clock that was set back: waiting begins
// anew, instead of lasting until the clock has caught up.
func (w *settling) notLaterThanNow() {
	for _, t := range []*time.Time{&w.PendingSince, &w.MovedAt, &w.ToldAt, &w.PartialAt,
		&w.Health.Since, &w.Health.NotFoundSince} {
		if t.After(w.now) {
			*t = w.now
		}
	}
	for p, since := range w.MissingSince {
		if since.After(w.now) {
			w.MissingSince[p] = w.now.Truncate(time.Second)
		}
	}
}

func (w *settling) event(k Kind) Event {
	return Event{Kind: k, Ref: w.target.Ref, At: w.now, Labels: w.target.Labels}
}

func (w *settling) note(k NoteKind, index, text string) {
	w.notes = append(w.notes, Note{At: w.now, Kind: k, Index: index, Text: text})
}

// clone copies what Settle may write to. Snapshots are never written to.
func (s State) clone() State {
	s.Told = slices.Clone(s.Told)
	s.Awaiting = slices.Clone(s.Awaiting)
	s.MissingSince = maps.Clone(s.MissingSince)
	s.MissingTold = slices.Clone(s.MissingTold)
	return s
}
