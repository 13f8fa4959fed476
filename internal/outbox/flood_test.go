package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// Virtual time begins at midnight UTC, on Saturday 2000-01-01.

func (p *people) handles() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, d := range p.digests {
		var one []string
		for _, row := range d.rows {
			one = append(one, row.Event.Handle())
		}
		out = append(out, strings.Join(one, "+"))
	}
	for _, s := range p.taken {
		out = append(out, s.d.Event.Handle())
	}
	return strings.Join(out, " ")
}

const pythonRepo = "docker.io/library/python"

func TestChangesOfOneWaveAreOneMessageAndOneThread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := paced(t, outbox.PaceConfig{GroupWait: time.Minute}, to("slack", "hook"))
		s.start()
		first := change(pythonRepo+":3.13-slim", 1)
		s.store.tell(first)
		wait(30 * time.Second)
		s.store.tell(change(pythonRepo+":3.13", 1), change("docker.io/library/ruby:3.4-slim", 1))
		wait(29 * time.Second)
		s.store.tell(change(pythonRepo+":3.12", 1))
		if n := len(s.slack.messages()); n != 0 {
			t.Errorf("%d messages before the wave's end", n)
		}
		wait(time.Second)
		if got := s.slack.handles(); got != "python:3.13-slim@1+python:3.13@1+python:3.12@1" {
			t.Errorf("after group_wait came %q", got)
		}
		if n := len(s.hook.arrived()); n != 4 {
			t.Errorf("the webhook got %d of 4 at once", n)
		}
		wait(30 * time.Second)
		news := change(pythonRepo+":3.13-slim", 2)
		news.Thread = first.Thread
		s.store.tell(news)
		wait(time.Minute)
		got := s.slack.arrived()
		if len(got) != 2 || got[0].d.Event.Ref != "docker.io/library/ruby:3.4-slim" {
			t.Fatalf("then came %q", s.slack.handles())
		}
		if got[1].d.Root == nil || got[1].d.Root.Link != "digest" {
			t.Errorf("later news have the root %+v, want the wave's message", got[1].d.Root)
		}
		s.stop()
	})
}

func TestAWaveEndsOnTimeOverACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := paced(t, outbox.PaceConfig{GroupWait: time.Minute}, to("slack"))
		s.start()
		began := time.Now()
		s.store.tell(change(pythonRepo+":3.13-slim", 1))
		wait(20 * time.Second)
		s.stop()
		s.store.crash()
		wait(20 * time.Second)
		s.store.tell(change(pythonRepo+":3.13", 1))
		s.start()
		wait(20 * time.Second)
		s.stop()
		if at := s.slack.messages(); len(at) != 1 || at[0].Sub(began) != time.Minute {
			t.Errorf("messages at %v, want one a minute after %v", at, began)
		}
	})
}

func TestTheDayIsOneMessageAndWhatPassesIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := paced(t, outbox.PaceConfig{Daily: "09:00 Europe/Berlin", Pass: []string{"failing"}}, to("slack"))
		s.start()
		for i := range 3 {
			wait(2 * time.Hour)
			s.store.tell(change(fmt.Sprintf("docker.io/acme/i%d:1", i), 1))
		}
		failing := watcher.Event{Kind: watcher.Failing, Ref: "docker.io/acme/x:1", At: time.Now()}
		failing.Identify()
		s.store.tell(failing)
		wait(time.Minute)
		if got := s.slack.handles(); got != "acme/x:1" {
			t.Errorf("before 9 came %q", got)
		}
		s.stop() // a restart changes nothing
		s.store.crash()
		s.start()
		wait(2 * time.Hour)
		if got := s.slack.handles(); got != "acme/i0:1@1+acme/i1:1@1+acme/i2:1@1 acme/x:1" {
			t.Errorf("by 9 came %q", got)
		}
		at := s.slack.messages()
		if last := at[len(at)-1]; last.UTC().Format(time.TimeOnly) != "08:00:00" {
			t.Errorf("the day's message came at %s", last.UTC())
		}
		s.stop()
	})
}

func TestOutsideItsWindowARowWaitsAndAReloadChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := paced(t, outbox.PaceConfig{Window: []string{"Mon-Fri 08:00-19:00 UTC"}}, to("slack", "hook"))
		s.start()
		s.store.tell(changes(3)...)
		wait(24 * time.Hour)
		s.dispatcher.Reload(s.receivers())
		wait(32*time.Hour - time.Second)
		if n := len(s.slack.messages()) + len(s.hook.arrived()); n != 0 {
			t.Errorf("%d messages over the weekend", n)
		}
		if d := s.store.all("hook")[0]; d.HoldFor != "window" || !d.Hold.Equal(time.Now().Add(time.Second)) {
			t.Errorf("held for %q until %s", d.HoldFor, d.Hold)
		}
		wait(time.Second)
		if slack, hook := len(s.slack.messages()), len(s.hook.arrived()); slack != 3 || hook != 3 {
			t.Errorf("on Monday at 8 came %d and %d of 3", slack, hook)
		}
		s.stop()
	})
}

