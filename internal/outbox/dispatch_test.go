package outbox_test

import (
	"context"
	"errors"
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
	store      *memory
	slack      *people
	hook       *receiver
	log        *receiver
	routes     []outbox.RouteConfig
	attempts   atomic.Int64
	dispatcher *outbox.Dispatcher
	cancel     context.CancelFunc
	ended      chan error
}

func prepare(t *testing.T, routes ...outbox.RouteConfig) *setup {
	t.Helper()
	s := &setup{t: t, slack: &people{}, hook: &receiver{}, log: &receiver{}}
	router, err := outbox.NewRouter(routes, []outbox.ReceiverInfo{
		{Name: "slack", Kind: "slack", People: true, Addressable: true},
		{Name: "hook", Kind: "webhook"}, {Name: "log", Kind: "log"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.store = newMemory(router.Plan)
	return s
}

func to(names ...string) outbox.RouteConfig { return outbox.RouteConfig{To: names} }

func (s *setup) receivers() map[string]outbox.Receiver {
	return map[string]outbox.Receiver{"slack": s.slack, "hook": s.hook, "log": s.log}
}

// Attempted counts.
func (s *setup) Attempted(string, outbox.Outcome, time.Duration) { s.attempts.Add(1) }

func (s *setup) start() {
	s.dispatcher = outbox.NewDispatcher(outbox.DispatcherConfig{
		Store: s.store, Receivers: s.receivers(), Observer: s, Logger: slog.New(slog.DiscardHandler)})
	s.store.mu.Lock()
	s.store.wake = s.dispatcher.Wake
	s.store.mu.Unlock()
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
				t.Errorf("%s took %d deliveries, the last %v late", name, len(got), got[len(got)-1].at.Sub(began))
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
		s.store.mu.Lock()
		s.store.wake = func() {}
		s.store.mu.Unlock()
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
func TestAfterAnHourOf500EverythingArrivesOnceAndSaysItWasLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("slack", "log"))
		s.slack.now(down)
		s.start()
		began := time.Now()
		for _, e := range changes(40) {
			s.store.tell(e)
			wait(time.Minute)
		}
		wait(20 * time.Minute)
		if calls := len(s.slack.calls()); calls > 10 {
			t.Errorf("%d attempts in an hour of outage, want one probe every 15 min at the end", calls)
		}
		if got := len(s.log.arrived()); got != 40 {
			t.Errorf("log took %d of 40 meanwhile", got)
		}
		s.slack.now(nil)
		back := time.Now()
		wait(16 * time.Minute)
		messages := s.slack.messages()
		if len(messages) != 2 || messages[len(messages)-1].Sub(back) > 16*time.Minute {
			t.Errorf("messages after return: %v, want the probe's and one summary", messages)
		}
		each := s.slack.each()
		for _, d := range s.store.all("slack") {
			if each[d.ID] != 1 || d.State != outbox.Delivered || d.Failures > 1 {
				t.Errorf("%s came %d times, is %s after %d failures", d.Event.Handle(), each[d.ID], d.State, d.Failures)
			}
		}
		for _, d := range s.slack.digests[0].rows {
			if d.Outage == nil || !d.Outage.From.Equal(began) || d.Outage.Reason != errDown.Error() || d.Outage.Late < 16*time.Minute {
				t.Fatalf("%s does not say that it was late: %+v", d.Event.Handle(), d.Outage)
			}
		}
		s.stop()
	})
}

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

func TestARowThatAlwaysFailsDoesNotHoldUpItsLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("hook"))
		bad := change("docker.io/acme/bad:1", 1)
		s.hook.now(func(_ context.Context, d outbox.Delivery) error {
			if d.EventKey == bad.Key {
				return errDown
			}
			return nil
		})
		s.start()
		s.store.tell(append([]watcher.Event{bad}, changes(20)...)...)
		wait(6 * time.Second)
		if got := len(s.hook.arrived()); got != 20 {
			t.Errorf("%d of 20 good rows arrived within 6 s", got)
		}
		// Later ones, while the bad row alone has been failing probe after
		// probe, do not wait for the next probe.
		for i := range 30 {
			wait(time.Duration(i) * 7 * time.Minute)
			s.store.tell(change("docker.io/acme/good:1", uint64(i+1)))
			wait(6 * time.Second)
			if got := len(s.hook.arrived()); got != 21+i {
				t.Fatalf("good row %d did not arrive within 6 s (lane %+v)", i, s.store.lane("hook"))
			}
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

func TestNothingGoesToALaneBeforeItsRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("hook"))
		s.hook.now(func(context.Context, outbox.Delivery) error { return outbox.RetryAfter(errDown, 37*time.Minute) })
		s.start()
		began := time.Now()
		s.store.tell(changes(3)...)
		wait(time.Minute)
		s.hook.now(nil)
		s.store.tell(change("docker.io/acme/new:1", 1))
		wait(36*time.Minute - time.Second)
		if n := len(s.hook.calls()); n != 1 {
			t.Errorf("%d attempts before Retry-After was over", n)
		}
		wait(time.Second)
		got := s.hook.arrived()
		if len(got) != 4 || !got[3].at.Equal(began.Add(37*time.Minute)) {
			t.Errorf("%d of 4 arrived to the second", len(got))
		}
		s.stop()
	})
}

