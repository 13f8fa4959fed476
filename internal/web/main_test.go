package web

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shop is a small daemon's memory: a store that answers from slices. It keeps
// to the contracts of the interfaces that it stands for.
type shop struct {
	records []watcher.Record
	notes   map[string][]watcher.Note // newest first
	loads   []watcher.HostLoad
	rows    []outbox.Delivery // newest first
	lanes   []outbox.LaneWork
	broken  error

	replayed, retried []string
	checked           []string
	tested            string
}

func (s *shop) Records(_ context.Context, refs ...string) ([]watcher.Record, error) {
	if s.broken != nil || len(refs) == 0 {
		return slices.Clone(s.records), s.broken
	}
	var out []watcher.Record
	for _, r := range s.records {
		if slices.Contains(refs, r.Target.Ref) {
			out = append(out, r)
		}
	}
	return out, nil
}

func (s *shop) History(_ context.Context, ref string, since time.Time, limit int) ([]watcher.Note, error) {
	var out []watcher.Note
	for _, n := range s.notes[ref] {
		if len(out) < limit && !n.At.Before(since) {
			out = append(out, n)
		}
	}
	return out, s.broken
}

func (s *shop) Hosts(context.Context) ([]watcher.HostLoad, error) { return s.loads, s.broken }

func (s *shop) Deliveries(_ context.Context, q outbox.Query) ([]outbox.Delivery, error) {
	var out []outbox.Delivery
	for _, d := range s.rows {
		fits := strings.HasPrefix(d.ID, q.ID) &&
			(q.Receiver == "" || q.Receiver == d.Receiver || q.Receiver == d.Lane()) &&
			(q.State == "" || q.State == d.State) && !d.CreatedAt.Before(q.Since) &&
			(q.Ref == "" || q.Ref == d.Event.Ref) && (q.EventKey == "" || q.EventKey == d.EventKey)
		if fits && len(out) < q.Limit {
			out = append(out, d)
		}
	}
	return out, s.broken
}

func (s *shop) Lanes(context.Context) ([]outbox.LaneWork, error) { return s.lanes, s.broken }

func (s *shop) Counts(context.Context) (outbox.Counts, error) {
	c := outbox.Counts{Bytes: 41 << 20}
	for _, d := range s.rows {
		switch d.State {
		case outbox.Waiting:
			c.Waiting++
			if c.Oldest.IsZero() || d.CreatedAt.Before(c.Oldest) {
				c.Oldest = d.CreatedAt
			}
		case outbox.Dead:
			c.Dead++
		case outbox.Delivered:
			c.Delivered++
		}
	}
	return c, s.broken
}

func (s *shop) Replay(_ context.Context, ids []string) (int, error) {
	s.replayed = append(s.replayed, ids...)
	return len(ids), s.broken
}

func (s *shop) Retry(_ context.Context, receiver string, ids []string) (int, error) {
	s.retried = append(append(s.retried, receiver), ids...)
	return 1 + len(ids), s.broken
}

func (s *shop) Writable(context.Context) error { return s.broken }

func (s *shop) Check(_ context.Context, refs []string) ([]watcher.CheckResult, error) {
	s.checked = refs
	var out []watcher.CheckResult
	for _, ref := range refs {
		r, _ := s.Records(context.Background(), ref)
		res := watcher.CheckResult{Ref: ref, State: r[0].State, Moved: ref == ruby}
		if ref == nginx {
			res.Err = &watcher.LookError{Problem: watcher.NotFound, Err: errors.New("no such tag")}
		}
		out = append(out, res)
	}
	return out, s.broken
}

func (s *shop) Test(_ context.Context, lane string, kind watcher.Kind) (watcher.Event, error) {
	s.tested = lane + " " + string(kind)
	return s.rows[0].Event, s.broken
}

const (
	python = "docker.io/library/python:3.13-slim"
	nginx  = "docker.io/library/nginx:alpne"
	ruby   = "docker.io/library/ruby:3.4-slim"
	old    = "docker.io/library/alpine:3.19"
)

func digest(c rune) string { return "sha256:" + strings.Repeat(string(c), 64) }

