package watcher_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"basewatch/watcher"
)

var (
	start  = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	policy = watcher.SettlePolicy{Settle: 30 * time.Minute, SettleMax: 24 * time.Hour, Interval: 15 * time.Minute}
	one    = []string{"linux/amd64"}
	three  = []string{"linux/amd64", "linux/arm64", "linux/s390x"}
)

// step is one look of a story. see lists what the index has, as
// "amd64=A arm64=B"; whatever follows a # moves the index alone.
type step struct {
	at   string
	see  string
	err  watcher.Problem
	want []string // platforms wanted from now on
	down bool     // the host is told to be failing
}

// story plays looks at one target.
type story struct {
	target watcher.Target
	policy watcher.SettlePolicy
	state  watcher.State
	events []watcher.Event
	notes  []watcher.Note
}

func newStory(platforms []string) *story {
	return &story{policy: policy, target: watcher.Target{Ref: "docker.io/library/alpine:3.22",
		Platforms: platforms, Every: 15 * time.Minute, Labels: map[string][]string{"team": {"shop"}}}}
}

func (s *story) look(now time.Time, see string, problem watcher.Problem) {
	var l watcher.Look
	if problem != "" {
		l.Err = &watcher.LookError{Problem: problem, Err: errors.New("it failed")}
	} else {
		snap := snapshot(see)
		l.Digest = snap.Index
		if l.Digest != s.state.Seen || newlyWanted(s.state, s.target.Platforms) {
			l.Snapshot = &snap
		}
	}
	next, events, notes := watcher.Settle(s.state, l, now, s.target, s.policy)
	s.state = next
	s.events = append(s.events, events...)
	s.notes = append(s.notes, notes...)
}

func newlyWanted(s watcher.State, wanted []string) bool {
	return slices.ContainsFunc(wanted, func(p string) bool {
		_, absent := s.MissingSince[p]
		return s.Current == nil || s.Current.Platforms[p].Digest == "" && !absent
	})
}

func snapshot(see string) watcher.Snapshot {
	snap := watcher.Snapshot{Index: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(see))),
		Platforms: make(map[string]watcher.Manifest)}
	see, _, _ = strings.Cut(see, "#")
	for _, entry := range strings.Fields(see) {
		arch, digest, _ := strings.Cut(entry, "=")
		snap.Platforms["linux/"+arch] = watcher.Manifest{Digest: digest}
	}
	return snap
}

func (s *story) play(t *testing.T, steps []step) {
	t.Helper()
	for _, st := range steps {
		d, err := time.ParseDuration(st.at)
		if err != nil {
			t.Fatal(err)
		}
		if st.want != nil {
			s.target.Platforms = st.want
		}
		s.policy.HostDown = st.down
		s.look(start.Add(d), st.see, st.err)
	}
}

// told is the events in short: "15m0s changed@1 amd64 A→B".
func told(events []watcher.Event) []string {
	var out []string
	for _, e := range events {
		w := []string{e.At.Sub(start).String(), string(e.Kind)}
		if e.Kind == watcher.Changed {
			w[1] += fmt.Sprintf("@%d", e.Seq)
			for _, p := range e.Platforms {
				w = append(w, strings.TrimPrefix(p, "linux/"), e.Old.Platforms[p].Digest+"→"+e.New.Platforms[p].Digest)
			}
		}
		if e.Kind == watcher.Incomplete {
			w = append(w, strings.Join(e.Platforms, ","))
		}
		if e.Partial {
			w = append(w, "partial")
		}
		if len(e.Awaiting) > 0 {
			w = append(w, "awaiting", strings.Join(e.Awaiting, ","))
		}
		if e.Rollback {
			w = append(w, "rollback")
		}
		if e.Thread != e.Key {
			w = append(w, "in", strings.Split(e.Thread, "|")[2])
		}
		if e.Problem != "" {
			w = append(w, string(e.Problem))
		}
		out = append(out, strings.Join(w, " "))
	}
	return out
}

func notesOf(notes []watcher.Note) []string {
	var out []string
	for _, n := range notes {
		out = append(out, n.At.Sub(start).String()+" "+string(n.Kind))
	}
	return out
}