func TestARefusalIsADeadLetterToldOnceThroughTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("hook", "log"))
		s.hook.now(func(context.Context, outbox.Delivery) error { return outbox.Permanent(errors.New("410 gone")) })
		s.start()
		s.store.tell(changes(3)...)
		wait(time.Minute)
		for _, d := range s.store.all("hook") {
			if d.State != outbox.Dead || d.Reason != "refused: 410 gone" || len(d.Attempts) != 1 {
				t.Errorf("row %+v", d)
			}
		}
		s.hook.now(nil)
		s.store.tell(change("docker.io/acme/new:1", 1))
		wait(time.Minute)
		s.stop()
		if told := kinds(s.log.arrived()); told != "changed changed changed receiver-failing changed receiver-recovered" &&
			told != "changed receiver-failing changed changed changed receiver-recovered" {
			t.Errorf("log was told %q", told)
		}
		if strings.Contains(kinds(s.hook.calls()), "receiver") {
			t.Error("the receiver was told about itself")
		}
	})
}

func kinds(taken []seen) string {
	var names []string
	for _, s := range taken {
		names = append(names, string(s.d.Event.Kind))
	}
	return strings.Join(names, " ")
}

func TestAnOutageIsToldOnceAfterAnHourAndOnceWhenItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("hook", "log"))
		s.hook.now(down)
		s.start()
		s.store.tell(changes(2)...)
		wait(59 * time.Minute)
		if told := kinds(s.log.arrived()); told != "changed changed" {
			t.Errorf("told within the hour: %q", told)
		}
		wait(10 * time.Hour)
		// A restart is no new outage.
		s.stop()
		s.start()
		wait(10 * time.Hour)
		s.hook.now(nil)
		wait(16 * time.Minute)
		s.stop()
		if told := kinds(s.log.arrived()); told != "changed changed receiver-failing receiver-recovered" {
			t.Errorf("log was told %q", told)
		}
		if got := len(s.hook.arrived()); got != 2 {
			t.Errorf("%d of 2 arrived", got)
		}
	})
}

func TestAllRowsOfALaneThatFailsFor76HoursAreDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("hook", "log"))
		s.hook.now(down)
		s.start()
		s.store.tell(changes(250)...)
		wait(50 * time.Hour)
		s.store.tell(change("docker.io/acme/young:1", 1))
		wait(26*time.Hour + 16*time.Minute)
		dead := 0
		rows := s.store.all("hook")
		for _, d := range rows {
			if d.State == outbox.Dead && strings.Contains(d.Reason, "failing for 76 h: 503") {
				dead++
			}
		}
		if dead != 250 || rows[250].State != outbox.Waiting {
			t.Errorf("%d of 250 dead, the young one %s", dead, rows[250].State)
		}
		s.stop()
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
		s.hook.now(func(context.Context, outbox.Delivery) error { time.Sleep(4 * time.Second); return nil })
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
		s.store.breakSettle(errors.New("disk full"))
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
		s.store.breakSettle(errors.New("disk full"))
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

func TestAStartTriesEverythingThatFailedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("hook"))
		s.hook.now(down)
		s.start()
		s.store.tell(changes(3)...)
		wait(5 * time.Hour)
		s.stop()
		s.hook.now(nil)
		s.start()
		wait(10 * time.Second)
		if got := len(s.hook.arrived()); got != 3 {
			t.Errorf("%d of 3 arrived within 10 s of the start", got)
		}
		s.stop()
	})
}

func TestRowsOfARemovedReceiverAreParkedAndComeBackOrDie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("hook", "log"))
		s.hook.now(down)
		s.start()
		s.store.tell(changes(2)...)
		wait(time.Hour)
		without := map[string]outbox.Receiver{"slack": s.slack, "log": s.log}
		s.dispatcher.Reload(without)
		wait(time.Second)
		if l := s.store.lane("hook"); l.ParkedSince.IsZero() {
			t.Errorf("lane is not parked: %+v", l)
		}
		tries := len(s.hook.calls())
		wait(6 * 24 * time.Hour)
		if n := len(s.hook.calls()); n != tries {
			t.Errorf("%d attempts while parked", n-tries)
		}
		s.hook.now(nil)
		s.dispatcher.Reload(s.receivers())
		wait(10 * time.Second)
		if got := s.hook.arrived(); len(got) != 2 || got[1].d.Outage == nil || got[1].d.Outage.Late < 6*24*time.Hour {
			t.Errorf("back again, %d of 2 arrived or do not say that they are late", len(got))
		}
		s.hook.now(down)
		s.store.tell(change("docker.io/acme/new:1", 1))
		wait(time.Minute)
		s.dispatcher.Reload(without)
		wait(7*24*time.Hour + time.Minute)
		s.stop()
		rows := s.store.all("hook")
		if d := rows[len(rows)-1]; d.State != outbox.Dead || d.Reason != "receiver removed" {
			t.Errorf("row is %s (%s) after 7 days", d.State, d.Reason)
		}
		if l := s.store.lane("hook"); l.Failing() || !l.ParkedSince.IsZero() {
			t.Errorf("an empty lane without receiver stays on the list: %+v", l)
		}
		if told := kinds(s.log.arrived()); strings.Contains(told, "receiver") {
			t.Errorf("log was told %q; the removal is the user's own doing", told)
		}
	})
}

