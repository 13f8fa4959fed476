package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"basewatch/watcher"
)

func TestTheAPIDescribesItself(t *testing.T) {
	h := server(t, newShop(time.Now()).config(t)).Handler()
	status, body := fetch(t, h, request(t, "GET", "/api/v1/openapi.json", ""))
	if status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	var doc struct {
		OpenAPI string                    `json:"openapi"`
		Paths   map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	var got []string
	for path, methods := range doc.Paths {
		for method := range maps.Keys(methods) {
			got = append(got, method+" "+path)
		}
	}
	slices.Sort(got)
	want := []string{"get /api/v1/deliveries", "get /api/v1/explain", "get /api/v1/history", "get /api/v1/status", "get /api/v1/targets",
		"post /api/v1/backup", "post /api/v1/check", "post /api/v1/reload", "post /api/v1/replay", "post /api/v1/retry", "post /api/v1/test"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("openapi %q", doc.OpenAPI)
	}
}

func TestNothingLoadsScriptsFromElsewhere(t *testing.T) {
	h := server(t, newShop(time.Now()).config(t)).SocketHandler()
	for _, path := range []string{"/", "/docs", "/api/v1/docs", "/schemas/Status.json", "/openapi.json", "/api/v1/openapi.yaml"} {
		status, body := fetch(t, h, request(t, "GET", path, ""))
		if status != 404 || strings.Contains(body, "<script") || strings.Contains(body, "unpkg") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	resp, err := inProcess{h}.RoundTrip(request(t, "GET", "/api/v1/status", ""))
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(resp.Body); strings.Contains(string(body), "$schema") || resp.Header.Get("Link") != "" {
		t.Errorf("an answer links to a schema: %s %s", resp.Header.Get("Link"), body)
	}
	for header, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"} {
		if got := resp.Header.Get(header); got != want {
			t.Errorf("%s: %q", header, got)
		}
	}
}

func TestErrorsAreProblems(t *testing.T) {
	tests := []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/nowhere", "", 404, "nothing is at /nowhere"},
		{"POST", "/api/v1/status", "{}", 405, "takes GET"},
		{"GET", "/api/v1/retry", "", 405, "takes POST"},
		{"GET", "/api/v1/status?verbose=1", "", 422, "unknown query parameter"},
		{"GET", "/api/v1/history", "", 422, "query.ref"},
		{"GET", "/api/v1/history?ref=python@sha256:" + strings.Repeat("a", 64), "", 422, "a digest never moves"},
		{"GET", "/api/v1/history?ref=python:3.13-slim&limit=1001", "", 422, "query.limit"},
		{"GET", "/api/v1/history?ref=python:3.13-slim&since=yesterday", "", 422, "query.since"},
		{"GET", "/api/v1/deliveries?state=lost", "", 422, "query.state"},
		{"GET", "/api/v1/deliveries?id=ABC", "", 422, "query.id"},
		{"GET", "/api/v1/history?ref=python:3.13-slm", "", 404, `"near":["python:3.13-slim"]`},
		{"GET", "/api/v1/explain?what=ZZZZ", "", 404, "no delivery's ID begins with ZZZZ"},
		{"GET", "/api/v1/explain?what=python:3.13-slim@7", "", 404, "no change 7"},
		{"POST", "/api/v1/retry", "{", 400, "body"},
		{"POST", "/api/v1/retry", "{}", 422, "name a receiver or IDs"},
		{"POST", "/api/v1/retry", `{"receiver":"slack","force":true}`, 422, "body.force"},
		{"POST", "/api/v1/retry", `{"receiver":"slak"}`, 404, `"near":["slack"]`},
		{"POST", "/api/v1/retry", `{"ids":["ABC"]}`, 422, "too short"},
		{"POST", "/api/v1/replay", `{"receiver":"slack"}`, 422, "a receiver and since"},
		{"POST", "/api/v1/test", `{"receiver":"slack","event":"chnged"}`, 422, `no event that can be sent`},
		{"POST", "/api/v1/test", `{"receiver":"slak"}`, 404, "no receiver is called slak"},
		{"POST", "/api/v1/check", `{"refs":["evil.example/x:1"]}`, 404, "is not watched"},
		{"POST", "/api/v1/check", `{"refs":["alpine:3.19"]}`, 404, "no longer watched"},
		{"POST", "/api/v1/check", `{"refs":["` + strings.Repeat("a", 300<<10) + `"]}`, 413, ""},
	}
	h := server(t, newShop(time.Now()).config(t)).SocketHandler()
	for _, tt := range tests {
		resp, err := inProcess{h}.RoundTrip(request(t, tt.method, tt.path, tt.body))
		if err != nil {
			t.Fatal(err)
		}
		var p Problem
		var raw bytes.Buffer
		_, _ = raw.ReadFrom(resp.Body)
		err = json.Unmarshal(raw.Bytes(), &p)
		short := tt.path[:min(len(tt.path), 60)]
		if err != nil || resp.StatusCode != tt.status || p.Status != tt.status || !strings.Contains(raw.String(), tt.says) {
			t.Errorf("%s %s: %d %s (%v), want %d %q", tt.method, short, resp.StatusCode, raw.String()[:min(raw.Len(), 300)], err, tt.status, tt.says)
		}
		if kind := resp.Header.Get("Content-Type"); kind != "application/problem+json" {
			t.Errorf("%s %s: Content-Type %q", tt.method, short, kind)
		}
	}
}

