package watcher_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"basewatch/watcher"
)

// watchFamily makes python#3.x-slim a target with these tags, each of which
// stands at A, and with whatever else is to be watched.
func (f *fixture) watchFamily(keep int, tags string, others ...watcher.Target) {
	f.t.Helper()
	family := watcher.Target{Ref: pythons, Platforms: one, Every: time.Hour, Keep: keep, Labels: map[string][]string{"team": {"shop"}}}
	if err := f.store.Watch(f.t.Context(), "test", append(others, family)); err != nil {
		f.t.Fatal(err)
	}
	f.reg.push(tags, pythons)
	f.reg.push("amd64=A", python("3.15"), python("3.14"), python("3.13"), python("3.12"))
}

func python(version string) string { return "docker.io/library/python:" + version + "-slim" }

// awake are the references of what is watched.
func (f *fixture) awake() (out []string) {
	f.t.Helper()
	err := f.store.Each(f.t.Context(), func(r watcher.Record) error {
		out = append(out, r.Target.Ref)
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

func (f *fixture) wantAwake(want ...string) {
	f.t.Helper()
	if diff := cmp.Diff(want, f.awake()); diff != "" {
		f.t.Errorf("watched (-want +got):\n%s", diff)
	}
}

func TestTheNewestTagsOfAFamilyAreWatchedAndThoseThatFallOutSleep(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		f.watchFamily(2, "3.14-slim 3.13-slim 3.12-slim")
		f.run(3 * time.Hour)
		f.wantAwake(pythons, python("3.13"), python("3.14"))
		if b := f.told(watcher.Baseline); len(b) != 3 || len(f.told(watcher.Appeared)) != 0 {
			t.Errorf("%d baselines, appeared %v", len(b), f.told(watcher.Appeared))
		}
		f.reg.push("3.15-slim 3.14-slim 3.13-slim 3.12-slim", pythons)
		f.run(3*time.Hour, func() {
			time.Sleep(2 * time.Hour)
			f.reg.push("amd64=B", python("3.15"))
		})
		f.wantAwake(pythons, python("3.14"), python("3.15"))
		appeared, changed := f.told(watcher.Appeared), f.told(watcher.Changed)
		if len(appeared) != 1 || appeared[0].Ref != python("3.15") {
			t.Errorf("appeared: %+v", appeared)
		}
		if len(changed) != 1 || changed[0].Ref != python("3.15") || changed[0].Labels["team"] == nil {
			t.Errorf("changes of what appeared: %+v", changed)
		}
	})
}

// writes counts the states that are reported.
type writes struct {
	watcher.Store
	n atomic.Int32
}

func (w *writes) Report(ctx context.Context, rs []watcher.Result) ([]watcher.Verdict, error) {
	for _, r := range rs {
		if r.State != nil {
			w.n.Add(1)
		}
	}
	return w.Store.Report(ctx, rs)
}

func TestAnUnchangedFamilyWritesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		w := &writes{Store: f.store}
		f.cfg.Store = w
		f.loop = watcher.NewLoop(f.cfg)
		f.watchFamily(2, "3.14-slim 3.13-slim")
		f.run(3 * time.Hour)
		c := f.state(pythons)
		if n := w.n.Load(); n != 3 {
			t.Errorf("%d states written for a family and two tags", n)
		}
		f.run(5 * time.Hour)
		if looks := f.reg.looks(pythons); looks < 7 || looks > 10 {
			t.Errorf("%d lists in eight hours", looks)
		}
		if now := f.state(pythons); !now.Quiet() || now.Family.Total != c.Family.Total || len(f.told(watcher.Baseline)) != 3 {
			t.Errorf("%+v", now)
		}
		if n := w.n.Load(); n != 3 {
			t.Errorf("%d states written in all", n)
		}
	})
}

func TestWhatAFamilyFoundSleepsWithItAndComesBackWithIt(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		named := watcher.Target{Ref: python("3.13"), Platforms: one, Every: time.Hour}
		f.watchFamily(3, "3.14-slim 3.13-slim 3.12-slim", named)
		f.run(2 * time.Hour)
		f.wantAwake(pythons, python("3.12"), python("3.13"), python("3.14"))
		if err := f.store.Watch(t.Context(), "test", []watcher.Target{named}); err != nil {
			t.Fatal(err)
		}
		f.wantAwake(python("3.13"))
		// A look that was under way then must not bring them back.
		if err := f.store.Watch(t.Context(), watcher.FamilySource(pythons), []watcher.Target{named, {Ref: python("3.12"), Platforms: one, Every: time.Hour}}); err != nil {
			t.Fatal(err)
		}
		f.wantAwake(python("3.13"))
		f.watchFamily(3, "3.15-slim 3.14-slim 3.13-slim 3.12-slim")
		f.run(2 * time.Hour)
		f.wantAwake(pythons, python("3.13"), python("3.14"), python("3.15"))
		if appeared := f.told(watcher.Appeared); len(appeared) != 1 {
			t.Errorf("appeared while the family was not watched: %+v", appeared)
		}
	})
}

func TestAFamilyThatCannotBeListedKeepsItsTargets(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		f.watchFamily(2, "3.14-slim 3.13-slim")
		f.run(2 * time.Hour)
		f.reg.unlisted = failed(watcher.Invalid)
		f.run(5 * time.Hour)
		f.wantAwake(pythons, python("3.13"), python("3.14"))
		failing := f.told(watcher.Failing)
		if len(failing) != 1 || failing[0].Ref != pythons {
			t.Errorf("failing: %+v", failing)
		}
		f.reg.unlisted = nil
		f.run(5 * time.Hour)
		if recovered := f.told(watcher.Recovered); len(recovered) != 1 || len(f.told(watcher.Appeared)) != 0 {
			t.Errorf("recovered: %+v", recovered)
		}
	})
}

func TestMoreTagsKeptAreWatchedAndNoneIsNew(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		f.watchFamily(1, "3.14-slim 3.13-slim 3.12-slim")
		f.run(2 * time.Hour)
		f.watchFamily(3, "3.14-slim 3.13-slim 3.12-slim")
		f.run(2 * time.Hour)
		f.wantAwake(pythons, python("3.12"), python("3.13"), python("3.14"))
		if appeared := f.told(watcher.Appeared); len(appeared) != 0 {
			t.Errorf("%+v", appeared)
		}
	})
}