// newShop has a python that changed twice and is told to slack, which fails,
// and to audit; an nginx that does not exist; a ruby that settles; an alpine
// that sleeps.
func newShop(now time.Time) *shop {
	snap := func(c rune) *watcher.Snapshot {
		return &watcher.Snapshot{Index: digest(c), SeenAt: now.Add(-time.Hour),
			Platforms: map[string]watcher.Manifest{"linux/amd64": {Digest: digest(c + 1)}}}
	}
	record := func(ref string, st watcher.State) watcher.Record {
		return watcher.Record{State: st, Target: watcher.Target{Ref: ref, Platforms: []string{"linux/amd64"},
			Every: 15 * time.Minute, Labels: map[string][]string{"team": {"shop"}}}}
	}
	good := watcher.Health{LastLook: now.Add(-time.Minute), LastGood: now.Add(-time.Minute)}
	asleep := record(old, watcher.State{})
	asleep.Asleep = true
	s := &shop{
		records: []watcher.Record{
			asleep,
			record(nginx, watcher.State{Health: watcher.Health{LastLook: now, Failures: 3, Since: now.Add(-2 * time.Hour),
				Problem: watcher.NotFound, Reason: "no such tag", Told: true}}),
			record(python, watcher.State{Seq: 42, Seen: digest('c'), Current: snap('c'), ToldAt: now, Health: good}),
			record(ruby, watcher.State{Current: snap('a'), Pending: snap('b'), PendingSince: now.Add(-time.Minute), Health: good}),
		},
		notes: map[string][]watcher.Note{},
		loads: []watcher.HostLoad{{Host: "docker.io", Targets: 3, PerMinute: 0.2, NextAt: now.Add(time.Minute)}},
	}
	for seq := uint64(41); seq <= 42; seq++ {
		e := watcher.Event{Kind: watcher.Changed, Ref: python, Seq: seq, At: now, Old: snap('a'), New: snap('c'),
			Labels: map[string][]string{"team": {"shop"}}}
		e.Identify()
		s.notes[python] = append([]watcher.Note{{At: now, Kind: watcher.NoteChanged, Index: e.New.Index, Event: &e}}, s.notes[python]...)
		s.rows = append([]outbox.Delivery{row(e, "audit", "", outbox.Delivered, now), row(e, "slack", "#shop", outbox.Waiting, now)}, s.rows...)
	}
	s.lanes = []outbox.LaneWork{{Waiting: 2, Oldest: now, Lane: outbox.Lane{Name: "slack:#shop",
		FailingSince: now.Add(-time.Hour), LastError: "503", ProbeAt: now.Add(10 * time.Minute)}}}
	return s
}

func row(e watcher.Event, receiver, address string, state outbox.State, now time.Time) outbox.Delivery {
	return outbox.Delivery{
		ID: outbox.DeliveryID(e.Key, outbox.LaneName(receiver, address), ""), EventKey: e.Key, Event: e,
		Receiver: receiver, Address: address, Route: "route[0]", State: state, CreatedAt: now, NextAt: now,
		Attempts: []outbox.Attempt{
			{At: now, Took: 20 * time.Millisecond, Outcome: outbox.Retry, Answer: "500"},
			{At: now, Took: 30 * time.Millisecond, Outcome: outbox.Retry, Answer: "503"},
		},
	}
}

// config is a daemon that has every part.
func (s *shop) config(t *testing.T) Config {
	t.Helper()
	routes := []outbox.RouteConfig{{Labels: map[string]string{"team": "shop"}, To: []string{"slack:#shop", "audit"}},
		{Labels: map[string]string{"team": "ops"}, To: []string{"audit"}}}
	router, err := outbox.NewRouter(routes, []outbox.ReceiverInfo{
		{Name: "slack", Kind: "slack", People: true, Addressable: true}, {Name: "audit", Kind: "webhook"}})
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Name: "prod-eu", Version: "0.1.0", InForce: func() StatusConfig { return StatusConfig{File: "/etc/basewatch.toml", Sum: "4be1"} }, StorePath: "/var/lib/basewatch.db",
		Listen: "127.0.0.1:8080", StartedAt: time.Now().Add(-time.Hour),
		Targets: s, Queue: s, Mover: s, Disk: s, Checker: s, Tester: s, Router: router,
		Receivers: func() []Receiver { return []Receiver{{"audit", "webhook"}, {"slack", "slack"}} },
		Registries: func() []Registry {
			return []Registry{{Host: "docker.io", PerMinute: 120, Remaining: 12, Limit: 200}}
		},
		Freshness: func() Freshness { return Freshness{LastGood: time.Now(), Limit: time.Hour} },
		Logger:    slog.New(slog.DiscardHandler),
	}
}

func server(t *testing.T, cfg Config) *Server {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open gives a client that needs no token.
func (s *shop) open(t *testing.T) *Client {
	t.Helper()
	return NewClient("", InProcess(server(t, s.config(t)).SocketHandler()), "")
}

// fetch asks a handler and gives the status and the body.
func fetch(t *testing.T, h http.Handler, req *http.Request) (int, string) {
	t.Helper()
	resp, err := inProcess{h}.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func request(t *testing.T, method, path, body string, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:8080"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = "127.0.0.1:50000"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.URL.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func token(values ...string) func() []func() (string, error) {
	var out []func() (string, error)
	for _, v := range values {
		out = append(out, func() (string, error) {
			if v == "unreadable" {
				return v, errors.New("file:/run/secrets/token: no such file")
			}
			return v, nil
		})
	}
	return func() []func() (string, error) { return out }
}
