package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"syscall"
	"time"
)

// Readiness is the answer of /readyz: 200 when ready, else 503.
type Readiness struct {
	Ready  bool             `json:"ready"`
	Checks []ReadinessCheck `json:"checks"`
}

// ReadinessCheck is one condition of being ready: store or looks.
type ReadinessCheck struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Why  string `json:"why,omitempty"` // what is wrong; no paths, anybody may ask
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// probeTime is how long a store may take to prove that it takes writes.
const probeTime = 2 * time.Second

type readiness struct {
	disk      Disk
	freshness func() Freshness
	started   time.Time
	log       *slog.Logger
	probing   chan struct{} // holds at most one: a hanging disk costs one goroutine
}

func newReadiness(c *Config) *readiness {
	return &readiness{disk: c.Disk, freshness: c.Freshness, started: c.StartedAt, log: c.Logger, probing: make(chan struct{}, 1)}
}

func (r *readiness) serve(w http.ResponseWriter, req *http.Request) {
	checks := []ReadinessCheck{r.store(req.Context()), r.looks(time.Now())}
	a := Readiness{Ready: checks[0].OK && checks[1].OK, Checks: checks}
	status := http.StatusOK
	if !a.Ready {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, a)
}

func (r *readiness) store(ctx context.Context) ReadinessCheck {
	c := ReadinessCheck{Name: "store", OK: true}
	if r.disk == nil {
		return c
	}
	if err := r.probe(ctx); err != nil {
		r.log.Warn("not ready: the store takes no writes", "err", err)
		c.OK, c.Why = false, "takes no writes: "+plainCause(err)
	}
	return c
}

var errProbeHangs = errors.New("no answer within " + probeTime.String())

// probe asks the disk in a goroutine, since a write to a broken disk may hang
// beyond any context.
func (r *readiness) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	select {
	case r.probing <- struct{}{}:
	case <-ctx.Done():
		return errProbeHangs
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-r.probing }()
		done <- r.disk.Writable(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errProbeHangs
	}
}

// plainCause is the part of an error that everybody may read: the operating
// system's words, without the path that it was about.
func plainCause(err error) string {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, errProbeHangs), errors.Is(err, context.DeadlineExceeded):
		return errProbeHangs.Error()
	}
	return "the log says why"
}

// looks counts from the start while nothing has been seen, so that a fresh
// daemon is ready and one that never reaches a registry is not for long.
func (r *readiness) looks(now time.Time) ReadinessCheck {
	c := ReadinessCheck{Name: "looks", OK: true}
	f := r.freshness()
	since, what := f.LastGood, "last good look "
	if since.Before(r.started) {
		since, what = r.started, "no good look since the start "
	}
	if age := now.Sub(since); f.Limit > 0 && age > f.Limit {
		c.OK = false
		c.Why = fmt.Sprintf("%s%s ago, more than %s", what, age.Round(time.Second), f.Limit)
	}
	return c
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		problem(http.StatusInternalServerError, "the answer cannot be encoded").write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
