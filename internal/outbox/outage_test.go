package outbox_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

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
		// Later ones do not wait for the next probe either, though the bad row
		// has been failing alone, probe after probe.
		for i := range 10 {
			wait(50 * time.Minute)
			s.store.tell(change("docker.io/acme/good:1", uint64(i+1)))
			wait(6 * time.Second)
			if got := len(s.hook.arrived()); got != 21+i {
				t.Fatalf("good row %d did not arrive within 6 s (lane %+v)", i, s.store.lane("hook"))
			}
		}
		s.stop()
	})
}

func TestNothingGoesToALaneBeforeItsRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("hook"))
		s.hook.now(func(context.Context, outbox.Delivery) error { return outbox.RetryAfter(errDown, 37*time.Minute) })
		s.start()
		began := time.Now()
		s.store.tell(changes(1)...)
		for probes := range 3 {
			wait(time.Minute)
			s.store.tell(change("docker.io/acme/new:1", uint64(probes+1)))
			wait(36*time.Minute - time.Second)
			if n := len(s.hook.calls()); n != probes+1 {
				t.Errorf("%d attempts before Retry-After was over, want %d", n, probes+1)
			}
			wait(time.Second)
		}
		s.hook.now(nil)
		wait(36 * time.Minute)
		if n := len(s.hook.calls()); n != 4 {
			t.Errorf("%d attempts before the last Retry-After was over, want 4", n)
		}
		wait(time.Minute)
		got := s.hook.arrived()
		if len(got) != 4 || !got[3].at.Equal(began.Add(4*37*time.Minute)) {
			t.Errorf("%d of 4 arrived to the second", len(got))
		}
		s.stop()
	})
}

func TestARetryAfterForOneRowHoldsBackANewOneToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepare(t, to("hook"))
		s.hook.now(func(context.Context, outbox.Delivery) error { return outbox.RetryAfter(errDown, 10*time.Minute) })
		s.start()
		s.store.tell(changes(1)...)
		wait(25 * time.Minute) // the row has failed alone, as a probe too
		s.hook.now(nil)
		s.store.tell(change("docker.io/acme/new:1", 1))
		wait(5*time.Minute - time.Second)
		if n := len(s.hook.calls()); n != 3 {
			t.Errorf("%d attempts before Retry-After was over, want 3", n)
		}
		wait(time.Second)
		if n := len(s.hook.arrived()); n != 2 {
			t.Errorf("%d of 2 arrived to the second", n)
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
