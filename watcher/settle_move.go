package watcher

import (
	"slices"
	"time"
)

// pend keeps a projection that differs from what was last told until it has
// settled. moved are its platforms that differ.
//
// After a partial change there are two kinds of moves: of platforms still
// awaited, which wait for each other, and ordinary ones. Ordinary ones have the
// clock (PendingSince, MovedAt): they never wait for an awaited platform.
func (w *settling) pend(seen Snapshot, moved []string) {
	last := *w.Current
	var before []string
	if w.Pending != nil {
		last, before = *w.Pending, w.moved(*w.Pending)
	}
	now := differing(last, seen)
	ordinary, wasOrdinary := without(moved, w.Awaiting), without(before, w.Awaiting)
	resets := now
	if len(ordinary) > 0 {
		resets = without(now, w.Awaiting)
	}
	switch {
	case w.Pending == nil, (len(ordinary) > 0) != (len(wasOrdinary) > 0):
		w.PendingSince, w.MovedAt = w.now, w.now
	case len(resets) > 0:
		w.MovedAt = w.now
	case w.Pending.Index == seen.Index:
		seen.SeenAt = w.Pending.SeenAt
	case len(now) == 0:
		w.note(NoteQuiet, seen.Index, "the index moved, no wanted platform did")
	}
	w.Pending = &seen
}

// close tells what is pending if its time has come.
func (w *settling) close() {
	if w.Current == nil {
		return
	}
	expired := len(w.Awaiting) > 0 && lasted(w.PartialAt, w.now, w.policy.SettleMax)
	if w.Pending == nil {
		if expired {
			w.stopAwaiting()
		}
		return
	}
	moved := w.moved(*w.Pending)
	if len(without(moved, w.Awaiting)) == 0 {
		w.closeRest(moved, expired)
		return
	}
	rest := w.notMoved(moved)
	if w.wholeAndNew(rest) || w.stood() || lasted(w.PendingSince, w.now, w.policy.SettleMax) {
		w.tell(moved, rest, "")
		if len(rest) > 0 {
			w.await(rest)
		}
	}
}

// closeRest tells what a partial change left open, once: when all of it moved,
// or what did when its time is up.
func (w *settling) closeRest(moved []string, expired bool) {
	rest := without(without(w.Awaiting, moved), w.MissingTold)
	whole := len(rest) == 0 && (!w.told(*w.Pending) || w.stood())
	if whole || expired {
		w.tell(moved, rest, w.Thread)
		w.stopAwaiting()
	}
}

// wholeAndNew reports what need not settle: all wanted platforms moved, to a
// projection not told before, and not right after the last telling.
func (w *settling) wholeAndNew(rest []string) bool {
	return len(rest) == 0 && !w.told(*w.Pending) &&
		(w.ToldAt.IsZero() || w.PendingSince.After(w.ToldAt.Add(w.policy.Settle)))
}

func (w *settling) stood() bool { return lasted(w.MovedAt, w.now, w.policy.Settle) }

// notMoved are the wanted platforms that a change leaves where they were. One
// whose absence was told is not waited for.
func (w *settling) notMoved(moved []string) []string {
	return without(without(projected(*w.Current), moved), w.MissingTold)
}

// tell makes the change that is pending the current one. An empty thread begins
// a new one.
func (w *settling) tell(moved, rest []string, thread string) {
	w.Seq++
	e := w.event(Changed)
	e.Seq, e.Thread = w.Seq, thread
	e.Old, e.New = w.Current, w.Pending
	e.Platforms, e.Awaiting = moved, rest
	e.Partial = len(rest) > 0
	e.Rollback = w.told(*w.Pending)
	e.Identify()
	w.events = append(w.events, e)
	w.notes = append(w.notes, Note{At: w.now, Kind: NoteChanged, Index: e.New.Index, Event: &e})

	w.remember(*w.Pending)
	w.Current, w.ToldAt = w.Pending, w.now
	w.FrozenAt = time.Time{}
	w.forgetPending()
	if thread == "" {
		w.stopAwaiting()
	}
}

func (w *settling) await(rest []string) {
	w.Awaiting, w.PartialAt = rest, w.now
	w.Thread = w.events[len(w.events)-1].Thread
}

func (w *settling) stopAwaiting() {
	w.Awaiting, w.Thread = nil, ""
	w.PartialAt = time.Time{}
}

func (w *settling) forgetPending() {
	w.Pending = nil
	w.PendingSince, w.MovedAt = time.Time{}, time.Time{}
}

// without gives the names of a that are not in b, in order.
func without(a, b []string) []string {
	var out []string
	for _, n := range a {
		if !slices.Contains(b, n) {
			out = append(out, n)
		}
	}
	return out
}