// Each case is a sentence of the design's "when it is a change".
var settleStories = []struct {
	name      string
	platforms []string
	steps     []step
	events    []string
	notes     []string
}{
	{
		name: "a first sight is a baseline, not a change", platforms: one,
		steps:  []step{{at: "0m", see: "amd64=A"}, {at: "15m", see: "amd64=A"}},
		events: []string{"0s baseline"},
		notes:  []string{"0s baseline"},
	}, {
		name: "all wanted platforms moved to a projection not told before: at once", platforms: three,
		steps:  []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}, {at: "15m", see: "amd64=B arm64=B s390x=B"}},
		events: []string{"0s baseline", "15m0s changed@1 amd64 A→B arm64 A→B s390x A→B"},
		notes:  []string{"0s baseline", "15m0s changed"},
	}, {
		name: "a move first seen within settle of the last telling waits", platforms: one,
		steps: []step{{at: "0m", see: "amd64=A"}, {at: "15m", see: "amd64=B"}, {at: "30m", see: "amd64=C"},
			{at: "45m", see: "amd64=C"}, {at: "60m", see: "amd64=C"}},
		events: []string{"0s baseline", "15m0s changed@1 amd64 A→B", "1h0m0s changed@2 amd64 B→C"},
		notes:  []string{"0s baseline", "15m0s changed", "1h0m0s changed"},
	}, {
		name: "a move first seen later than settle after the last telling is told at once", platforms: one,
		steps: []step{{at: "0m", see: "amd64=A"}, {at: "15m", see: "amd64=B"}, {at: "46m", see: "amd64=C"}},
		events: []string{"0s baseline", "15m0s changed@1 amd64 A→B",
			"46m0s changed@2 amd64 B→C"},
		notes: []string{"0s baseline", "15m0s changed", "46m0s changed"},
	}, {
		name: "some moved: pending until none moved for settle, then partial", platforms: three,
		steps: []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}, {at: "15m", see: "amd64=B arm64=A s390x=A"},
			{at: "30m", see: "amd64=B arm64=B s390x=A"}, {at: "45m", see: "amd64=B arm64=B s390x=A"},
			{at: "60m", see: "amd64=B arm64=B s390x=A"}},
		events: []string{"0s baseline", "1h0m0s changed@1 amd64 A→B arm64 A→B partial awaiting linux/s390x"},
		notes:  []string{"0s baseline", "1h0m0s changed"},
	}, {
		name: "the last one moves while pending: at once and whole", platforms: three,
		steps: []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}, {at: "15m", see: "amd64=B arm64=A s390x=A"},
			{at: "30m", see: "amd64=B arm64=B s390x=B"}},
		events: []string{"0s baseline", "30m0s changed@1 amd64 A→B arm64 A→B s390x A→B"},
		notes:  []string{"0s baseline", "30m0s changed"},
	}, {
		name: "a pending change closes also while looks fail", platforms: three,
		steps: []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}, {at: "15m", see: "amd64=B arm64=A s390x=A"},
			{at: "30m", err: watcher.Unreachable}, {at: "45m", err: watcher.Throttled}},
		events: []string{"0s baseline", "45m0s changed@1 amd64 A→B partial awaiting linux/arm64,linux/s390x"},
		notes:  []string{"0s baseline", "45m0s changed"},
	}, {
		name: "settle_max ends the waiting while a platform keeps moving", platforms: one,
		steps: []step{{at: "0m", see: "amd64=A"}, {at: "15m", see: "amd64=B"}, {at: "30m", see: "amd64=C"},
			{at: "24h15m", see: "amd64=D"}, {at: "24h30m", see: "amd64=E"}},
		events: []string{"0s baseline", "15m0s changed@1 amd64 A→B", "24h30m0s changed@2 amd64 B→E"},
		notes:  []string{"0s baseline", "15m0s changed", "24h30m0s changed"},
	}, {
		name: "the rest of a partial change is one follow-up in its thread, when all of it moved", platforms: three,
		steps: []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}, {at: "15m", see: "amd64=B arm64=A s390x=A"},
			{at: "45m", see: "amd64=B arm64=A s390x=A"}, {at: "3h", see: "amd64=B arm64=B s390x=A"},
			{at: "6h", see: "amd64=B arm64=B s390x=A"}, {at: "9h", see: "amd64=B arm64=B s390x=B"}},
		events: []string{"0s baseline", "45m0s changed@1 amd64 A→B partial awaiting linux/arm64,linux/s390x",
			"9h0m0s changed@2 arm64 A→B s390x A→B in 1"},
		notes: []string{"0s baseline", "45m0s changed", "9h0m0s changed"},
	}, {
		name: "the rest is told at settle_max after the partial one if some did", platforms: three,
		steps: []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}, {at: "15m", see: "amd64=B arm64=A s390x=A"},
			{at: "45m", see: "amd64=B arm64=A s390x=A"}, {at: "3h", see: "amd64=B arm64=B s390x=A"},
			{at: "24h30m", see: "amd64=B arm64=B s390x=A"}, {at: "24h45m", err: watcher.Unreachable}},
		events: []string{"0s baseline", "45m0s changed@1 amd64 A→B partial awaiting linux/arm64,linux/s390x",
			"24h45m0s changed@2 arm64 A→B partial awaiting linux/s390x in 1"},
		notes: []string{"0s baseline", "45m0s changed", "24h45m0s changed"},
	}, {
		name: "no rest moved: it ends silently", platforms: three,
		steps: []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}, {at: "15m", see: "amd64=B arm64=A s390x=A"},
			{at: "45m", see: "amd64=B arm64=A s390x=A"}, {at: "24h45m", see: "amd64=B arm64=A s390x=A"},
			{at: "25h", see: "amd64=B arm64=B s390x=B"}, {at: "25h30m", see: "amd64=B arm64=B s390x=B"}},
		events: []string{"0s baseline", "45m0s changed@1 amd64 A→B partial awaiting linux/arm64,linux/s390x",
			"25h30m0s changed@2 arm64 A→B s390x A→B partial awaiting linux/amd64"},
		notes: []string{"0s baseline", "45m0s changed", "25h30m0s changed"},
	}, {
		name: "a platform already told that moves again does not wait for the rest", platforms: three,
		steps: []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}, {at: "15m", see: "amd64=B arm64=A s390x=A"},
			{at: "45m", see: "amd64=B arm64=A s390x=A"}, {at: "2h", see: "amd64=C arm64=A s390x=A"},
			{at: "2h15m", see: "amd64=C arm64=B s390x=A"}, {at: "2h30m", see: "amd64=C arm64=B s390x=A"}},
		events: []string{"0s baseline", "45m0s changed@1 amd64 A→B partial awaiting linux/arm64,linux/s390x",
			"2h30m0s changed@2 amd64 B→C arm64 A→B partial awaiting linux/s390x"},
		notes: []string{"0s baseline", "45m0s changed", "2h30m0s changed"},
	}, {
		name: "the clock of an ordinary move is not that of the rest before it", platforms: three,
		steps: []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}, {at: "15m", see: "amd64=B arm64=A s390x=A"},
			{at: "45m", see: "amd64=B arm64=A s390x=A"}, {at: "60m", see: "amd64=B arm64=B s390x=A"},
			{at: "5h", see: "amd64=C arm64=B s390x=B"}},
		events: []string{"0s baseline", "45m0s changed@1 amd64 A→B partial awaiting linux/arm64,linux/s390x",
			"5h0m0s changed@2 amd64 B→C arm64 A→B s390x A→B"},
		notes: []string{"0s baseline", "45m0s changed", "5h0m0s changed"},
	}, {
		name: "A→B→A while pending is a flap, recorded and silent", platforms: three,
		steps: []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}, {at: "15m", see: "amd64=B arm64=A s390x=A"},
			{at: "30m", see: "amd64=A arm64=A s390x=A"}, {at: "60m", see: "amd64=A arm64=A s390x=A"}},
		events: []string{"0s baseline"},
		notes:  []string{"0s baseline", "30m0s flap"},
	}, {
		name: "standing again for settle on a projection told before: a rollback", platforms: one,
		steps: []step{{at: "0m", see: "amd64=A"}, {at: "15m", see: "amd64=B"}, {at: "2h", see: "amd64=A"},
			{at: "2h15m", see: "amd64=A"}, {at: "2h30m", see: "amd64=A"}},
		events: []string{"0s baseline", "15m0s changed@1 amd64 A→B", "2h30m0s changed@2 amd64 B→A rollback"},
		notes:  []string{"0s baseline", "15m0s changed", "2h30m0s changed"},
	}, {
		name: "a rollback that comes in parts: its rest stands for settle too", platforms: three,
		steps: []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}, {at: "15m", see: "amd64=B arm64=B s390x=B"},
			{at: "2h", see: "amd64=A arm64=B s390x=B"}, {at: "2h30m", see: "amd64=A arm64=B s390x=B"},
			{at: "3h", see: "amd64=A arm64=A s390x=A"}, {at: "3h30m", see: "amd64=A arm64=A s390x=A"}},
		events: []string{"0s baseline", "15m0s changed@1 amd64 A→B arm64 A→B s390x A→B",
			"2h30m0s changed@2 amd64 B→A partial awaiting linux/arm64,linux/s390x",
			"3h30m0s changed@3 arm64 B→A s390x B→A rollback in 2"},
		notes: []string{"0s baseline", "15m0s changed", "2h30m0s changed", "3h30m0s changed"},
	}, {
		name: "told before counts also after another platform is no longer wanted", platforms: three[:2],
		steps: []step{{at: "0m", see: "amd64=A arm64=A"}, {at: "15m", see: "amd64=A arm64=A", want: one},
			{at: "30m", see: "amd64=B arm64=B"}, {at: "2h", see: "amd64=A arm64=A"}, {at: "2h30m", see: "amd64=A arm64=A"}},
		events: []string{"0s baseline", "30m0s changed@1 amd64 A→B", "2h30m0s changed@2 amd64 B→A rollback"},
		notes:  []string{"0s baseline", "30m0s changed", "2h30m0s changed"},
	}, {
		name: "a platform that moved and is then absent stays moved", platforms: three,
		steps: []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}, {at: "15m", see: "amd64=B arm64=A s390x=A"},
			{at: "30m", see: "arm64=A s390x=A"}, {at: "45m", see: "arm64=A s390x=A"}},
		events: []string{"0s baseline", "45m0s changed@1 amd64 A→B partial awaiting linux/arm64,linux/s390x"},
		notes:  []string{"0s baseline", "30m0s quiet", "45m0s changed"},
	}, {
		name: "what was first missed within a second is one event", platforms: three,
		steps: []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}, {at: "15m0.2s", see: "amd64=A arm64=A"},
			{at: "15m0.9s", see: "amd64=A"}, {at: "24h15m0s", see: "amd64=A"}, {at: "25h", see: "amd64=A"}},
		events: []string{"0s baseline", "24h15m0s incomplete linux/arm64,linux/s390x"},
		notes:  []string{"0s baseline", "15m0.2s quiet", "15m0.9s quiet", "24h15m0s health"},
	}, {
		name: "an absent platform keeps its old digest; incomplete once after settle_max", platforms: three,
		steps: []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}, {at: "15m", see: "amd64=A arm64=A"},
			{at: "24h", see: "amd64=A arm64=A"}, {at: "24h15m", see: "amd64=A arm64=A"},
			{at: "24h30m", see: "amd64=A arm64=A #2"}, {at: "25h", see: "amd64=A arm64=A s390x=A"}},
		events: []string{"0s baseline", "24h15m0s incomplete linux/s390x"},
		notes:  []string{"0s baseline", "15m0s quiet", "24h15m0s health", "24h30m0s quiet", "25h0m0s quiet"},
	}, {
		name: "one that is told to be absent is not waited for", platforms: three,
		steps: []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}, {at: "15m", see: "amd64=A arm64=A"},
			{at: "24h15m", see: "amd64=A arm64=A"}, {at: "25h", see: "amd64=B arm64=B"}},
		events: []string{"0s baseline", "24h15m0s incomplete linux/s390x", "25h0m0s changed@1 amd64 A→B arm64 A→B"},
		notes:  []string{"0s baseline", "15m0s quiet", "24h15m0s health", "25h0m0s changed"},
	}, {
		name: "a platform first seen is a baseline for itself", platforms: three,
		steps: []step{{at: "0m", see: "amd64=A arm64=A"}, {at: "15m", see: "amd64=A arm64=A s390x=A"},
			{at: "30m", see: "amd64=B arm64=B s390x=B"}},
		events: []string{"0s baseline", "30m0s changed@1 amd64 A→B arm64 A→B s390x A→B"},
		notes:  []string{"0s baseline", "15m0s baseline", "15m0s quiet", "30m0s changed"},
	}, {
		name: "a platform newly wanted is a baseline, one no longer wanted is dropped", platforms: one,
		steps: []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}, {at: "15m", see: "amd64=A arm64=A s390x=A", want: three[1:]},
			{at: "30m", see: "amd64=B arm64=A s390x=A"}, {at: "60m", see: "amd64=B arm64=B s390x=B"}},
		events: []string{"0s baseline", "1h0m0s changed@1 arm64 A→B s390x A→B"},
		notes:  []string{"0s baseline", "15m0s baseline", "30m0s quiet", "1h0m0s changed"},
	}, {
		name: "a pending move of a platform no longer wanted is dropped", platforms: three,
		steps: []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}, {at: "15m", see: "amd64=A arm64=A s390x=B"},
			{at: "30m", see: "amd64=A arm64=A s390x=B", want: three[:2]}, {at: "24h", see: "amd64=A arm64=A s390x=B"}},
		events: []string{"0s baseline"},
		notes:  []string{"0s baseline", "30m0s quiet"},
	}, {
		name: "the index moved and no wanted platform did: quiet", platforms: one,
		steps: []step{{at: "0m", see: "amd64=A arm64=A"}, {at: "15m", see: "amd64=A arm64=B"}, {at: "30m", see: "amd64=A arm64=B #2"}},
		events: []string{
			"0s baseline",
		},
		notes: []string{"0s baseline", "15m0s quiet", "30m0s quiet"},
	}, {
		name: "index noise does not hold up what is pending", platforms: three,
		steps: []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}, {at: "15m", see: "amd64=B arm64=A s390x=A"},
			{at: "40m", see: "amd64=B arm64=A s390x=A #2"}, {at: "45m", see: "amd64=B arm64=A s390x=A #3"}},
		events: []string{"0s baseline", "45m0s changed@1 amd64 A→B partial awaiting linux/arm64,linux/s390x"},
		notes:  []string{"0s baseline", "40m0s quiet", "45m0s quiet", "45m0s changed"},
	}, {
		name: "failing on 3 looks over 1 h is told once, and once when it recovers", platforms: one,
		steps: []step{{at: "0m", see: "amd64=A"}, {at: "15m", err: watcher.Denied}, {at: "30m", err: watcher.Unreachable},
			{at: "74m", err: watcher.Unreachable}, {at: "75m", err: watcher.Denied}, {at: "3h", err: watcher.Denied}, {at: "4h", see: "amd64=A"},
			{at: "5h", see: "amd64=A"}},
		events: []string{"0s baseline", "1h15m0s failing denied", "4h0m0s recovered denied"},
		notes:  []string{"0s baseline", "1h15m0s health", "4h0m0s health"},
	}, {
		name: "2 failed looks over 2 h are not told", platforms: one,
		steps:  []step{{at: "0m", see: "amd64=A"}, {at: "15m", err: watcher.Denied}, {at: "2h15m", err: watcher.Denied}, {at: "2h20m", see: "amd64=A"}},
		events: []string{"0s baseline"},
		notes:  []string{"0s baseline"},
	}, {
		name: "a throttled look says nothing about the target", platforms: one,
		steps: []step{{at: "0m", see: "amd64=A"}, {at: "1h", err: watcher.Throttled}, {at: "2h", err: watcher.Throttled},
			{at: "3h", err: watcher.Throttled}, {at: "4h", err: watcher.Throttled}},
		events: []string{"0s baseline"},
		notes:  []string{"0s baseline"},
	}, {
		name: "gone needs not-found on 3 looks over 1 h; back with the same digest is no change", platforms: one,
		steps: []step{{at: "0m", see: "amd64=A"}, {at: "15m", err: watcher.NotFound}, {at: "30m", err: watcher.NotFound},
			{at: "75m", err: watcher.NotFound}, {at: "3h", err: watcher.NotFound}, {at: "5h", see: "amd64=A"}},
		events: []string{"0s baseline", "1h15m0s gone not-found", "5h0m0s recovered not-found"},
		notes:  []string{"0s baseline", "1h15m0s health", "5h0m0s health"},
	}, {
		name: "a timeout among the not-found begins the proof of gone anew", platforms: one,
		steps: []step{{at: "0m", see: "amd64=A"}, {at: "15m", err: watcher.NotFound}, {at: "30m", err: watcher.NotFound},
			{at: "60m", err: watcher.Unreachable}, {at: "75m", err: watcher.NotFound}, {at: "90m", err: watcher.NotFound}},
		events: []string{"0s baseline"},
		notes:  []string{"0s baseline"},
	}, {
		name: "a tag that never was is failing, not gone", platforms: one,
		steps:  []step{{at: "0m", err: watcher.NotFound}, {at: "30m", err: watcher.NotFound}, {at: "60m", err: watcher.NotFound}},
		events: []string{"1h0m0s failing not-found"},
		notes:  []string{"1h0m0s health"},
	}, {
		name: "while the host is down a target's failing is not told", platforms: one,
		steps: []step{{at: "0m", see: "amd64=A"}, {at: "15m", err: watcher.Unreachable}, {at: "30m", err: watcher.Unreachable},
			{at: "75m", err: watcher.Unreachable, down: true}, {at: "5h", err: watcher.Unreachable, down: true}, {at: "6h", see: "amd64=A"}},
		events: []string{"0s baseline"},
		notes:  []string{"0s baseline"},
	}, {
		name: "a change found when it recovers is told too", platforms: one,
		steps: []step{{at: "0m", see: "amd64=A"}, {at: "15m", err: watcher.Denied}, {at: "45m", err: watcher.Denied},
			{at: "75m", err: watcher.Denied}, {at: "2h", see: "amd64=B"}},
		events: []string{"0s baseline", "1h15m0s failing denied", "2h0m0s recovered denied", "2h0m0s changed@1 amd64 A→B"},
		notes:  []string{"0s baseline", "1h15m0s health", "2h0m0s health", "2h0m0s changed"},
	}, {
		name: "a clock set back begins the waiting anew", platforms: three,
		steps: []step{{at: "9000h", see: "amd64=A arm64=A s390x=A"}, {at: "9001h", see: "amd64=B arm64=A s390x=A"},
			{at: "1h", see: "amd64=B arm64=A s390x=A"}, {at: "1h30m", see: "amd64=B arm64=A s390x=A"}},
		events: []string{"9000h0m0s baseline", "1h30m0s changed@1 amd64 A→B partial awaiting linux/arm64,linux/s390x"},
		notes:  []string{"9000h0m0s baseline", "1h30m0s changed"},
	},
}

