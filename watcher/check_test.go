package watcher_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"basewatch/watcher"
)

func TestCheckLooksNowAndRecords(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		f.watch(24*time.Hour, alpine, ruby, base)
		f.run(time.Minute)
		f.reg.push("amd64=B", alpine)
		f.reg.push("", base)
		results, err := f.loop.Check(t.Context(), []string{base, alpine, ruby})
		if err != nil || len(results) != 3 {
			t.Fatal(results, err)
		}
		gone, moved, same := results[0], results[1], results[2]
		if gone.Ref != base || watcher.ProblemOf(gone.Err) != watcher.NotFound || gone.State.Health.Failures != 1 {
			t.Errorf("not there: %+v", gone)
		}
		if !moved.Moved || len(moved.Events) != 1 || moved.State.Seq != 1 || moved.Err != nil {
			t.Errorf("moved: %+v", moved)
		}
		if same.Moved || same.Err != nil || same.State.Current == nil {
			t.Errorf("the same: %+v", same)
		}
		if changed := f.told(watcher.Changed); len(changed) != 1 || f.state(alpine).Seq != 1 {
			t.Errorf("not recorded: %+v", changed)
		}
	})
}

func TestCheckAndTheLoopDoNotLookTwiceAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		f.watch(24*time.Hour, alpine)
		f.reg.script(func(context.Context, string) error { time.Sleep(3 * time.Second); return nil })
		f.run(time.Minute, func() {
			results, err := f.loop.Check(t.Context(), []string{alpine})
			if err != nil || results[0].Err != nil || results[0].State.Current == nil {
				t.Errorf("%+v %v", results, err)
			}
		})
		asked := f.reg.asked[alpine]
		if len(asked) != 2 || asked[1].Sub(asked[0]) < 3*time.Second {
			t.Errorf("asked at %v", asked)
		}
	})
}

func TestCheckSaysWhyThereWasNoLook(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		f.watch(time.Hour, alpine)
		f.run(time.Minute)
		f.reg.pause("docker.io", time.Hour)
		results, err := f.loop.Check(t.Context(), []string{alpine, base})
		if err != nil {
			t.Fatal(err)
		}
		if e := results[0].Err; watcher.ProblemOf(e) != watcher.Throttled {
			t.Errorf("paused: %v", e)
		}
		if e := results[1].Err; e == nil || !strings.Contains(e.Error(), "not watched") {
			t.Errorf("not watched: %v", e)
		}
		if n := f.reg.looks(alpine); n != 1 {
			t.Errorf("%d requests, one of them to a host that wants none", n)
		}
	})
}

func TestCheckThatIsCancelledHandsBack(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		all := refs("docker.io", 30)
		f.watch(time.Hour, all...)
		f.reg.script(func(ctx context.Context, _ string) error { <-ctx.Done(); return failed(watcher.Unreachable) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.loop.Check(ctx, all); err == nil {
			t.Error("no error")
		}
		if claims := f.claims("docker.io"); len(claims) != 30 || claims[0].Failures != 0 {
			t.Errorf("%d of 30 free", len(claims))
		}
	})
}
