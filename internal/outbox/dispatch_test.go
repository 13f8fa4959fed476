package outbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// setup is a dispatcher over a store, with two machines and one person's
// channel; everything goes to everybody unless routes say otherwise.
type setup struct {
	t          *testing.T
	store      *disk
	slack      *people
	hook       *receiver
	log        *receiver
	attempts   atomic.Int64
	dispatcher *outbox.Dispatcher
	cancel     context.CancelFunc
	ended      chan error
}

func prepare(t *testing.T, routes ...outbox.RouteConfig) *setup {
	t.Helper()
	return paced(t, outbox.PaceConfig{}, routes...)
}

// paced is prepare with a pace for the channel and the webhook.
func paced(t *testing.T, c outbox.PaceConfig, routes ...outbox.RouteConfig) *setup {
	t.Helper()
	pace, err := outbox.NewPace(c)
	if err != nil {
		t.Fatal(err)
	}
	s := &setup{t: t, slack: &people{}, hook: &receiver{}, log: &receiver{}}
	router, err := outbox.NewRouter(routes, []outbox.ReceiverInfo{
		{Name: "slack", Kind: "slack", People: true, Addressable: true, Pace: pace},
		{Name: "hook", Kind: "webhook", Pace: pace}, {Name: "log", Kind: "log"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.store = openDisk(t, router.Plan)
	return s
}

func to(names ...string) outbox.RouteConfig { return outbox.RouteConfig{To: names} }

func (s *setup) receivers() map[string]outbox.Receiver {
	return map[string]outbox.Receiver{"slack": s.slack, "hook": s.hook, "log": s.log}
}

// Attempted counts.
func (s *setup) Attempted(string, outbox.Outcome, time.Duration) { s.attempts.Add(1) }

func (s *setup) start() { s.startOn(s.store) }

func (s *setup) startOn(store outbox.Store) {
	s.dispatcher = outbox.NewDispatcher(outbox.DispatcherConfig{
		Store: store, Receivers: s.receivers(), Observer: s, Logger: slog.New(slog.DiscardHandler)})
	s.store.setWake(s.dispatcher.Wake)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.ended = cancel, make(chan error, 1)
	go func() { s.ended <- s.dispatcher.Run(ctx) }()
}

func (s *setup) stop() {
	s.t.Helper()
	s.cancel()
	if err := <-s.ended; err != nil {
		s.t.Errorf("stop: %v", err)
	}
}

// changes makes n changes of different images.
func changes(n int) []watcher.Event {
	var es []watcher.Event
	for i := range n {
		es = append(es, change(fmt.Sprintf("docker.io/acme/i%04d:1", i), 1))
	}
	return es
}

func change(ref string, seq uint64) watcher.Event {
	e := watcher.Event{Kind: watcher.Changed, Ref: ref, Seq: seq, At: time.Now(),
		New: &watcher.Snapshot{Index: fmt.Sprintf("sha256:%064d", seq)}}
	e.Identify()
	return e
}

// wait lets virtual time pass and everything settle.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestADueDeliveryGoesOutAtOnceAndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("hook", "log"))
		s.start()
		wait(3 * time.Second)
		began := time.Now()
		s.store.tell(changes(3)...)
		wait(time.Hour)
		s.stop()
		for name, r := range map[string]*receiver{"hook": s.hook, "log": s.log} {
			if got := r.arrived(); len(got) != 3 || !got[2].at.Equal(began) {
				t.Errorf("%s took %d of 3 deliveries at once: %v", name, len(got), got)
			}
		}
		for _, d := range s.store.all("hook") {
			if d.State != outbox.Delivered || len(d.Attempts) != 1 || d.Receipt.Link != "of "+d.ID {
				t.Errorf("row %+v", d)
			}
		}
		if n := s.attempts.Load(); n != 6 {
			t.Errorf("observer heard of %d attempts, want 6", n)
		}
	})
}

func TestALostWakeUpCostsTenSecondsAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("hook"))
		s.start()
		s.store.setWake(func() {})
		wait(time.Second)
		s.store.tell(changes(1)...)
		wait(10 * time.Second)
		if len(s.hook.arrived()) != 1 {
			t.Error("not delivered within 10 s")
		}
		s.stop()
	})
}

// Show 2 of the daemon: Slack answers 500 for an hour.
func TestAHangingReceiverDelaysNoOtherLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("slack", "hook", "log"))
		s.hook.now(func(ctx context.Context, _ outbox.Delivery) error { <-ctx.Done(); return ctx.Err() })
		s.start()
		s.store.tell(changes(5)...)
		wait(0)
		if len(s.log.arrived()) != 5 || len(s.slack.arrived()) != 5 {
			t.Errorf("log took %d, slack %d of 5 while hook hangs", len(s.log.arrived()), len(s.slack.arrived()))
		}
		wait(30 * time.Second)
		if l := s.store.lane("hook"); !l.Failing() {
			t.Error("a hang is no failure after 30 s")
		}
		s.stop()
	})
}

func TestAPanicIsAFailedAttemptAndNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("hook", "log"))
		s.hook.now(func(context.Context, outbox.Delivery) error { panic("boom") })
		s.start()
		s.store.tell(changes(1)...)
		wait(time.Second)
		s.hook.now(nil)
		wait(10 * time.Second)
		s.stop()
		row := s.store.all("hook")[0]
		if row.State != outbox.Delivered || len(row.Attempts) != 2 || row.Attempts[0].Outcome != outbox.Panic || row.Attempts[0].Answer != "panic: boom" {
			t.Errorf("row %+v", row)
		}
		if len(s.log.arrived()) != 1 {
			t.Error("another lane suffered")
		}
	})
}

func TestStopHandsBackAndCountsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("hook"))
		s.hook.now(func(ctx context.Context, _ outbox.Delivery) error { <-ctx.Done(); return ctx.Err() })
		s.start()
		s.store.tell(changes(2)...)
		wait(time.Second)
		began := time.Now()
		s.stop()
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("stop took %v", took)
		}
		for _, d := range s.store.all("hook") {
			if d.State != outbox.Waiting || d.Failures != 0 || len(d.Attempts) != 0 {
				t.Errorf("row %+v", d)
			}
		}
		if l := s.store.lane("hook"); l.Failing() {
			t.Errorf("our own stop made the lane failing: %+v", l)
		}
	})
}

func TestStopLetsAnAttemptInFlightEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("hook"))
		s.hook.now(func(ctx context.Context, _ outbox.Delivery) error {
			select {
			case <-time.After(4 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		s.start()
		s.store.tell(changes(2)...)
		wait(time.Second)
		s.stop()
		rows := s.store.all("hook")
		if rows[0].State != outbox.Delivered || rows[1].State != outbox.Waiting {
			t.Errorf("rows are %s and %s, want the first delivered and the second waiting", rows[0].State, rows[1].State)
		}
	})
}

func TestStopNamesAReceiverThatDoesNotObey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("hook"))
		free := make(chan struct{})
		s.hook.now(func(context.Context, outbox.Delivery) error { <-free; return nil })
		s.start()
		s.store.tell(changes(1)...)
		wait(time.Second)
		s.cancel()
		began := time.Now()
		if err := <-s.ended; err == nil || !strings.Contains(err.Error(), "hook") || time.Since(began) > 8*time.Second {
			t.Errorf("stop after %v: %v", time.Since(began), err)
		}
		close(free)
		synctest.Wait()
	})
}

func TestACrashBetweenDeliveryAndRecordRepeatsTheSameID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("hook"))
		s.store.breakSettle(errFull)
		s.start()
		s.store.tell(changes(1)...)
		wait(2 * time.Minute)
		if n := len(s.hook.arrived()); n != 1 {
			t.Errorf("%d deliveries while the first is not recorded, want 1", n)
		}
		s.cancel()
		<-s.ended
		s.store.crash()
		s.start()
		wait(10 * time.Second)
		s.stop()
		got := s.hook.arrived()
		if len(got) != 2 || got[0].d.ID != got[1].d.ID {
			t.Errorf("got %d deliveries, want the same ID twice", len(got))
		}
		if d := s.store.all("hook")[0]; d.State != outbox.Delivered {
			t.Errorf("row is %s", d.State)
		}
	})
}

func TestARecordThatFailsForAWhileCausesNoRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("hook", "log"))
		s.store.breakSettle(errFull)
		s.start()
		s.store.tell(changes(2)...)
		wait(5 * time.Minute)
		s.store.breakSettle(nil)
		wait(time.Minute)
		s.stop()
		if got := len(s.hook.arrived()); got != 2 {
			t.Errorf("%d deliveries of 2", got)
		}
	})
}

// Show 5 of the daemon: 500 at once are one message to people, 500 to a
// machine.
func TestASnoozeIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("hook"))
		s.hook.now(func(context.Context, outbox.Delivery) error { return outbox.Snooze(time.Hour, "not yet") })
		s.start()
		s.store.tell(changes(1)...)
		wait(90 * time.Minute)
		s.hook.now(nil)
		wait(time.Hour)
		s.stop()
		row := s.store.all("hook")[0]
		if row.State != outbox.Delivered || row.Failures != 0 || len(row.Attempts) != 3 {
			t.Errorf("row %s after %d attempts, %d failures", row.State, len(row.Attempts), row.Failures)
		}
	})
}

func TestMoreLanesThanAreServedAtOnceAllGetTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for i := range 100 {
			names = append(names, fmt.Sprintf("slack:#c%03d", i))
		}
		s := prepare(t, to(names...))
		s.slack.now(func(context.Context, outbox.Delivery) error { time.Sleep(time.Second); return nil })
		s.start()
		s.store.tell(changes(1)...)
		wait(1500 * time.Millisecond)
		if n := len(s.slack.arrived()); n != 64 {
			t.Errorf("%d lanes at once, want 64", n)
		}
		wait(time.Second)
		if n := len(s.slack.arrived()); n != 100 {
			t.Errorf("%d of 100 lanes served", n)
		}
		s.stop()
	})
}