func TestSettle(t *testing.T) {
	for _, tt := range settleStories {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(tt.platforms)
			s.play(t, tt.steps)
			if d := cmp.Diff(tt.events, told(s.events)); d != "" {
				t.Errorf("events (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.notes, notesOf(s.notes)); d != "" {
				t.Errorf("history (-want +got):\n%s", d)
			}
		})
	}
}

func TestSettleEventsCarryWhatReceiversNeed(t *testing.T) {
	s := newStory(one)
	s.play(t, []step{{at: "0m", see: "amd64=A"}, {at: "15m", see: "amd64=B"}, {at: "30m", see: "amd64=B #2"}, {at: "75m", see: "amd64=A"}, {at: "105m", see: "amd64=A"}})
	first, back := s.events[1], s.events[2]
	want := "changed|docker.io/library/alpine:3.22|1|" + watcher.Digest12(snapshot("amd64=B").Index)
	if first.Key != want || first.Thread != want {
		t.Errorf("key %q, thread %q, want %q", first.Key, first.Thread, want)
	}
	if !back.New.SeenAt.Equal(start.Add(75*time.Minute)) || !back.At.Equal(start.Add(105*time.Minute)) {
		t.Errorf("seen at %v, told at %v, want the first sight at 75m and the telling at 105m", back.New.SeenAt, back.At)
	}
	if d := cmp.Diff(map[string][]string{"team": {"shop"}}, first.Labels); d != "" {
		t.Errorf("labels: %s", d)
	}
	if s.state.Seen != snapshot("amd64=A").Index || s.state.Current.Index != s.state.Seen {
		t.Errorf("seen %s, current %s", s.state.Seen, s.state.Current.Index)
	}
}

