package watcher_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"basewatch/internal/store/bolt"
	"basewatch/watcher"
)

// registries is a scripted world of registries: what each tag points to, and
// how asking goes.
type registries struct {
	mu     sync.Mutex
	see    map[string]string // per ref, as in step.see
	asked  map[string][]time.Time
	read   int
	ask    func(ctx context.Context, ref string) error // nil: all is well
	unread error                                       // how reading an index fails
	// unlisted is how listing tags fails; what a family has stands in see.
	unlisted error
	paused   map[string]time.Time
	allowed  map[string]int // how often the loop asked for an allowance, per host
}

func (r *registries) Digest(ctx context.Context, ref string) (string, error) {
	r.mu.Lock()
	see, ask := r.see[ref], r.ask
	r.asked[ref] = append(r.asked[ref], time.Now())
	r.mu.Unlock()
	if ask != nil {
		if err := ask(ctx, ref); err != nil {
			return "", err
		}
	}
	if see == "" {
		return "", &watcher.LookError{Problem: watcher.NotFound, Err: errors.New("no such tag")}
	}
	return snapshot(see).Index, nil
}

func (r *registries) Snapshot(_ context.Context, t watcher.Target, _ string) (watcher.Snapshot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read++
	if r.unread != nil {
		return watcher.Snapshot{}, r.unread
	}
	return snapshot(r.see[t.Ref]), nil
}

func (r *registries) Tags(_ context.Context, t watcher.Target) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked[t.Ref] = append(r.asked[t.Ref], time.Now())
	if r.unlisted != nil {
		return nil, r.unlisted
	}
	return strings.Fields(r.see[t.Ref]), nil
}

func (r *registries) Allowance(host string) (int, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.allowed[host]++
	if until := r.paused[host]; until.After(time.Now()) {
		return 0, until
	}
	return 50, time.Time{}
}

func (r *registries) push(see string, refs ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ref := range refs {
		r.see[ref] = see
	}
}

func (r *registries) script(ask func(ctx context.Context, ref string) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ask = ask
}

func (r *registries) pause(host string, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paused[host] = time.Now().Add(d)
}

func (r *registries) looks(refs ...string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ref := range refs {
		n += len(r.asked[ref])
	}
	return n
}

func (r *registries) allowances(host string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.allowed[host]
}

// fixture is a loop on a real store, in virtual time.
type fixture struct {
	t     *testing.T
	reg   *registries
	store *bolt.Store
	loop  *watcher.Loop
	cfg   watcher.LoopConfig
	path  string

	mu     sync.Mutex
	events []watcher.Event
	passes []string
	log    logLines
}

// inBubble runs a test in virtual time, on an empty store.
func inBubble(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "basewatch.db")
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{t: t, path: path, reg: &registries{see: make(map[string]string),
			asked: make(map[string][]time.Time), paused: make(map[string]time.Time), allowed: make(map[string]int)}}
		f.open()
		defer f.close()
		test(t, f)
	})
}

func (f *fixture) open() {
	f.t.Helper()
	store, err := bolt.Open(f.t.Context(), bolt.Options{Path: f.path})
	if err != nil {
		f.t.Fatal(err)
	}
	f.store = store
	f.cfg = watcher.LoopConfig{Store: store, Hosts: store, Passes: f, Registry: f.reg,
		Policy: policy, OnEvent: f.onEvent, Logger: slog.New(&f.log)}
	f.loop = watcher.NewLoop(f.cfg)
}

func (f *fixture) close() {
	if err := f.store.Close(); err != nil {
		f.t.Error(err)
	}
}

func (f *fixture) onEvent(e watcher.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, e)
}

// EndPass makes the fixture the loop's watcher.Passes.
func (f *fixture) EndPass(ctx context.Context, host string, drained bool) error {
	f.mu.Lock()
	f.passes = append(f.passes, host)
	f.mu.Unlock()
	return f.store.EndPass(ctx, host, drained)
}

// watch makes these the targets, and a tag of each stand at A.
func (f *fixture) watch(every time.Duration, refs ...string) {
	f.t.Helper()
	var ts []watcher.Target
	for _, ref := range refs {
		ts = append(ts, watcher.Target{Ref: ref, Platforms: one, Every: every})
	}
	if err := f.store.Watch(f.t.Context(), "test", ts); err != nil {
		f.t.Fatal(err)
	}
	f.reg.push("amd64=A", refs...)
}

// run runs the loop for a time, and returns when it has ended.
func (f *fixture) run(d time.Duration, during ...func()) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan error, 1)
	go func() { done <- f.loop.Run(ctx) }()
	for _, step := range during {
		synctest.Wait()
		step()
	}
	time.Sleep(d)
	synctest.Wait()
	cancel()
	if err := <-done; err != nil {
		f.t.Errorf("Run: %v", err)
	}
}

func (f *fixture) told(kinds ...watcher.Kind) (out []watcher.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.events {
		for _, k := range kinds {
			if e.Kind == k {
				out = append(out, e)
			}
		}
	}
	return out
}

func (f *fixture) state(ref string) watcher.State {
	f.t.Helper()
	s, err := f.store.State(context.Background(), ref)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// claims are what is due now at a host, taken.
func (f *fixture) claims(host string) []watcher.Claim {
	f.t.Helper()
	cs, err := f.store.Claim(context.Background(), watcher.ClaimRequest{Host: host, Max: 100, TTL: time.Minute})
	if err != nil {
		f.t.Fatal(err)
	}
	return cs
}

// logLines keeps what was logged.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Enabled(context.Context, slog.Level) bool { return true }

func (l *logLines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	l.lines = append(l.lines, line)
	return nil
}

func (l *logLines) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *logLines) WithGroup(string) slog.Handler      { return l }