func TestAPanicIsOneAnswerAndOneLogLine(t *testing.T) {
	var log bytes.Buffer
	cfg := newShop(time.Now()).config(t)
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	cfg.Registries = func() []Registry { panic("index out of range") }
	status, body := fetch(t, server(t, cfg).SocketHandler(), request(t, "GET", "/api/v1/status", ""))
	if status != http.StatusInternalServerError || strings.Contains(body, "index out of range") {
		t.Errorf("%d %s", status, body)
	}
	if n := strings.Count(log.String(), "index out of range"); n != 1 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
}

func TestAFailureOfTheStoreIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	s := newShop(time.Now())
	cfg := s.config(t)
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s.broken = errors.New("page 7 is damaged")
	status, _ := fetch(t, server(t, cfg).SocketHandler(), request(t, "GET", "/api/v1/targets", ""))
	if status != 500 || strings.Count(log.String(), "page 7 is damaged") != 1 {
		t.Errorf("%d, log: %s", status, log.String())
	}
}

func TestWhatChangesSomethingIsLogged(t *testing.T) {
	var log bytes.Buffer
	cfg := newShop(time.Now()).config(t)
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	h := server(t, cfg).SocketHandler()
	fetch(t, h, request(t, "GET", "/api/v1/status", ""))
	fetch(t, h, request(t, "POST", "/api/v1/retry", `{"receiver":"slack"}`))
	if got := strings.Count(log.String(), "asked over HTTP"); got != 1 || !strings.Contains(log.String(), "/api/v1/retry") {
		t.Errorf("log: %s", log.String())
	}
}

func TestWithoutTheDaemonOnlyReadingWorks(t *testing.T) {
	cfg := newShop(time.Now()).config(t)
	cfg.Mover, cfg.Checker, cfg.Tester, cfg.Offline = nil, nil, nil, true
	c := NewClient("", InProcess(server(t, cfg).SocketHandler()), "")
	st, err := c.Status(t.Context())
	if err != nil || !st.Offline || !st.StartedAt.IsZero() {
		t.Errorf("status: %+v, %v", st, err)
	}
	_, check := c.Check(t.Context(), python)
	_, retry := c.Retry(t.Context(), RetryRequest{Receiver: "slack"})
	_, replay := c.Replay(t.Context(), ReplayRequest{IDs: []string{"ABCD"}})
	_, test := c.Test(t.Context(), TestRequest{Receiver: "slack"})
	for _, err := range []error{check, retry, replay, test} {
		if err == nil || !strings.Contains(err.Error(), "basewatch run") {
			t.Errorf("%v", err)
		}
	}
}

func TestTheNearestNamesAreMeant(t *testing.T) {
	known := []string{"python:3.13-slim", "python:3.12", "nginx:1.29", "ghcr.io/acme/base:main", "alpine:3.22"}
	for name, want := range map[string][]string{
		"pyhton:3.13-slim":    {"python:3.13-slim"},
		"python:latest":       {"python:3.12", "python:3.13-slim"},
		"alpine:3.21":         {"alpine:3.22"},
		"ghcr.io/acme/base:m": {"ghcr.io/acme/base:main"},
		"tomcat:10":           nil,
	} {
		if d := cmp.Diff(want, nearest(name, known)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestStandings(t *testing.T) {
	now := time.Now()
	seen := func(ago time.Duration) watcher.Health { return watcher.Health{LastGood: now.Add(-ago)} }
	tests := []struct {
		name    string
		state   watcher.State
		asleep  bool
		stretch float64
		want    Standing
	}{
		{"never looked at", watcher.State{}, false, 1, Unseen},
		{"seen lately", watcher.State{Health: seen(time.Minute)}, false, 1, Fresh},
		{"seen three intervals ago", watcher.State{Health: seen(45 * time.Minute)}, false, 1, Fresh},
		{"seen before that", watcher.State{Health: seen(46 * time.Minute)}, false, 1, Late},
		{"the same, stretched", watcher.State{Health: seen(46 * time.Minute)}, false, 2, Fresh},
		{"pending", watcher.State{Health: seen(0), Pending: &watcher.Snapshot{}}, false, 1, Settling},
		{"failing while pending", watcher.State{Health: watcher.Health{Failures: 1, LastGood: now}, Pending: &watcher.Snapshot{}}, false, 1, Failing},
		{"gone", watcher.State{Health: watcher.Health{Failures: 9, Gone: true}}, false, 1, Gone},
		{"asleep", watcher.State{Health: seen(time.Hour)}, true, 1, Asleep},
	}
	for _, tt := range tests {
		r := watcher.Record{Target: watcher.Target{Every: 15 * time.Minute}, State: tt.state, Asleep: tt.asleep}
		if got := standing(r, tt.stretch, now); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