func TestWhatIsPendingKeepsItsFirstSightWhenItsIndexIsReadAgain(t *testing.T) {
	s := newStory(three[:2])
	s.play(t, []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}, {at: "15m", see: "amd64=B arm64=A s390x=A"},
		{at: "30m", see: "amd64=B arm64=A s390x=A", want: three}, {at: "45m", see: "amd64=B arm64=A s390x=A"}})
	if c := s.events[1]; !c.New.SeenAt.Equal(start.Add(15 * time.Minute)) {
		t.Errorf("first seen at %v", c.New.SeenAt.Sub(start))
	}
}

func TestSettleRemembersABoundedNumberOfProjections(t *testing.T) {
	s := newStory(one)
	for i := range 100 {
		s.look(start.Add(time.Duration(i)*time.Hour), fmt.Sprintf("amd64=%d", i), "")
	}
	if n := len(s.state.Told); n != 32 || s.state.Seq != 99 {
		t.Errorf("%d projections remembered after %d changes", n, s.state.Seq)
	}
}

func TestGoneKeepsTheLastDigest(t *testing.T) {
	s := newStory(one)
	s.play(t, []step{{at: "0m", see: "amd64=A"}, {at: "15m", err: watcher.NotFound}, {at: "30m", err: watcher.NotFound}, {at: "75m", err: watcher.NotFound}})
	gone := s.events[1]
	if gone.Old == nil || gone.Old.Index != snapshot("amd64=A").Index || s.state.Current.Index != gone.Old.Index {
		t.Errorf("gone without its last digest: %+v", gone)
	}
	if !gone.Since.Equal(start.Add(15 * time.Minute)) {
		t.Errorf("gone since %v", gone.Since)
	}
}

