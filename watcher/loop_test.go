package watcher_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"basewatch/watcher"
)

const (
	alpine = "docker.io/library/alpine:3.22"
	ruby   = "docker.io/library/ruby:3.4-slim"
	base   = "ghcr.io/acme/base:main"
)

func refs(host string, n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("%s/acme/app%d:1", host, i))
	}
	return out
}

func failed(p watcher.Problem) error {
	return &watcher.LookError{Problem: p, Err: errors.New("it failed: " + string(p))}
}

func TestTheLoopTellsABaselineThenOnlyRealChangesAndReadsOnlyWhatMoved(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		f.watch(15*time.Minute, alpine, ruby)
		f.run(time.Hour, func() {
			time.Sleep(time.Hour)
			f.reg.push("amd64=B", alpine)
		})
		if n := len(f.told(watcher.Baseline)); n != 2 {
			t.Errorf("%d baselines, want 2", n)
		}
		changed := f.told(watcher.Changed)
		if len(changed) != 1 || changed[0].Ref != alpine || changed[0].CatchUp {
			t.Errorf("changes: %+v", changed)
		}
		if looks := f.reg.looks(alpine, ruby); looks < 16 || looks > 20 || f.reg.read != 3 {
			t.Errorf("%d looks and %d reads in two hours", looks, f.reg.read)
		}
	})
}

func TestAPanicInALookIsThatTargetsFailureAndNothingMore(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		all := refs("docker.io", 20)
		f.watch(15*time.Minute, all...)
		f.reg.script(func(_ context.Context, ref string) error {
			if ref == all[7] {
				panic("a bad image")
			}
			return nil
		})
		f.run(2 * time.Hour)
		if n := len(f.told(watcher.Baseline)); n != 19 {
			t.Errorf("%d baselines, want 19", n)
		}
		failing := f.told(watcher.Failing)
		if len(failing) != 1 || failing[0].Ref != all[7] || failing[0].Problem != watcher.Panicked {
			t.Errorf("failing: %+v", failing)
		}
		if s := f.state(all[7]); s.Health.Problem != watcher.Panicked || s.Health.Failures < 3 {
			t.Errorf("health: %+v", s.Health)
		}
		if logged := strings.Join(f.log.lines, "\n"); !strings.Contains(logged, "a bad image") || !strings.Contains(logged, "goroutine") {
			t.Errorf("no stack in the log:\n%s", logged)
		}
	})
}

func TestStoppingHandsBackWhatIsHeldAndBlamesNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		all := refs("docker.io", 25)
		f.watch(15*time.Minute, all...)
		f.reg.script(func(ctx context.Context, _ string) error {
			<-ctx.Done()
			return failed(watcher.Unreachable)
		})
		began := time.Now()
		f.run(time.Second)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("stopping took %v", took)
		}
		claims := f.claims("docker.io")
		if len(claims) != len(all) {
			t.Errorf("%d of %d claims handed back", len(claims), len(all))
		}
		for _, c := range claims {
			if c.Failures != 0 {
				t.Errorf("%s: %d failures", c.Target.Ref, c.Failures)
			}
		}
	})
}

func TestAHostThatHangsDelaysNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		slow, quick := refs("slow.example.com", 100), refs("ghcr.io", 100)
		f.watch(15*time.Minute, append(slow, quick...)...)
		f.reg.script(func(ctx context.Context, ref string) error {
			if strings.HasPrefix(ref, "slow") {
				<-ctx.Done()
				return failed(watcher.Unreachable)
			}
			return nil
		})
		f.run(time.Second)
		if n := len(f.told(watcher.Baseline)); n != 100 {
			t.Errorf("%d of 100 seen within a second", n)
		}
	})
}

func TestAHungLookIsGivenUpAndIsAFailure(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		all := refs("docker.io", 5)
		f.watch(15*time.Minute, all...)
		f.reg.script(func(ctx context.Context, ref string) error {
			if ref == all[2] {
				<-ctx.Done()
				return failed(watcher.Unreachable)
			}
			return nil
		})
		f.run(150 * time.Second) // it is tried again a minute after the first was given up
		if s := f.state(all[2]); s.Health.Failures != 1 {
			t.Errorf("health: %+v", s.Health)
		}
	})
}

func TestLooksInFlightAtAHostAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		f.watch(15*time.Minute, refs("docker.io", 50)...)
		f.cfg.InFlight = func(string) int { return 3 }
		f.loop = watcher.NewLoop(f.cfg)
		var now, most atomic.Int32
		f.reg.script(func(context.Context, string) error {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(40 * time.Millisecond)
			now.Add(-1)
			return nil
		})
		f.run(10 * time.Second)
		if most.Load() != 3 || len(f.told(watcher.Baseline)) != 50 {
			t.Errorf("%d at once, %d seen", most.Load(), len(f.told(watcher.Baseline)))
		}
	})
}

func TestAThrottledLookIsHandedBackUntilTheHostAllowsIt(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		all := append(refs("docker.io", 40), base)
		f.watch(15*time.Minute, all...)
		until := time.Now().Add(20 * time.Minute)
		f.reg.script(func(_ context.Context, ref string) error {
			if strings.HasPrefix(ref, "docker.io") && time.Now().Before(until) {
				return &watcher.LookError{Problem: watcher.Throttled, Err: errors.New("429"), RetryAt: until}
			}
			return nil
		})
		f.run(19 * time.Minute)
		if n := f.reg.looks(all[:40]...); n > 10 {
			t.Errorf("%d requests to a host that wants none, want no more than were in flight", n)
		}
		if s := f.state(all[0]); s.Health.Failures != 0 {
			t.Errorf("the target is blamed: %+v", s.Health)
		}
		if loads, err := f.store.Hosts(t.Context()); err != nil || loads[0].Unseen != 40 {
			t.Errorf("%d unseen, want all 40: no look was made (%v)", loads[0].Unseen, err)
		}
		f.run(2 * time.Minute)
		if n := len(f.told(watcher.Baseline)); n != 41 {
			t.Errorf("%d of 41 seen when the wait was over", n)
		}
	})
}

func TestWhatIsPendingIsToldInTimeWhileItsHostIsPaused(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		target := watcher.Target{Ref: alpine, Platforms: three, Every: 15 * time.Minute}
		if err := f.store.Watch(t.Context(), "test", []watcher.Target{target}); err != nil {
			t.Fatal(err)
		}
		f.reg.push("amd64=A arm64=A s390x=A", alpine)
		var pausedAt time.Time
		f.run(2*time.Hour, func() {
			time.Sleep(time.Hour)
			f.reg.push("amd64=B arm64=A s390x=A", alpine)
			time.Sleep(16 * time.Minute)
			f.reg.pause("docker.io", 6*time.Hour)
			pausedAt = time.Now()
		})
		changed := f.told(watcher.Changed)
		if len(changed) != 1 {
			t.Fatalf("changes: %+v", changed)
		}
		if waited := changed[0].At.Sub(changed[0].New.SeenAt); waited < policy.Settle || waited > policy.Settle+2*time.Minute {
			t.Errorf("told %v after it was first seen", waited)
		}
		for _, at := range f.reg.asked[alpine] {
			if at.After(pausedAt) {
				t.Errorf("a request at %v, after the pause began", at.Sub(pausedAt))
			}
		}
	})
}

func TestANewlyWantedPlatformIsReadFromAnIndexSeenBefore(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		f.watch(15*time.Minute, alpine)
		f.reg.push("amd64=A arm64=A s390x=A", alpine)
		f.run(time.Minute)
		target := watcher.Target{Ref: alpine, Platforms: three, Every: 15 * time.Minute}
		if err := f.store.Watch(t.Context(), "test", []watcher.Target{target}); err != nil {
			t.Fatal(err)
		}
		f.run(20 * time.Minute)
		if s := f.state(alpine); len(s.Current.Platforms) != 3 || s.Seq != 0 {
			t.Errorf("known of it: %+v", s.Current)
		}
		if f.reg.read != 2 {
			t.Errorf("%d reads, want one more", f.reg.read)
		}
	})
}

func TestAnIndexThatCannotBeReadIsNoProofThatTheTagIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		f.watch(15*time.Minute, alpine)
		f.run(time.Minute)
		f.reg.push("amd64=B", alpine)
		f.reg.unread = failed(watcher.NotFound)
		f.run(3 * time.Hour)
		if gone, failing := f.told(watcher.Gone), f.told(watcher.Failing); len(gone) != 0 || len(failing) != 1 {
			t.Errorf("gone %v, failing %v", gone, failing)
		}
		f.reg.unread = nil
		f.run(2 * time.Hour)
		if changed := f.told(watcher.Changed); len(changed) != 1 {
			t.Errorf("changes when it can be read again: %+v", changed)
		}
	})
}

