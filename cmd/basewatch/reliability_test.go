package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/standin"
	"basewatch/internal/web"
)

// TestKillsLoseNoChange kills the built binary with SIGKILL again and again
// while images change, with three receivers: Slack and two webhooks. Each
// change must reach both webhooks under one ID, and Slack by itself or in a
// newer message; a kill may cost at most one repeat per receiver.
//
// BASEWATCH_CHANGES, BASEWATCH_KILLS and BASEWATCH_SEED make it longer or other;
// `make reliability` runs the long form of docs/reliability.md.
func TestKillsLoseNoChange(t *testing.T) {
	t.Parallel()
	changes, kills, seed := setting(t, "CHANGES", 60), setting(t, "KILLS", 10), setting(t, "SEED", 1)
	began := time.Now()
	w := newChaos(t, min(changes, 20), uint64(seed)) //nolint:gosec // any number will do
	w.start()
	w.fresh(len(w.refs))
	rounds := changes / len(w.refs)
	for round := range rounds {
		w.push(round + 1)
		for range kills*(round+1)/rounds - kills*round/rounds {
			w.killSoon()
		}
		w.delivered(round + 1)
	}
	w.drained()
	w.stop()
	repeats := w.audit(rounds)
	t.Logf("seed %d: %d changes, %d kills, %s: 0 lost, repeats %v", seed, rounds*len(w.refs), w.kills, time.Since(began).Round(time.Second), repeats)
}

func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	value := os.Getenv("BASEWATCH_" + name)
	if value == "" {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		t.Fatalf("BASEWATCH_%s=%s is no count", name, value)
	}
	return n
}

// chaos is a daemon that is killed, and the world that it lives in.
type chaos struct {
	*daemon
	random   *rand.Rand
	meter    *meter
	registry *standin.Registry
	slack    *standin.Slack
	hooks    map[string]*standin.Webhook
	refs     []string
	pushed   []map[string]string // by round: digest by reference
	kills    int
}

func newChaos(t *testing.T, targets int, seed uint64) *chaos {
	t.Helper()
	w := &chaos{
		random: rand.New(rand.NewPCG(seed, 0)), meter: &meter{}, //nolint:gosec // it is to be repeatable
		registry: standin.NewRegistry(standin.Behaviour{}), slack: standin.NewSlack("xoxb-1"),
		hooks: map[string]*standin.Webhook{"audit": standin.NewWebhook(), "ci": standin.NewWebhook()},
	}
	serve := func(h http.Handler) *standin.Server {
		s := standin.Serve(w.meter.count(h))
		t.Cleanup(s.Close)
		return s
	}
	host := serve(w.registry).Host
	w.refs = w.registry.Fleet(targets, 1, onePlatform("0"))
	w.daemon = newDaemon(t, fmt.Sprintf(`
[poll]
interval = "1s"
settle = "1s"
[registry.%q]
plain_http = true
per_minute = 0
[notify.slack]
kind = "slack"
token = "xoxb-1"
channel = "#base-images"
api_url = "%s/api/"
[notify.audit]
kind = "webhook"
url = "%s/hook"
[notify.ci]
kind = "webhook"
url = "%s/hook"
`, host, serve(w.slack).URL, serve(w.hooks["audit"]).URL, serve(w.hooks["ci"]).URL)+
		strings.ReplaceAll(watch("1s", w.refs), testRegistry, host))
	return w
}

// push changes every image.
func (w *chaos) push(round int) {
	digests := map[string]string{}
	for _, ref := range w.refs {
		repo, tag, _ := strings.Cut(ref, ":")
		digests[ref] = w.registry.Push(repo, tag, onePlatform(fmt.Sprint(round, "-", ref)))
	}
	w.pushed = append(w.pushed, digests)
}

// killSoon kills the daemon at a moment that the seed and the requests decide:
// after some further request of any kind has come and not been answered yet.
// So kills fall into starts, looks, deliveries and what is between them.
func (w *chaos) killSoon() {
	w.t.Helper()
	due := w.meter.after(1 + w.random.IntN(2*len(w.refs)))
	select {
	case <-due:
	case err := <-w.exit:
		w.t.Fatalf("the daemon ended by itself: %v\n%s", err, w.out)
	case <-within(w.t, time.Minute).Done():
		w.t.Fatalf("no request for a minute\n%s", w.out)
	}
	w.kill()
	w.kills++
	w.spawn()
}

// delivered waits until both webhooks have every change of a round.
func (w *chaos) delivered(round int) {
	w.t.Helper()
	for name, hook := range w.hooks {
		missing := slices.Collect(func(yield func(string) bool) {
			for _, d := range w.pushed[round-1] {
				if !yield(d) {
					return
				}
			}
		})
		ctx := within(w.t, 2*time.Minute)
		for n := 0; len(missing) > 0; {
			posts, err := hook.Wait(ctx, n+1)
			if err != nil {
				w.t.Fatalf("round %d: %s lacks %d changes: %v\n%s", round, name, len(missing), err, tail(w.out.String()))
			}
			for _, p := range posts[n:] {
				got := readCloudEvent(w.t, p.Body).Data.New.Digest
				missing = slices.DeleteFunc(missing, func(d string) bool { return d == got })
			}
			n = len(posts)
		}
	}
}