func TestFailuresBeforeTheHostRecoveredDoNotCountTowardsFailing(t *testing.T) {
	s := newStory(one)
	s.policy.HostUpSince = start.Add(5 * time.Hour)
	s.play(t, []step{{at: "0m", see: "amd64=A"}, {at: "1h", err: watcher.Denied}, {at: "3h", err: watcher.Denied}, {at: "5h30m", err: watcher.Denied}})
	if len(s.events) != 1 {
		t.Errorf("told too early: %q", told(s.events))
	}
	s.play(t, []step{{at: "6h", err: watcher.Denied}})
	if len(s.events) != 2 {
		t.Errorf("not told: %q", told(s.events))
	}
}

func TestNextAtIsTheNextPollOrWhenPendingMayClose(t *testing.T) {
	s := newStory(three)
	s.policy.Interval = 6 * time.Hour
	s.play(t, []step{{at: "0m", see: "amd64=A arm64=A s390x=A"}})
	if poll := watcher.NextLook(s.target.Ref, start, 6*time.Hour); !s.state.NextAt.Equal(poll) {
		t.Errorf("quiet: next look at %v, want the poll at %v", s.state.NextAt, poll)
	}
	s.play(t, []step{{at: "6h", see: "amd64=B arm64=A s390x=A"}})
	if want := start.Add(6*time.Hour + 30*time.Minute); !s.state.NextAt.Equal(want) {
		t.Errorf("pending: next look at %v, want %v", s.state.NextAt, want)
	}
	s.policy.HostCrowded = true // no try before the next poll
	s.play(t, []step{{at: "6h10m", err: watcher.Unreachable}})
	if want := start.Add(6*time.Hour + 30*time.Minute); !s.state.NextAt.Equal(want) {
		t.Errorf("pending and failing: next look at %v, want %v", s.state.NextAt, want)
	}
	s.policy.HostCrowded = false
	s.play(t, []step{{at: "6h11m", err: watcher.Unreachable}})
	if soon := start.Add(6*time.Hour + 14*time.Minute); s.state.NextAt.After(soon) {
		t.Errorf("failing alone: next try at %v, want within minutes", s.state.NextAt)
	}
}

