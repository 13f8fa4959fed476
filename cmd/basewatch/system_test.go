package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/standin"
)

// world is the whole daemon but its listeners, in virtual time: the real loop,
// registry client, store, dispatcher and receivers over a network in memory.
type world struct {
	t        *testing.T
	dir      string
	net      *standin.MemNet
	registry *standin.Registry
	slack    *standin.Slack
	hook     *standin.Webhook
	app      *app
	out, log bytes.Buffer
	end      context.CancelFunc
	ended    chan error
}

const (
	testRegistry = "registry.example.com"
	testSlack    = "hooks.slack.example.com"
	testHook     = "ci.example.com"
)

// inVirtualTime runs a test in a bubble in which only the daemon and its
// counterparts move the clock.
func inVirtualTime(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, dir: dir, net: &standin.MemNet{}, registry: standin.NewRegistry(standin.Behaviour{}),
			slack: standin.NewSlack(""), hook: standin.NewWebhook()}
		for _, s := range []*standin.Server{
			standin.ServeOn(w.net.Listen(testRegistry+":80"), w.registry),
			standin.ServeOn(w.net.Listen(testSlack+":80"), w.slack),
			standin.ServeOn(w.net.Listen(testHook+":80"), w.hook),
		} {
			defer s.Close()
		}
		defer w.stop()
		test(t, w)
	})
}

// configure writes a configuration that tells Slack and a webhook. watch is
// what else stands in it.
func (w *world) configure(watch string) {
	w.t.Helper()
	config := fmt.Sprintf(`
name = "test"
[store]
path = %q
[registry.%q]
plain_http = true
per_minute = 0
[notify.slack]
kind = "slack"
webhook_url = "http://%s/services/T0/B0/x"
[notify.audit]
kind = "webhook"
url = "http://%s/hook"
`, filepath.Join(w.dir, "test.db"), testRegistry, testSlack, testHook) + watch
	if err := os.WriteFile(filepath.Join(w.dir, "basewatch.toml"), []byte(config), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) start() {
	w.t.Helper()
	load := loadOptions{File: filepath.Join(w.dir, "basewatch.toml")}
	cfg, err := loadConfig(load)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, end := context.WithCancel(w.t.Context())
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	w.app, err = newApp(ctx, cfg, surroundings{load: load, log: log, out: &lockedWriter{w: &w.out}, dial: w.net.DialContext})
	if err != nil {
		end()
		w.t.Fatal(err)
	}
	w.end, w.ended = end, make(chan error, 1)
	go func() { w.ended <- w.app.run(ctx) }()
	synctest.Wait()
}

// stop is an ordered stop; it may be called when nothing runs.
func (w *world) stop() {
	if w.app == nil {
		return
	}
	w.end()
	if err := errors.Join(<-w.ended, w.app.close()); err != nil {
		w.t.Errorf("stop: %v", err)
	}
	w.app = nil
}

// after lets time pass, and all that it brings about happen.
func (w *world) after(d time.Duration) {
	w.t.Helper()
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) lanes() map[string]outbox.LaneWork {
	w.t.Helper()
	works, err := w.app.store.Lanes(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	m := map[string]outbox.LaneWork{}
	for _, l := range works {
		m[l.Lane.Name] = l
	}
	return m
}

// events reads what the webhook took, of one type.
func (w *world) events(kind string) []cloudEvent {
	w.t.Helper()
	var out []cloudEvent
	for _, m := range w.hook.Messages() {
		if e := readCloudEvent(w.t, m.Body); e.Type == "basewatch."+kind+".v1" {
			out = append(out, e)
		}
	}
	return out
}

// mentions counts Slack messages that show s.
func (w *world) mentions(s string) int {
	n := 0
	for _, m := range w.slack.Messages() {
		if strings.Contains(m.Plain(), s) {
			n++
		}
	}
	return n
}

type lockedWriter struct{ w io.Writer }

func (l *lockedWriter) Write(p []byte) (int, error) { return l.w.Write(p) }

func onePlatform(seed string) standin.Image {
	return standin.Image{Platforms: map[string]string{"linux/amd64": seed, "linux/arm64": seed, "linux/s390x": seed}, Attestations: seed}
}

// TestSlackDownForAnHourLosesAndRepeatsNothing: 12 images change while Slack
// answers 500; the webhook hears of each at once, and within 16 minutes of
// Slack's return everything that waited arrives, each change once, and the
// message says that it is late.
func TestSlackDownForAnHourLosesAndRepeatsNothing(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		refs := w.registry.Fleet(12, 1, onePlatform("1"))
		w.configure(watch("5m", refs))
		w.start()
		w.after(10 * time.Minute)
		w.slack.Always(standin.Answer{Status: 500})
		down := time.Now()
		digests := map[string]string{}
		for i, ref := range refs {
			repo, tag, _ := strings.Cut(ref, ":")
			digests[ref] = w.registry.Push(repo, tag, onePlatform(fmt.Sprint("2-", i)))
			w.after(4 * time.Minute)
		}
		w.after(time.Until(down.Add(time.Hour)))
		if n := len(w.events("changed")); n != len(refs) {
			t.Fatalf("while Slack was down the webhook heard of %d of %d changes", n, len(refs))
		}
		if n := len(w.slack.Messages()); n != 0 {
			t.Fatalf("Slack took %d messages while it answered 500", n)
		}
		w.slack.Heal()
		w.after(16 * time.Minute)
		for ref, digest := range digests {
			if n := w.mentions(digest[7:19]); n != 1 {
				t.Errorf("%s: told in %d messages", ref, n)
			}
		}
		if !strings.Contains(w.slack.Messages()[0].Plain(), "late") {
			t.Errorf("the message does not say that it was late:\n%s", w.slack.Messages()[0].Plain())
		}
		if l := w.lanes()["slack"]; l.Waiting != 0 || l.Lane.Failing() {
			t.Errorf("Slack's lane afterwards: %+v", l)
		}
		if r := w.slack.Refusals(); len(r) > 0 {
			t.Errorf("refused: %q", r)
		}
	})
}

