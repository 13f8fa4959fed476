package watcher_test

import (
	"testing"
	"time"

	"basewatch/watcher"
)

const day = 24 * time.Hour

func TestATagThatIsNoLongerRebuiltIsToldOnceAndAChangeEndsIt(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		f.cfg.Census = f.store
		f.loop = watcher.NewLoop(f.cfg)
		f.watch(6*time.Hour, python("3.12"), python("3.13"), alpine)
		began := time.Now()
		f.run(40*day, func() { time.Sleep(60 * day); f.reg.push("amd64=B", python("3.13")) })
		frozen := f.told(watcher.Frozen)
		if len(frozen) != 1 || frozen[0].Ref != python("3.12") {
			t.Fatalf("frozen: %+v", frozen)
		}
		if e := frozen[0]; e.Since.Sub(began) > 7*time.Hour || e.At.Sub(e.Since) < 90*day || e.At.Sub(e.Since) > 92*day {
			t.Errorf("frozen since %v, told %v", e.Since, e.At)
		}
		if f.state(python("3.12")).FrozenAt.IsZero() {
			t.Error("the state does not have it")
		}
		f.run(30 * day)
		f.reg.push("amd64=C", python("3.12"))
		f.run(7 * day)
		if n := len(f.told(watcher.Frozen)); n != 1 || !f.state(python("3.12")).FrozenAt.IsZero() {
			t.Errorf("%d times frozen; state %+v", n, f.state(python("3.12")))
		}
	})
}

func TestARepositoryThatIsRebuiltNoMoreAtAllIsNotFrozen(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		f.cfg.Census = f.store
		f.loop = watcher.NewLoop(f.cfg)
		f.watch(6*time.Hour, python("3.12"), python("3.13"))
		f.run(200 * day)
		if frozen := f.told(watcher.Frozen); len(frozen) != 0 {
			t.Errorf("%+v", frozen)
		}
	})
}

func TestWhatAFamilyLeavesBehindIsNotFrozen(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		f.cfg.Census = f.store
		f.loop = watcher.NewLoop(f.cfg)
		f.watchFamily(3, "3.14-slim 3.13-slim 3.12-slim")
		f.run(60*day, func() { time.Sleep(80 * day); f.reg.push("amd64=B", python("3.14")) })
		if frozen := f.told(watcher.Frozen); len(frozen) != 0 {
			t.Errorf("%+v", frozen)
		}
	})
}

func TestAnImagesOwnDateSaysWhenItWasBuilt(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		created string
		seq     uint64
		want    time.Time
	}{
		"annotated":               {"2025-03-01T10:00:00Z", 0, time.Date(2025, 3, 1, 10, 0, 0, 0, time.UTC)},
		"not annotated":           {"", 0, now},
		"made to be reproducible": {"1970-01-01T00:00:00Z", 0, now},
		"no date":                 {"yesterday", 0, now},
		"moved there since":       {"2025-03-01T10:00:00Z", 1, now},
	} {
		t.Run(name, func(t *testing.T) {
			s := watcher.State{Seq: tc.seq, Current: &watcher.Snapshot{SeenAt: now, Platforms: map[string]watcher.Manifest{
				"linux/amd64": {Annotations: map[string]string{"org.opencontainers.image.created": tc.created}}}}}
			if got := watcher.RebuiltAt(s); !got.Equal(tc.want) {
				t.Errorf("built %v, want %v", got, tc.want)
			}
		})
	}
}
