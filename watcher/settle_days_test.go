package watcher_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"basewatch/watcher"
)

// days replays a registry: looks are made whenever the state says that one is
// due. world says what the tag is at a time, for the n-th look.
func (s *story) days(d time.Duration, world func(at time.Duration, n int) (see string, problem watcher.Problem)) {
	for n, now := 0, start; now.Sub(start) <= d; n++ {
		see, problem := world(now.Sub(start), n)
		s.look(now, see, problem)
		if !s.state.NextAt.After(now) {
			panic("a look is due at once, again and again")
		}
		now = s.state.NextAt
	}
}

func (s *story) changes() (cs []watcher.Event) {
	for _, e := range s.events {
		if e.Kind == watcher.Changed {
			cs = append(cs, e)
		}
	}
	return cs
}

// wave is an architecture wave: every push of the index moves one of eleven
// platforms, over nine hours.
func wave(at time.Duration) string {
	arches := []string{"386", "amd64", "arm", "mips64le", "ppc64le", "arm64", "riscv64", "windows", "armv5", "s390x", "loong64"}
	var b strings.Builder
	for i, arch := range arches {
		digest := "A"
		if at >= time.Hour+time.Duration(i)*54*time.Minute {
			digest = "B"
		}
		fmt.Fprintf(&b, "%s=%s ", arch, digest)
	}
	return b.String()
}

func TestAWaveOfElevenPushesIsOneEventForOneWantedPlatform(t *testing.T) {
	s := newStory(one)
	s.days(72*time.Hour, func(at time.Duration, _ int) (string, watcher.Problem) { return wave(at), "" })
	if cs := s.changes(); len(cs) != 1 || cs[0].Partial {
		t.Errorf("got %q, want one whole change", told(cs))
	}
}

func TestAWaveOfElevenPushesIsAtMostTwoEventsForThreeWantedPlatforms(t *testing.T) {
	s := newStory(three)
	s.days(72*time.Hour, func(at time.Duration, _ int) (string, watcher.Problem) { return wave(at), "" })
	cs := s.changes()
	if len(cs) != 2 || !cs[0].Partial || cs[1].Partial || cs[1].Thread != cs[0].Key {
		t.Fatalf("got %q, want a partial change and its follow-up", told(cs))
	}
	if !pointsTo(*cs[1].New, "B") {
		t.Errorf("the follow-up has %v", cs[1].New.Platforms)
	}
}

func TestAHundredMovesOfForeignPlatformsAndAttestationsAreSilent(t *testing.T) {
	s := newStory(one)
	s.days(60*time.Hour, func(_ time.Duration, n int) (string, watcher.Problem) {
		return fmt.Sprintf("amd64=A riscv64=%d # attestation %d", n/2, n), ""
	})
	if quiet := len(s.notes); len(s.events) != 1 || quiet < 100 {
		t.Errorf("%d looks with a moved index, events %q", quiet, told(s.events))
	}
}

func TestATwoDigestFlapAtEveryLookFor48HoursIsAtMostTwoMessages(t *testing.T) {
	s := newStory(one)
	s.days(49*time.Hour, func(at time.Duration, n int) (string, watcher.Problem) {
		if at > 48*time.Hour {
			return "amd64=A", ""
		}
		return []string{"amd64=A", "amd64=B"}[n%2], ""
	})
	cs := s.changes()
	if len(cs) == 0 || len(cs) > 2 {
		t.Fatalf("got %q", told(cs))
	}
	if last := cs[len(cs)-1]; !pointsTo(*last.New, "A") {
		t.Errorf("it stands on A, and the last told is %q", told(cs[len(cs)-1:]))
	}
}

func TestATagThatMovesAtEveryLookFor48HoursIsAtMostThreeMessagesAndTheLastDigestIsTold(t *testing.T) {
	s := newStory(one)
	last := ""
	s.days(50*time.Hour, func(at time.Duration, n int) (string, watcher.Problem) {
		if at <= 48*time.Hour {
			last = fmt.Sprintf("D%d", n)
		}
		return "amd64=" + last, ""
	})
	cs := s.changes()
	if len(cs) > 3 || !pointsTo(*cs[len(cs)-1].New, last) {
		t.Errorf("got %q, want at most 3, the last of them %s", told(cs), last)
	}
}

func TestWhatIsPendingIsToldAfterSettleAlsoWhenTheRegistryIsDownByThen(t *testing.T) {
	s := newStory(three)
	s.days(12*time.Hour, func(at time.Duration, n int) (string, watcher.Problem) {
		switch n {
		case 0:
			return "amd64=A arm64=A s390x=A", ""
		case 1:
			return "amd64=B arm64=A s390x=A", ""
		}
		return "", watcher.Unreachable
	})
	cs := s.changes()
	if len(cs) != 1 {
		t.Fatalf("got %q", told(cs))
	}
	if waited := cs[0].At.Sub(cs[0].New.SeenAt); waited != policy.Settle {
		t.Errorf("told %v after it was first seen, want %v", waited, policy.Settle)
	}
}

func TestThereAndBackWhilePendingIsSilent(t *testing.T) {
	s := newStory(three)
	s.days(12*time.Hour, func(_ time.Duration, n int) (string, watcher.Problem) {
		if n == 3 {
			return "amd64=B arm64=A s390x=A", ""
		}
		return "amd64=A arm64=A s390x=A", ""
	})
	if len(s.events) != 1 {
		t.Errorf("got %q", told(s.events))
	}
}

func TestADayOfFailuresIsOneEventAndItsEnd(t *testing.T) {
	s := newStory(one)
	looks := 0
	s.days(60*time.Hour, func(at time.Duration, n int) (string, watcher.Problem) {
		if n == 0 || at > 25*time.Hour {
			return "amd64=A", ""
		}
		looks++
		return "", watcher.Denied
	})
	if got := told(s.events); len(got) != 3 || looks > 30 {
		t.Errorf("%d failed looks in a day, events %q", looks, got)
	}
}