// TestHangingReceiverDelaysNoOther: Slack takes the connection and never
// answers; the webhook hears at once.
func TestHangingReceiverDelaysNoOther(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		refs := w.registry.Fleet(1, 1, onePlatform("1"))
		w.configure(watch("1m", refs))
		w.start()
		w.after(2 * time.Minute)
		release := w.slack.Hang()
		defer release()
		w.registry.Push("acme/base-0001", "t01", onePlatform("2"))
		w.after(90 * time.Second)
		if n := len(w.events("changed")); n != 1 {
			t.Errorf("the webhook heard %d times", n)
		}
	})
}

// TestIndexNoiseTellsNobody: 100 moves of an index, attestations and foreign
// platforms in turn, are no change.
func TestIndexNoiseTellsNobody(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		refs := w.registry.Fleet(1, 1, onePlatform("1"))
		w.configure(watch("15m", refs))
		w.start()
		w.after(20 * time.Minute)
		for i := range 100 {
			img := onePlatform("1")
			img.Attestations = fmt.Sprint("noise-", i)
			if i%2 == 0 {
				img.Platforms["linux/s390x"] = fmt.Sprint("foreign-", i)
			}
			w.registry.Push("acme/base-0001", "t01", img)
			w.after(20 * time.Minute)
		}
		w.after(48 * time.Hour)
		if n := len(w.slack.Messages()) + len(w.hook.Messages()); n != 0 {
			t.Errorf("%d messages of noise", n)
		}
		notes, err := w.app.store.History(t.Context(), testRegistry+"/"+refs[0], time.Time{}, 1000)
		if err != nil || len(notes) != 101 {
			t.Errorf("history has %d lines (%v), want the baseline and 100 quiet moves", len(notes), err)
		}
	})
}

// TestFirstRunOnFiveThousandTargetsIsQuiet: no change event, no message by
// default; with baselines routed to Slack, one.
func TestFirstRunOnFiveThousandTargetsIsQuiet(t *testing.T) {
	for name, route := range map[string]string{
		"default":          "",
		"baselines routed": "[[route]]\nevents = [\"baseline\", \"changed\"]\nto = [\"slack\"]\n",
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *world) {
				refs := w.registry.Fleet(250, 20, onePlatform("1"))
				w.configure(watch("15m", refs) + route)
				w.start()
				w.after(3 * time.Hour)
				if n := len(w.events("changed")) + len(w.events("failing")); n != 0 {
					t.Errorf("%d events on a first run", n)
				}
				want := 0
				if route != "" {
					want = 1
				}
				if got := len(w.slack.Messages()); got != want {
					t.Errorf("Slack got %d messages, want %d", got, want)
				}
				st := w.app.store
				if c, err := st.Counts(t.Context()); err != nil || c.Waiting != 0 {
					t.Errorf("%d deliveries wait (%v)", c.Waiting, err)
				}
			})
		})
	}
}

// TestFiveHundredChangesWhileDown: told at start, as one message to people and
// 500 to a webhook.
func TestFiveHundredChangesWhileDown(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		refs := w.registry.Fleet(25, 20, onePlatform("1"))
		w.configure(watch("15m", refs))
		w.start()
		w.after(time.Hour)
		w.stop()
		for _, ref := range refs {
			repo, tag, _ := strings.Cut(ref, ":")
			w.registry.Push(repo, tag, onePlatform("2-"+ref))
		}
		w.after(2 * time.Hour)
		w.start()
		w.after(15 * time.Minute)
		if n := len(w.events("changed")); n != 500 {
			t.Errorf("the webhook heard of %d changes, want 500", n)
		}
		if n := len(w.slack.Messages()); n != 1 {
			t.Errorf("Slack got %d messages, want 1", n)
		}
	})
}

// TestRequestsOfAnUnchangedScan: one HEAD a tag and one token a repository.
func TestRequestsOfAnUnchangedScan(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		w.registry.Behave(func(b *standin.Behaviour) { b.Auth = standin.Bearer })
		refs := w.registry.Fleet(50, 20, onePlatform("1"))
		w.configure(watch("15m", refs))
		w.start()
		w.after(30 * time.Minute)
		w.registry.ResetCounts()
		w.after(4 * 15 * time.Minute)
		c := w.registry.Counts()
		perTag := float64(c.Total()) / float64(4*len(refs))
		t.Logf("%d tags, 4 scans: %+v, %.3f requests per tag", len(refs), c, perTag)
		if perTag > 1.06 || c.Head < 4*len(refs)*95/100 || c.Get+c.Blob > 0 {
			t.Errorf("%.3f requests per tag: %+v", perTag, c)
		}
	})
}

// watch is a [[watch]] of the stand-in's references.
func watch(every string, refs []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[[watch]]\nplatforms = [\"linux/amd64\"]\ninterval = %q\nimages = [\n", every)
	for _, ref := range refs {
		fmt.Fprintf(&b, "  %q,\n", testRegistry+"/"+ref)
	}
	return b.String() + "]\n"
}
