package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"basewatch/internal/standin"
)

// watched is a daemon that watches one image of a stand-in registry and tells
// a webhook.
func watched(t *testing.T) (*daemon, *standin.Registry, *standin.Webhook) {
	t.Helper()
	r, hook := standin.NewRegistry(standin.Behaviour{}), standin.NewWebhook()
	registry, hookServer := standin.Serve(r), standin.Serve(hook)
	t.Cleanup(registry.Close)
	t.Cleanup(hookServer.Close)
	r.Push("acme/base", "1", twoPlatforms("1"))
	d := newDaemon(t, fmt.Sprintf(`
[poll]
interval = "1s"
[registry.%q]
plain_http = true
[notify.audit]
kind = "webhook"
url = "%s/hook"
[[watch]]
images = ["%s/acme/base:1"]
`, registry.Host, hookServer.URL, registry.Host))
	return d, r, hook
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestKillBetweenDetectionAndDelivery: the change is on disk and no attempt
// has got through when the process is killed; it is told within 10 s of the
// next start, though nothing changes again.
func TestKillBetweenDetectionAndDelivery(t *testing.T) {
	t.Parallel()
	d, r, hook := watched(t)
	d.start()
	d.fresh(1)
	hook.Always(standin.Answer{Status: 503})
	want := r.Push("acme/base", "1", twoPlatforms("2"))
	if _, err := hook.WaitRequests(within(t, 20*time.Second), 1); err != nil {
		t.Fatalf("no attempt: %v\n%s", err, d.out)
	}
	d.kill()
	hook.Heal()
	d.start()
	posts, err := hook.Wait(within(t, 10*time.Second), 1)
	if err != nil {
		t.Fatalf("not told within 10 s of the restart: %v\n%s", err, d.out)
	}
	if e := readCloudEvent(t, posts[0].Body); e.Data.New.Digest != want || e.Data.Seq != 1 {
		t.Errorf("told %+v, want %s", e, want)
	}
	seenAgain(d)
	d.stop()
	if n := len(hook.Messages()); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// TestKillBetweenDeliveryAndItsRecord: the webhook has taken the message and
// the process dies before it can know. The repeat has the same ID, comes
// within 10 s of the restart, and is the only one.
func TestKillBetweenDeliveryAndItsRecord(t *testing.T) {
	t.Parallel()
	d, r, hook := watched(t)
	d.start()
	d.fresh(1)
	hold := make(chan struct{})
	hook.Next(standin.Answer{Taken: true, Hold: hold})
	r.Push("acme/base", "1", twoPlatforms("2"))
	if _, err := hook.Wait(within(t, 20*time.Second), 1); err != nil {
		t.Fatalf("not delivered: %v\n%s", err, d.out)
	}
	d.kill()
	close(hold)
	d.start()
	if _, err := hook.Wait(within(t, 10*time.Second), 2); err != nil {
		t.Fatalf("not repeated within 10 s of the restart: %v\n%s", err, d.out)
	}
	seenAgain(d)
	d.kill()
	d.start()
	d.fresh(1)
	d.stop()
	ids := hook.ByID()
	if len(ids) != 1 || len(hook.Messages()) != 2 {
		t.Errorf("IDs %v in %d messages, want one ID twice", ids, len(hook.Messages()))
	}
}

// TestChangeWhileDownIsToldAtStart: the tag moves while no daemon runs, for
// longer than three intervals; people hear of it once the first pass ends.
func TestChangeWhileDownIsToldAtStart(t *testing.T) {
	t.Parallel()
	d, r, hook := watched(t)
	d.start()
	d.fresh(1)
	d.stop()
	want := r.Push("acme/base", "1", twoPlatforms("2"))
	d.start()
	posts, err := hook.Wait(within(t, 10*time.Second), 1)
	if err != nil {
		t.Fatalf("not told: %v\n%s", err, d.out)
	}
	if e := readCloudEvent(t, posts[0].Body); e.Data.New.Digest != want {
		t.Errorf("told %+v, want %s", e, want)
	}
	d.stop()
}