func tail(s string) string { return s[max(0, len(s)-4000):] }

// drained waits until nothing waits any more. An ordered restart gives people
// their messages of this minute, which a digest makes one.
func (w *chaos) drained() {
	w.t.Helper()
	w.eventually("the daemon answers", func() bool {
		_, err := w.client().Status(w.t.Context())
		return err == nil
	})
	w.stop()
	w.start()
	w.eventually("nothing waits", func() bool {
		st, err := w.client().Status(w.t.Context())
		return err == nil && st.Queue.Waiting == 0
	})
	for _, state := range []outbox.State{outbox.Waiting, outbox.Dead, outbox.Skipped} {
		list, err := w.client().Deliveries(w.t.Context(), web.DeliveriesQuery{State: string(state)})
		if err != nil || len(list.Deliveries) > 0 {
			w.t.Errorf("%d deliveries are %s (%v)", len(list.Deliveries), state, err)
		}
	}
}

// audit reads the receivers' ledgers and gives the repeats of each.
func (w *chaos) audit(rounds int) map[string]int {
	w.t.Helper()
	repeats := map[string]int{"slack": w.auditSlack(rounds)}
	for name, hook := range w.hooks {
		repeats[name] = w.auditHook(name, hook, rounds)
	}
	for name, n := range repeats {
		if n > w.kills {
			w.t.Errorf("%s: %d repeats by %d kills", name, n, w.kills)
		}
	}
	return repeats
}

// auditHook checks that a webhook got each change, and nothing else, under one
// number and one ID.
func (w *chaos) auditHook(name string, hook *standin.Webhook, rounds int) (repeats int) {
	type known struct{ id, event, digest string }
	got := map[string]known{} // by handle
	for _, m := range hook.Messages() {
		e := readCloudEvent(w.t, m.Body)
		handle := fmt.Sprint(e.Data.Image, "@", e.Data.Seq)
		this := known{m.Header.Get("Webhook-Id"), e.ID, e.Data.New.Digest}
		before, again := got[handle]
		if again {
			repeats++
		}
		if again && before != this || e.Type != "basewatch.changed.v1" {
			w.t.Errorf("%s: %s came as %+v and as %+v (%s)", name, handle, before, this, e.Type)
		}
		got[handle] = this
	}
	if len(got) != rounds*len(w.refs) {
		w.t.Errorf("%s: %d different changes, want %d", name, len(got), rounds*len(w.refs))
	}
	for round, digests := range w.pushed {
		for ref, digest := range digests {
			handle := fmt.Sprint(w.host(), "/", ref, "@", round+1)
			if got[handle].digest != digest {
				w.t.Errorf("%s: %s is %q, want %s", name, handle, got[handle].digest, digest)
			}
		}
	}
	return repeats
}

func (w *chaos) host() string {
	for _, r := range w.registry.Requests()[:1] {
		return r.Host
	}
	return ""
}

var slackHandle = regexp.MustCompile(`base-\d{4}:t01@\d+`)

// auditSlack checks that each image's last change was told, and that no message
// was refused for what it is. A repeat is a message that names what an earlier
// one had as its own.
func (w *chaos) auditSlack(rounds int) (repeats int) {
	told := map[string]bool{}
	for _, m := range w.slack.Messages() {
		again := false
		for _, handle := range slices.Compact(slices.Sorted(slices.Values(slackHandle.FindAllString(m.Plain(), -1)))) {
			again = again || told[handle]
			told[handle] = true
		}
		if again {
			repeats++
		}
	}
	for _, ref := range w.refs {
		if last := fmt.Sprintf("%s@%d", strings.TrimPrefix(ref, "acme/"), rounds); !told[last] {
			w.t.Errorf("slack: %s was not told", last)
		}
	}
	if r := w.slack.Refusals(); len(r) > 0 {
		w.t.Errorf("slack refused %q", r)
	}
	return repeats
}

// meter counts requests as they come, before they are answered.
type meter struct {
	mu   sync.Mutex
	n    int
	at   int
	wake chan struct{}
}

func (m *meter) count(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.n++
		if m.wake != nil && m.n >= m.at {
			close(m.wake)
			m.wake = nil
		}
		m.mu.Unlock()
		h.ServeHTTP(w, r)
	})
}

// after is closed when n more requests have come.
func (m *meter) after(n int) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	wake := make(chan struct{})
	m.at, m.wake = m.n+n, wake
	return wake
}
