package watcher_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"basewatch/watcher"
)

func TestNextLookComesOnceAnIntervalAtItsOwnPhase(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ref := fmt.Sprintf("docker.io/library/app%d:%d", rapid.IntRange(0, 1000).Draw(t, "app"), rapid.IntRange(0, 50).Draw(t, "tag"))
		every := time.Duration(rapid.Int64Range(int64(time.Second), int64(72*time.Hour)).Draw(t, "every"))
		now := start.Add(time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "now")))
		first := watcher.NextLook(ref, now, every)
		if wait := first.Sub(now); wait < every/10 || wait > every+every/10 {
			t.Fatalf("%v after a look with the interval %v", wait, every)
		}
		late := time.Duration(rapid.Int64Range(0, int64(every*8/10)).Draw(t, "late"))
		if second := watcher.NextLook(ref, first.Add(late), every); second.Sub(first) != every {
			t.Fatalf("looked %v late: the next is %v after, want the interval %v", late, second.Sub(first), every)
		}
	})
}

func TestTagsOfARepositoryFallDueTogetherAndRepositoriesSpread(t *testing.T) {
	const every = 15 * time.Minute
	perMinute := make(map[int]int)
	for repo := range 500 {
		var first, last time.Duration
		for tag := range 20 {
			at := watcher.NextLook(fmt.Sprintf("docker.io/acme/r%d:%d", repo, tag), start, every).Sub(start)
			at = (at + every) % every
			if tag == 0 || at < first {
				first = at
			}
			last = max(last, at)
			perMinute[int(at/time.Minute)]++
		}
		if apart := last - first; apart > 30*time.Second && apart < every-30*time.Second {
			t.Errorf("tags of repository %d are %v apart", repo, apart)
		}
	}
	for minute := range 15 {
		if n := perMinute[minute]; n < 350 || n > 1000 {
			t.Errorf("%d of 10000 looks in minute %d of 15", n, minute)
		}
	}
}

func TestNextLookIsTheSameForEver(t *testing.T) {
	// A new version must not make everything due at other times.
	want := start.Add(2*time.Minute + 2*time.Second)
	if got := watcher.NextLook("docker.io/library/alpine:3.22", start, 15*time.Minute).Truncate(time.Second); !got.Equal(want) {
		t.Errorf("got %v, want %v", got.Sub(start), want.Sub(start))
	}
}

func TestBackoff(t *testing.T) {
	for _, tt := range []struct {
		every    time.Duration
		failures int
		soon     bool
		want     time.Duration
	}{
		{15 * time.Minute, 1, true, time.Minute},
		{15 * time.Minute, 2, true, 2 * time.Minute},
		{15 * time.Minute, 5, true, 16 * time.Minute},
		{15 * time.Minute, 7, true, time.Hour},
		{6 * time.Hour, 100, true, 6 * time.Hour},
		{time.Second, 1, true, time.Second},
		{time.Second, 100, true, 4 * time.Second},
		{15 * time.Minute, 0, false, 15 * time.Minute},
		{15 * time.Minute, 1, false, 15 * time.Minute},
		{15 * time.Minute, 2, false, 30 * time.Minute},
		{15 * time.Minute, 3, false, time.Hour},
		{15 * time.Minute, 1 << 30, false, time.Hour},
		{time.Second, 100, false, 4 * time.Second},
		{6 * time.Hour, 100, false, 6 * time.Hour},
		{30 * time.Minute, 100, false, time.Hour},
	} {
		if got := watcher.Backoff(tt.every, tt.failures, tt.soon); got != tt.want {
			t.Errorf("after %d failures at %v (soon: %v): %v, want %v", tt.failures, tt.every, tt.soon, got, tt.want)
		}
	}
}

func TestStretch(t *testing.T) {
	for _, tt := range []struct{ asked, ceiling, want float64 }{
		{100, 0, 1}, {0, 100, 1}, {90, 100, 1}, {180, 100, 2}, {27, 120, 1},
	} {
		if got := watcher.Stretch(tt.asked, tt.ceiling); got != tt.want {
			t.Errorf("%v asked of %v: %v, want %v", tt.asked, tt.ceiling, got, tt.want)
		}
	}
}
