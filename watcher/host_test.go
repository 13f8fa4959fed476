package watcher_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"basewatch/watcher"
)

func down(host string, p watcher.Problem) func(context.Context, string) error {
	return func(_ context.Context, ref string) error {
		if ref == host || strings.HasPrefix(ref, host+"/") {
			return failed(p)
		}
		return nil
	}
}

func TestAHostThatFailsAsAWholeIsOneEventAndItsEndAnother(t *testing.T) {
	for _, problem := range []watcher.Problem{watcher.Unreachable, watcher.Denied, watcher.Throttled} {
		t.Run(string(problem), func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fixture) {
				f.watch(15*time.Minute, append(refs("docker.io", 10), base)...)
				f.run(3*time.Hour, func() {
					time.Sleep(time.Hour)
					f.reg.script(down("docker.io", problem))
					time.Sleep(24 * time.Hour)
					f.reg.script(nil)
				})
				failing, recovered := f.told(watcher.Failing), f.told(watcher.Recovered)
				if len(failing) != 1 || failing[0].Ref != "docker.io" || failing[0].Problem != problem {
					t.Errorf("failing: %+v", failing)
				}
				if len(recovered) != 1 || recovered[0].Ref != "docker.io" || !recovered[0].Since.Equal(failing[0].Since) {
					t.Errorf("recovered: %+v", recovered)
				}
				if took := failing[0].At.Sub(failing[0].Since); took < time.Hour || took > 2*time.Hour {
					t.Errorf("told after %v", took)
				}
			})
		})
	}
}

func TestAHostsFailingIsToldOnceAlsoOverARestart(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		f.watch(15*time.Minute, refs("docker.io", 10)...)
		f.reg.script(down("docker.io", watcher.Unreachable))
		f.run(3 * time.Hour)
		f.close()
		f.open()
		f.run(3 * time.Hour)
		if n := len(f.told(watcher.Failing)); n != 1 {
			t.Errorf("told %d times", n)
		}
		f.reg.script(nil)
		f.run(3 * time.Hour)
		if n := len(f.told(watcher.Recovered)); n != 1 {
			t.Errorf("recovered told %d times", n)
		}
	})
}

func TestATargetThatStaysFailingIsToldAnHourAfterItsHostRecovered(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		all := refs("docker.io", 10)
		f.watch(15*time.Minute, all...)
		var up time.Time
		f.run(4*time.Hour, func() {
			f.reg.script(down("docker.io", watcher.Unreachable))
			time.Sleep(6 * time.Hour)
			up = time.Now()
			f.reg.script(down("docker.io/acme/app3:1", watcher.Denied))
		})
		failing := f.told(watcher.Failing)
		if len(failing) != 2 || failing[1].Ref != all[3] {
			t.Fatalf("failing: %+v", failing)
		}
		if after := failing[1].At.Sub(up); after < time.Hour {
			t.Errorf("told %v after the host recovered", after)
		}
	})
}

func TestOneTargetsFailingIsItsOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		all := refs("docker.io", 5)
		f.watch(15*time.Minute, all...)
		f.run(3*time.Hour, func() {
			f.reg.script(func(_ context.Context, ref string) error {
				if ref == all[3] {
					return failed(watcher.Denied)
				}
				return nil
			})
		})
		if failing := f.told(watcher.Failing); len(failing) != 1 || failing[0].Ref != all[3] {
			t.Errorf("failing: %+v", failing)
		}
	})
}

func TestALoneImageThatIsDeniedIsNotItsHostsFault(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		f.watch(15*time.Minute, base)
		f.reg.script(down("ghcr.io", watcher.Denied))
		f.run(3 * time.Hour)
		if failing := f.told(watcher.Failing); len(failing) != 1 || failing[0].Ref != base {
			t.Errorf("failing: %+v", failing)
		}
	})
}

func TestChangesMadeWhileTheDaemonWasDownAreCatchUpsUntilThePassEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		all := refs("docker.io", 50)
		f.watch(15*time.Minute, all...)
		f.run(20 * time.Minute)
		if len(f.passes) != 1 {
			t.Errorf("%d passes ended at the first start, want 1", len(f.passes))
		}
		f.close()
		time.Sleep(5 * time.Hour)
		f.reg.push("amd64=B", all...)
		f.open()
		f.reg.script(func(context.Context, string) error {
			if f.mu.Lock(); len(f.passes) > 1 {
				t.Error("the pass ended before its last look")
			}
			f.mu.Unlock()
			time.Sleep(time.Second)
			return nil
		})
		f.run(10 * time.Second)
		changed := f.told(watcher.Changed)
		if len(changed) != 50 || len(f.passes) != 2 {
			t.Fatalf("%d changes, passes ended %v", len(changed), f.passes)
		}
		for _, e := range changed {
			if !e.CatchUp {
				t.Errorf("%s is not a catch-up", e.Ref)
			}
		}
	})
}

func TestAPassEndsAfterTenMinutesAtMost(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		f.watch(15*time.Minute, refs("docker.io", 2000)...)
		f.reg.script(func(context.Context, string) error { time.Sleep(20 * time.Second); return nil })
		f.run(9*time.Minute, func() {})
		if len(f.passes) != 0 {
			t.Errorf("ended while its looks went on: %v", f.passes)
		}
		f.run(12 * time.Minute)
		if len(f.passes) == 0 {
			t.Error("not ended")
		}
	})
}

func TestOnlyTheFirstFailuresAreLogged(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		f.watch(15*time.Minute, refs("docker.io", 200)...)
		f.reg.script(down("docker.io", watcher.Unreachable))
		f.run(3 * time.Hour)
		warned := 0
		for _, line := range f.log.lines {
			if strings.HasPrefix(line, "WARN look failed") {
				warned++
			}
		}
		if warned == 0 || warned > 12 {
			t.Errorf("%d warnings about one dead host", warned)
		}
	})
}
