package watcher

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"
)

// The projection of a snapshot is what its wanted platforms point to. Snapshots
// inside a State hold just these; which others an index had is in Others.

// toldMax is how many projections told are remembered.
const toldMax = 32

// projected are the platforms of a snapshot, sorted.
func projected(s Snapshot) []string {
	return slices.Sorted(maps.Keys(s.Platforms))
}

// differing are the platforms of both snapshots that point elsewhere, sorted.
func differing(a, b Snapshot) []string {
	var out []string
	for _, p := range projected(a) {
		if m, ok := b.Platforms[p]; ok && m.Digest != a.Platforms[p].Digest {
			out = append(out, p)
		}
	}
	return out
}

// projectionHash names a projection among those told.
func projectionHash(s Snapshot) string {
	h := sha256.New()
	for _, p := range projected(s) {
		h.Write([]byte(p + " " + s.Platforms[p].Digest + "\n"))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// moved are the platforms in which a snapshot differs from what was last told.
func (w *settling) moved(s Snapshot) []string { return differing(*w.Current, s) }

func (w *settling) told(s Snapshot) bool {
	return slices.Contains(w.Told, projectionHash(s))
}

// remember makes a projection one that was told; a baseline counts.
func (w *settling) remember(s Snapshot) {
	if len(s.Platforms) == 0 {
		return
	}
	h := projectionHash(s)
	w.Told = append(slices.DeleteFunc(w.Told, func(t string) bool { return t == h }), h)
	w.Told = w.Told[max(0, len(w.Told)-toldMax):]
}

// completed keeps the wanted platforms of what was read, with the last digest
// of those that are absent, and the time when it was first seen.
func (w *settling) completed(seen Snapshot) Snapshot {
	all := make(map[string]Manifest, len(w.target.Platforms))
	for _, p := range w.target.Platforms {
		for _, s := range []*Snapshot{&seen, w.Pending, w.Current} {
			if s == nil {
				continue
			}
			if m, ok := s.Platforms[p]; ok {
				all[p] = m
				break
			}
		}
	}
	seen.Platforms, seen.SeenAt = all, w.now
	return seen
}

// adopt takes platforms first seen into what counts as told: a baseline for
// them, not a change.
func (w *settling) adopt(seen Snapshot) {
	fresh := without(projected(seen), projected(*w.Current))
	if len(fresh) == 0 {
		return
	}
	current := *w.Current
	current.Platforms = maps.Clone(current.Platforms)
	if current.Platforms == nil {
		current.Platforms = make(map[string]Manifest, len(fresh))
	}
	for _, p := range fresh {
		current.Platforms[p] = seen.Platforms[p]
	}
	w.Current = &current
	w.remember(current)
	w.note(NoteBaseline, seen.Index, "first sight of "+strings.Join(fresh, ", "))
}

// keepWanted drops what is remembered of platforms that are no longer wanted.
func (w *settling) keepWanted() {
	if w.Current == nil {
		return
	}
	if current := w.only(w.Current); current != w.Current {
		w.Current = current
		w.remember(*current)
	}
	if w.Pending != nil {
		w.Pending = w.only(w.Pending)
		if len(w.moved(*w.Pending)) == 0 {
			w.note(NoteQuiet, w.Pending.Index, "moved in a platform that is no longer wanted")
			w.forgetPending()
		}
	}
	unwanted := func(p string) bool { return !slices.Contains(w.target.Platforms, p) }
	w.MissingTold = slices.DeleteFunc(w.MissingTold, unwanted)
	maps.DeleteFunc(w.MissingSince, func(p string, _ time.Time) bool { return unwanted(p) })
	if w.Awaiting = slices.DeleteFunc(w.Awaiting, unwanted); len(w.Awaiting) == 0 {
		w.stopAwaiting()
	}
}

// only is the snapshot without unwanted platforms: itself if there are none.
func (w *settling) only(s *Snapshot) *Snapshot {
	if len(without(projected(*s), w.target.Platforms)) == 0 {
		return s
	}
	kept := *s
	kept.Platforms = maps.Clone(s.Platforms)
	maps.DeleteFunc(kept.Platforms, func(p string, _ Manifest) bool {
		return !slices.Contains(w.target.Platforms, p)
	})
	return &kept
}

// notePresence keeps since when each wanted platform has been absent.
func (w *settling) notePresence(seen Snapshot) {
	for _, p := range w.target.Platforms {
		_, there := seen.Platforms[p]
		_, missed := w.MissingSince[p]
		switch {
		case there && missed:
			delete(w.MissingSince, p)
			w.MissingTold = without(w.MissingTold, []string{p})
		case !there && !missed:
			if w.MissingSince == nil {
				w.MissingSince = make(map[string]time.Time)
			}
			// Whole seconds: what was first missed in the same second is told
			// in one event, and its key names that second.
			w.MissingSince[p] = w.now.Truncate(time.Second)
		}
	}
}

// incomplete tells of platforms that have been absent for too long, once.
func (w *settling) incomplete() {
	var absent []string
	var since time.Time
	for _, p := range w.target.Platforms {
		at, missing := w.MissingSince[p]
		if !missing || slices.Contains(w.MissingTold, p) || !lasted(at, w.now, w.policy.SettleMax) {
			continue
		}
		if len(absent) == 0 || at.Before(since) {
			since = at
		}
		absent = append(absent, p)
	}
	if len(absent) == 0 {
		return
	}
	e := w.event(Incomplete)
	e.Platforms, e.Since = absent, since
	e.Reason = "the tag no longer has, or never had, " + strings.Join(absent, ", ")
	e.Identify()
	w.events = append(w.events, e)
	w.note(NoteHealth, w.Seen, e.Reason)
	w.MissingTold = append(w.MissingTold, absent...)
	slices.Sort(w.MissingTold)
}

// unread reports whether a wanted platform is neither known nor known to be
// absent, so that a snapshot must be read even of an index seen before.
func (s State) unread(wanted []string) bool {
	if s.Current == nil {
		return true
	}
	return slices.ContainsFunc(wanted, func(p string) bool {
		_, known := s.Current.Platforms[p]
		_, absent := s.MissingSince[p]
		return !known && !absent
	})
}
