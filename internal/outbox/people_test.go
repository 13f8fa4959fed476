package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"basewatch/internal/outbox"
)

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