func TestTargetsThatComeAndGoAreTakenUpByAWake(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		f.watch(15*time.Minute, alpine)
		var before, asked int
		f.run(5*time.Second,
			func() { f.watch(15*time.Minute, base); f.loop.Wake() },
			func() { before, asked = f.reg.looks(alpine), f.reg.allowances("docker.io") },
			func() { time.Sleep(2 * time.Hour) })
		if f.reg.looks(base) == 0 {
			t.Error("the new target was not looked at")
		}
		if after := f.reg.looks(alpine); after != before {
			t.Errorf("%d more looks at a target nobody watches", after-before)
		}
		if after := f.reg.allowances("docker.io"); after != asked {
			t.Errorf("the loop still works at a host without targets")
		}
	})
}

func TestAnIntervalIsStretchedToFitUnderTheCeiling(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		all := refs("docker.io", 90)
		f.watch(time.Minute, all...)
		f.cfg.Ceiling = func(string) float64 { return 10 } // 90 a minute into 9 a minute: ten times
		f.loop = watcher.NewLoop(f.cfg)
		f.run(time.Hour)
		if n := f.reg.looks(all...); n < 5*90 || n > 8*90 {
			t.Errorf("%d looks in an hour, want about 7 at each of 90", n)
		}
	})
}

// brokenStore refuses reports for a while.
type brokenStore struct {
	watcher.Store
	broken  atomic.Bool
	refused atomic.Int32
}

func (s *brokenStore) Report(ctx context.Context, rs []watcher.Result) ([]watcher.Verdict, error) {
	if s.broken.Load() {
		s.refused.Add(1)
		return nil, errors.New("no space left on device")
	}
	return s.Store.Report(ctx, rs)
}

func TestAStoreThatFailsForAWhileLosesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		all := refs("docker.io", 30)
		f.watch(15*time.Minute, all...)
		broken := &brokenStore{Store: f.store}
		f.cfg.Store = broken
		f.loop = watcher.NewLoop(f.cfg)
		f.run(30*time.Minute, func() {
			broken.broken.Store(true)
			f.reg.push("amd64=B", all...)
			time.Sleep(40 * time.Minute)
			broken.broken.Store(false)
		})
		if n := len(f.told(watcher.Changed)); n != 30 {
			t.Errorf("%d of 30 changes told", n)
		}
		if n := broken.refused.Load(); n == 0 || n > 600 {
			t.Errorf("%d reports while the store was broken", n)
		}
	})
}

// pickyStore refuses every report that has a certain target in it.
type pickyStore struct {
	watcher.Store
	ref string
}

func (s *pickyStore) Report(ctx context.Context, rs []watcher.Result) ([]watcher.Verdict, error) {
	for _, r := range rs {
		if r.Ref == s.ref {
			return nil, errors.New("value too large")
		}
	}
	return s.Store.Report(ctx, rs)
}

func TestAResultThatTheStoreCannotTakeKeepsBackNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		all := refs("docker.io", 20)
		f.watch(15*time.Minute, all...)
		f.cfg.Store = &pickyStore{Store: f.store, ref: all[4]}
		f.loop = watcher.NewLoop(f.cfg)
		f.run(4 * time.Minute)
		if n := len(f.told(watcher.Baseline)); n < 10 {
			t.Errorf("%d of 19 seen", n)
		}
		f.run(10 * time.Minute)
		if n := len(f.told(watcher.Baseline)); n != 19 {
			t.Errorf("%d of 19 seen", n)
		}
	})
}

func TestRunWithoutItsPartsIsAnError(t *testing.T) {
	if err := watcher.NewLoop(watcher.LoopConfig{}).Run(t.Context()); err == nil {
		t.Error("no error")
	}
}

func TestRunReturnsWhenItsContextHasEndedBefore(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		f.watch(time.Minute, alpine)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := f.loop.Run(ctx); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if f.reg.looks(alpine) != 0 {
			t.Error("a look was made")
		}
	})
}