func TestWhatFailedWithinItsWindowDoesNotComeAtNight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := paced(t, outbox.PaceConfig{Window: []string{"00:00-01:00 UTC"}}, to("hook"))
		s.hook.now(down)
		store := &counted{disk: s.store}
		s.startOn(store)
		s.store.tell(changes(100)...)
		wait(time.Hour)
		calls, claims := len(s.hook.calls()), store.asked()
		s.hook.now(nil)
		wait(23*time.Hour - time.Second)
		if n := len(s.hook.calls()); n != calls {
			t.Errorf("%d attempts outside the window", n-calls)
		}
		if n := store.asked() - claims; n > 5 {
			t.Errorf("%d claims to put off 100 rows", n)
		}
		for _, d := range s.store.all("hook") {
			if d.State != outbox.Waiting || d.HoldFor != "window" {
				t.Fatalf("row %+v", d)
			}
		}
		wait(2 * time.Second)
		if n := len(s.hook.arrived()); n != 100 {
			t.Errorf("%d of 100 came when it opened again", n)
		}
		s.stop()
	})
}

func TestOneBadRowOfAWaveIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := paced(t, outbox.PaceConfig{GroupWait: time.Minute}, to("slack"))
		bad := change(pythonRepo+":bad", 1)
		s.slack.now(func(_ context.Context, d outbox.Delivery) error {
			if d.EventKey == bad.Key {
				return outbox.Permanent(errors.New("400 invalid_blocks"))
			}
			return nil
		})
		s.store.tell(change(pythonRepo+":1", 1), change(pythonRepo+":2", 1), bad, change(pythonRepo+":3", 1))
		s.start()
		wait(5 * time.Minute)
		s.stop()
		for _, d := range s.store.all("slack") {
			want, times := outbox.Delivered, 1
			if d.EventKey == bad.Key {
				want, times = outbox.Dead, 0
			}
			if d.State != want || s.slack.each()[d.ID] != times {
				t.Errorf("%s is %s and came %d times", d.Event.Handle(), d.State, s.slack.each()[d.ID])
			}
		}
	})
}

// counted counts how often the dispatcher looks through what waits.
type counted struct {
	*disk
	lanes, claims int
}

func (c *counted) Lanes(ctx context.Context) ([]outbox.LaneWork, error) {
	c.lanes++
	return c.disk.Lanes(ctx)
}

func (c *counted) Claim(ctx context.Context, r outbox.ClaimRequest) ([]outbox.Delivery, error) {
	c.mu.Lock()
	c.claims++
	c.mu.Unlock()
	return c.disk.Claim(ctx, r)
}

func (c *counted) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.claims
}

// flood is n changes as big as real ones.
func flood(n int) []watcher.Event {
	es := changes(n)
	for i := range es {
		annotations := map[string]string{"org.opencontainers.image.version": "3.13.9",
			"org.opencontainers.image.revision": strings.Repeat("a1b2", 10), "org.opencontainers.image.source": "https://github.com/acme/images"}
		for _, s := range []**watcher.Snapshot{&es[i].Old, &es[i].New} {
			*s = &watcher.Snapshot{Index: fmt.Sprintf("sha256:%064d", i), SeenAt: time.Now(), Platforms: map[string]watcher.Manifest{
				"linux/amd64": {Digest: fmt.Sprintf("sha256:%064d", i), Annotations: annotations},
				"linux/arm64": {Digest: fmt.Sprintf("sha256:%064d", i), Annotations: annotations},
			}}
		}
	}
	return es
}

func TestAFloodOf5000ChangesDrainsAtEachReceiversPace(t *testing.T) {
	const n = 5000
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("slack", "hook"))
		for es := flood(n); len(es) > 0; es = es[min(500, len(es)):] {
			s.store.tell(es[:min(500, len(es))]...)
		}
		// The webhook takes 20 ms for each; more comes meanwhile.
		s.hook.now(func(context.Context, outbox.Delivery) error { time.Sleep(20 * time.Millisecond); return nil })
		store := &counted{disk: s.store}
		heap := newPeak()
		s.startOn(store)
		for range 15 {
			s.store.tell(change("docker.io/acme/more:1", uint64(time.Now().Unix())))
			wait(10 * time.Second)
			heap.look()
		}
		s.stop()
		messages := s.slack.messages()
		for i := 5; i < len(messages); i++ {
			if messages[i].Sub(messages[i-5]) < time.Minute {
				t.Errorf("6 messages within %v", messages[i].Sub(messages[i-5]))
			}
		}
		if c, err := s.store.bolt.Counts(context.Background()); err != nil || c.Waiting != 0 || c.Dead != 0 {
			t.Errorf("%+v, %v", c, err)
		}
		each, hook := s.slack.each(), map[string]int{}
		for _, got := range s.hook.arrived() {
			hook[got.d.ID]++
		}
		if len(hook) != n+15 || len(s.hook.arrived()) != n+15 || len(each) < n {
			t.Errorf("slack was told %d, the webhook %d (%d calls) of %d", len(each), len(hook), len(s.hook.arrived()), n+15)
		}
		t.Logf("%d messages to people, %d listings, %d claims, %d MiB of heap", len(messages), store.lanes, store.claims, heap.mib())
		if store.claims > n/20 || store.lanes > n/10 {
			t.Errorf("%d claims and %d listings for %d rows: each looks through all that wait", store.claims, store.lanes, n)
		}
		if heap.mib() > 150 {
			t.Errorf("%d MiB of heap", heap.mib())
		}
	})
}

// peak is the most heap in use beyond what was there at first.
type peak struct{ base, most uint64 }

func newPeak() *peak {
	p := &peak{}
	p.look()
	p.base = p.most
	return p
}

func (p *peak) look() {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	p.most = max(p.most, m.HeapAlloc)
}

func (p *peak) mib() uint64 { return (p.most - p.base) >> 20 }