// Show 5 of the daemon: 500 at once are one message to people, 500 to a
// machine.
func TestManyAtOnceAreOneMessageToPeopleAndEachToMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("slack", "hook"))
		s.store.tell(changes(500)...)
		s.start()
		wait(time.Second)
		if m := s.slack.messages(); len(m) != 1 || len(s.slack.digests[0].rows) != 500 {
			t.Errorf("people got %d messages", len(m))
		}
		if n := len(s.hook.arrived()); n != 500 {
			t.Errorf("the webhook got %d", n)
		}
		for _, d := range s.store.all("slack") {
			if d.State != outbox.Delivered || d.Receipt.Link != "digest" {
				t.Fatalf("row %+v", d)
			}
		}
		s.stop()
	})
}

func TestPeopleGetAtMostFiveMessagesAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("slack"))
		s.start()
		for i := range 120 {
			s.store.tell(change(fmt.Sprintf("docker.io/acme/i%d:1", i), 1))
			wait(2 * time.Second)
		}
		wait(2 * time.Minute)
		s.stop()
		at := s.slack.messages()
		for i := 5; i < len(at); i++ {
			if at[i].Sub(at[i-5]) < time.Minute {
				t.Fatalf("6 messages within %v", at[i].Sub(at[i-5]))
			}
		}
		for _, d := range s.store.all("slack") {
			if s.slack.each()[d.ID] != 1 {
				t.Fatalf("%s came %d times", d.Event.Handle(), s.slack.each()[d.ID])
			}
		}
	})
}

func TestUpToFiveComeOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("slack"))
		s.store.tell(changes(5)...)
		s.start()
		wait(time.Second)
		s.stop()
		if len(s.slack.arrived()) != 5 || len(s.slack.digests) != 0 {
			t.Errorf("%d single messages and %d digests, want 5 and 0", len(s.slack.arrived()), len(s.slack.digests))
		}
	})
}

func TestARowThatSpoilsADigestIsFoundAndTheOthersArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("slack"))
		bad := change("docker.io/acme/bad:1", 1)
		s.slack.now(func(_ context.Context, d outbox.Delivery) error {
			if d.EventKey == bad.Key {
				return outbox.Permanent(errors.New("400 invalid_blocks"))
			}
			return nil
		})
		s.store.tell(append(append(changes(60), bad), change("docker.io/acme/last:1", 1))...)
		s.start()
		wait(30 * time.Minute)
		s.stop()
		each := s.slack.each()
		for _, d := range s.store.all("slack") {
			want := outbox.Delivered
			if d.EventKey == bad.Key {
				want = outbox.Dead
			}
			if d.State != want || want == outbox.Delivered && each[d.ID] != 1 {
				t.Errorf("%s is %s and came %d times", d.Event.Handle(), d.State, each[d.ID])
			}
		}
	})
}

func TestANewerChangeNamesTheOlderOnesItCovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("slack", "hook"))
		for seq := range uint64(3) {
			s.store.tell(change("docker.io/library/python:3.13-slim", seq+1))
		}
		s.start()
		wait(time.Second)
		s.stop()
		got := s.slack.arrived()
		if len(got) != 1 || got[0].d.Event.Seq != 3 || len(got[0].d.Covers) != 2 {
			t.Fatalf("slack got %d messages", len(got))
		}
		rows := s.store.all("slack")
		if rows[0].State != outbox.Superseded || rows[1].State != outbox.Superseded || rows[0].By != rows[2].ID {
			t.Errorf("older rows are %s and %s", rows[0].State, rows[1].State)
		}
		if n := len(s.hook.arrived()); n != 3 {
			t.Errorf("the webhook got %d of 3 changes", n)
		}
	})
}

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

func TestAHoldIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("slack", "hook"))
		e := change("docker.io/acme/x:1", 1)
		e.CatchUp = true
		s.start()
		s.store.tell(e)
		wait(10*time.Minute - time.Second)
		if len(s.slack.arrived()) != 0 || len(s.hook.arrived()) != 1 {
			t.Errorf("during the hold slack got %d, hook %d", len(s.slack.arrived()), len(s.hook.arrived()))
		}
		wait(time.Second)
		if got := s.slack.arrived(); len(got) != 1 || got[0].d.Outage != nil {
			t.Errorf("after the hold slack got %d; a hold is no outage", len(got))
		}
		s.stop()
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