func pointsTo(s watcher.Snapshot, digest string) bool {
	for _, m := range s.Platforms {
		if m.Digest != digest {
			return false
		}
	}
	return len(s.Platforms) > 0
}

// history draws how a registry behaves: what it serves for how many looks.
type episode struct {
	see     string
	problem watcher.Problem
	looks   int
}

func drawEpisodes(t *rapid.T) []episode {
	digest := rapid.SampledFrom([]string{"A", "B", "C", ""})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) episode {
		e := episode{looks: rapid.IntRange(1, 130).Draw(t, "looks")}
		if rapid.IntRange(0, 4).Draw(t, "fails") == 0 {
			e.problem = rapid.SampledFrom([]watcher.Problem{watcher.NotFound, watcher.Unreachable, watcher.Throttled}).Draw(t, "problem")
			return e
		}
		for _, arch := range []string{"amd64", "arm64", "s390x"} {
			if d := digest.Draw(t, arch); d != "" || arch == "amd64" {
				e.see += arch + "=" + max(d, "A") + " "
			}
		}
		e.see += "#" + rapid.SampledFrom([]string{"1", "2"}).Draw(t, "noise")
		return e
	}), 1, 12).Draw(t, "episodes")
}

func TestSettleHoldsItsPromisesWhateverARegistryDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStory(three[:rapid.IntRange(1, 3).Draw(t, "platforms")])
		now := start
		for _, e := range drawEpisodes(t) {
			began := now
			for range e.looks {
				before := s.state
				events := len(s.events)
				s.look(now, e.see, e.problem)
				checkLook(t, s, before, s.events[events:], e.problem != "", now)
				now = s.state.NextAt
			}
			if e.problem == "" {
				checkStood(t, s, e.see, now.Sub(began))
			}
		}
		checkEvents(t, s.events)
	})
}

// checkLook holds what is true of every single look.
func checkLook(t *rapid.T, s *story, before watcher.State, events []watcher.Event, failed bool, now time.Time) {
	for _, e := range events {
		pending := before.Pending != nil
		if e.Kind == watcher.Changed && failed && (!pending || e.New.Index != before.Pending.Index) {
			t.Fatalf("a failed look made a change: %q", told(events))
		}
		if e.Kind == watcher.Changed && before.Current == nil {
			t.Fatalf("a first sight was a change: %q", told(events))
		}
	}
	if !s.state.NextAt.After(now) {
		t.Fatalf("due at once after a look at %v", now)
	}
	if failed && before.Current != nil && before.Pending == nil && s.state.Seen != before.Seen {
		t.Fatal("a failed look touched what was seen")
	}
	if p := s.state.Pending; p != nil && len(s.state.Awaiting) == 0 && now.Sub(s.state.PendingSince) >= policy.SettleMax {
		t.Fatalf("pending since %v, longer than settle_max at %v", s.state.PendingSince, now)
	}
	if s.state.Quiet() {
		checkQuiet(t, s, now)
	}
}

// checkQuiet holds what lets the loop skip [watcher.Settle] for quiet targets.
func checkQuiet(t *rapid.T, s *story, now time.Time) {
	again, events, notes := watcher.Settle(s.state, watcher.Look{Digest: s.state.Seen}, now.Add(48*time.Hour), s.target, s.policy)
	again.NextAt, again.Health = s.state.NextAt, s.state.Health
	if d := cmp.Diff(s.state, again); len(events)+len(notes) > 0 || d != "" {
		t.Fatalf("a quiet state was not: %q %q %s", told(events), notesOf(notes), d)
	}
}

// checkStood: what has stood for settle is what was told last, but for platforms
// that a partial change awaits: these may take as long as settle_max.
func checkStood(t *rapid.T, s *story, see string, stood time.Duration) {
	if stood < policy.Settle+3*policy.Interval {
		return
	}
	for p, m := range snapshot(see).Platforms {
		awaited := slices.Contains(s.state.Awaiting, p) && stood < policy.SettleMax+3*policy.Interval
		if has, wanted := s.state.Current.Platforms[p]; wanted && has.Digest != m.Digest && !awaited {
			t.Fatalf("%s has stood on %s for %v, and the last told is %s: %q", p, m.Digest, stood, has.Digest, told(s.events))
		}
	}
}

func checkEvents(t *rapid.T, events []watcher.Event) {
	keys := make(map[string]bool)
	seq := uint64(0)
	for _, e := range events {
		if keys[e.Key] {
			t.Fatalf("key %s twice: %q", e.Key, told(events))
		}
		keys[e.Key] = true
		if e.Kind != watcher.Changed {
			continue
		}
		if seq++; e.Seq != seq {
			t.Fatalf("change %d has the number %d", seq, e.Seq)
		}
		if len(e.Platforms) == 0 || e.Old.Platforms[e.Platforms[0]].Digest == e.New.Platforms[e.Platforms[0]].Digest {
			t.Fatalf("a change without a moved platform: %q", told(events))
		}
	}
}

func TestSettleIsPure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStory(three)
		now := start
		for _, e := range drawEpisodes(t) {
			before := s.state
			a, b := *s, *s
			a.look(now, e.see, e.problem)
			b.look(now, e.see, e.problem)
			if d := cmp.Diff(a.state, b.state); d != "" {
				t.Fatalf("twice the same look, two states:\n%s", d)
			}
			if d := cmp.Diff(before, s.state); d != "" {
				t.Fatalf("Settle wrote to the state it was given:\n%s", d)
			}
			s.state = a.state
			now = a.state.NextAt
		}
	})
}