// TestPullsThatMustWaitPutOffNoLook: where a tag points is still asked for in
// its interval, also while something is pending.
func TestPullsThatMustWaitPutOffNoLook(t *testing.T) {
	s := newStory(one)
	s.play(t, []step{{at: "0m", see: "amd64=A"}})
	now := start.Add(time.Hour)
	l := watcher.Look{Err: &watcher.LookError{Problem: watcher.Throttled, Err: errors.New("429"), RetryAt: now.Add(5 * time.Hour), PullsOnly: true}}
	next, events, _ := watcher.Settle(s.state, l, now, s.target, s.policy)
	if next.NextAt.After(now.Add(s.target.Every*11/10)) || next.Health.Failures > 0 || len(events) > 0 {
		t.Errorf("next look at %v, %d failures, %d events", next.NextAt, next.Health.Failures, len(events))
	}
}

func TestARegistrysRetryAtIsObeyed(t *testing.T) {
	s := newStory(one)
	s.play(t, []step{{at: "0m", see: "amd64=A"}})
	until := start.Add(5 * time.Hour)
	l := watcher.Look{Err: &watcher.LookError{Problem: watcher.Throttled, Err: errors.New("429"), RetryAt: until}}
	next, _, _ := watcher.Settle(s.state, l, start.Add(time.Hour), s.target, s.policy)
	if next.NextAt.Before(until) {
		t.Errorf("next look at %v, before %v", next.NextAt, until)
	}
}
