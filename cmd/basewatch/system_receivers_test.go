package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/standin"
)

// botConfig tells Slack with a bot token instead of the incoming webhook.
func (w *world) botConfig(rest string) {
	w.t.Helper()
	w.slack.Token = "xoxb-canary"
	config := fmt.Sprintf(`
name = "test"
[store]
path = %q
[registry.%q]
plain_http = true
per_minute = 0
[notify.slack]
kind = "slack"
token = "xoxb-canary"
channel = "#base-images"
api_url = "http://%s/api/"
[notify.audit]
kind = "webhook"
url = "http://%s/hook"
`, filepath.Join(w.dir, "test.db"), testRegistry, testSlack, testHook) + rest
	if err := os.WriteFile(filepath.Join(w.dir, "basewatch.toml"), []byte(config), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func threePlatforms(amd64, arm64, s390x string) standin.Image {
	return standin.Image{Platforms: map[string]string{"linux/amd64": amd64, "linux/arm64": arm64, "linux/s390x": s390x}}
}

const watchThree = "[[watch]]\ninterval = \"5m\"\nimages = [\"" + testRegistry + "/acme/base:1\"]\nplatforms = [\"linux/amd64\", \"linux/arm64\", \"linux/s390x\"]\n"

// TestPartialChangeAndItsRestAreOneThread: two of three platforms move and are
// told after settle; the third is told hours later as a reply.
func TestPartialChangeAndItsRestAreOneThread(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		w.registry.Push("acme/base", "1", threePlatforms("1", "1", "1"))
		w.botConfig(watchThree)
		w.start()
		w.after(10 * time.Minute)
		w.registry.Push("acme/base", "1", threePlatforms("2", "2", "1"))
		w.after(time.Hour)
		w.registry.Push("acme/base", "1", threePlatforms("2", "2", "2"))
		w.after(time.Hour)
		m := w.slack.Messages()
		if len(m) != 2 {
			t.Fatalf("%d messages, want the partial change and its rest", len(m))
		}
		if m[0].ThreadTS != "" || m[1].ThreadTS != m[0].TS {
			t.Errorf("threads: first %q, then %q below %q", m[0].ThreadTS, m[1].ThreadTS, m[0].TS)
		}
		if !strings.Contains(m[0].Plain(), "s390x") {
			t.Errorf("the first does not say what is still to come:\n%s", m[0].Plain())
		}
	})
}

// TestDeadLetterIsToldThroughTheOthersOnce: a webhook that is gone (410) makes
// its rows dead at once; Slack hears of it once, and `replay` brings them.
func TestDeadLetterIsToldThroughTheOthersOnce(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		refs := w.registry.Fleet(3, 1, onePlatform("1"))
		w.configure(watch("5m", refs))
		w.start()
		w.after(10 * time.Minute)
		w.hook.Always(standin.Answer{Status: 410})
		for i, ref := range refs {
			repo, tag, _ := strings.Cut(ref, ":")
			w.registry.Push(repo, tag, onePlatform(fmt.Sprint("2-", i)))
		}
		w.after(30 * time.Minute)
		dead, err := w.app.store.Deliveries(t.Context(), outbox.Query{State: outbox.Dead})
		if err != nil || len(dead) != 3 {
			t.Fatalf("%d dead letters (%v), want 3", len(dead), err)
		}
		if n := w.mentions("410"); n != 1 {
			t.Errorf("Slack heard %d times that the webhook is gone", n)
		}
		w.hook.Heal()
		var ids []string
		for _, d := range dead {
			ids = append(ids, d.ID)
		}
		if n, err := w.app.store.Replay(t.Context(), ids); n != 3 || err != nil {
			t.Fatalf("replayed %d (%v)", n, err)
		}
		w.after(time.Minute)
		if got := w.hook.ByID(); len(got) != 3 || got[ids[0]] != 1 {
			t.Errorf("after the replay the webhook has %v, want %v", got, ids)
		}
	})
}

// TestRemovedReceiverIsParkedAndGoesOn: what waits for a receiver that the
// configuration no longer names stays, and goes when the name is back.
func TestRemovedReceiverIsParkedAndGoesOn(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		refs := w.registry.Fleet(1, 1, onePlatform("1"))
		w.configure(watch("5m", refs))
		w.start()
		w.after(10 * time.Minute)
		w.hook.Always(standin.Answer{Status: 503})
		w.registry.Push("acme/base-0001", "t01", onePlatform("2"))
		w.after(10 * time.Minute)
		file := filepath.Join(w.dir, "basewatch.toml")
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, tail, _ := strings.Cut(string(whole), "[notify.audit]")
		_, tail, _ = strings.Cut(tail, "[[watch]]")
		w.rewrite(head + "[[watch]]" + tail)
		w.hook.Heal()
		w.after(24 * time.Hour)
		if l := w.lanes()["audit"]; l.Waiting != 1 || l.Lane.ParkedSince.IsZero() || len(w.hook.Messages()) != 0 {
			t.Errorf("removed: %d waiting, parked since %v, %d delivered", l.Waiting, l.Lane.ParkedSince, len(w.hook.Messages()))
		}
		w.rewrite(string(whole))
		w.after(time.Minute)
		if n := len(w.events("changed")); n != 1 {
			t.Errorf("back again: told %d times", n)
		}
	})
}

// rewrite replaces the configuration and reloads it.
func (w *world) rewrite(config string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, "basewatch.toml"), []byte(config), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.app.Reload(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.after(time.Second)
}

// TestRefusedEditKeepsTheOldConfigurationAndIsTold: a mistake in an edited file
// changes nothing and is told, with its place.
func TestRefusedEditKeepsTheOldConfigurationAndIsTold(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		refs := w.registry.Fleet(1, 1, onePlatform("1"))
		w.configure(watch("5m", refs))
		w.start()
		w.after(10 * time.Minute)
		before := w.app.cfg.Load()
		w.configure(watch("5m", refs) + "[[route]]\nto = [\"slak\"]\n")
		if _, err := w.app.Reload(t.Context()); err == nil {
			t.Fatal("a route to nobody was taken")
		}
		w.after(time.Minute)
		if w.app.cfg.Load() != before {
			t.Error("the old configuration is no longer in force")
		}
		if n := w.mentions("did you mean \"slack\"?"); n != 1 {
			t.Errorf("Slack heard %d times of the refused edit", n)
		}
		w.registry.Push("acme/base-0001", "t01", onePlatform("2"))
		w.after(10 * time.Minute)
		if n := len(w.events("changed")); n != 1 {
			t.Errorf("after the refused edit a change is told %d times", n)
		}
	})
}
