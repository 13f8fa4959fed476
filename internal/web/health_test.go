package web

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func ready(t *testing.T, cfg Config) (int, Readiness) {
	t.Helper()
	status, body := fetch(t, server(t, cfg).Handler(), request(t, "GET", "/readyz", ""))
	var r Readiness
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return status, r
}

func TestReadinessSaysWhatIsWrong(t *testing.T) {
	denied := &os.PathError{Op: "write", Path: "/var/lib/secret.db", Err: syscall.ENOSPC}
	tests := []struct {
		name   string
		change func(*Config, *shop)
		status int
		why    []string
	}{
		{"all is well", func(*Config, *shop) {}, 200, nil},
		{"disk full", func(_ *Config, s *shop) { s.broken = denied }, 503, []string{"store: takes no writes: no space left on device"}},
		{"another error", func(_ *Config, s *shop) { s.broken = errors.New("page 7 of /var/lib/secret.db") }, 503,
			[]string{"store: takes no writes: the log says why"}},
		{"looks too old", func(c *Config, _ *shop) {
			c.Freshness = func() Freshness {
				return Freshness{LastGood: time.Now().Add(-50 * time.Minute), Limit: 45 * time.Minute}
			}
		}, 503, []string{"looks: last good look 50m0s ago, more than 45m0s"}},
		{"never a good look", func(c *Config, _ *shop) {
			c.Freshness = func() Freshness { return Freshness{Limit: 45 * time.Minute} }
		}, 503, []string{"looks: no good look since the start 1h0m0s ago, more than 45m0s"}},
		{"started a moment ago", func(c *Config, _ *shop) {
			c.StartedAt = time.Now()
			c.Freshness = func() Freshness { return Freshness{Limit: 45 * time.Minute} }
		}, 200, nil},
		{"an old record from before the start", func(c *Config, _ *shop) {
			c.StartedAt = time.Now()
			c.Freshness = func() Freshness {
				return Freshness{LastGood: time.Now().Add(-48 * time.Hour), Limit: 45 * time.Minute}
			}
		}, 200, nil},
		{"no looks expected", func(c *Config, _ *shop) { c.Freshness = nil }, 200, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShop(time.Now())
				cfg := s.config(t)
				tt.change(&cfg, s)
				status, r := ready(t, cfg)
				var why []string
				for _, c := range r.Checks {
					if !c.OK {
						why = append(why, c.Name+": "+c.Why)
					}
				}
				if status != tt.status || r.Ready != (tt.status == 200) {
					t.Errorf("status %d, ready %v", status, r.Ready)
				}
				if d := cmp.Diff(tt.why, why); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

// hanging never answers before release is closed, and ignores its context.
type hanging struct {
	calls   atomic.Int32
	release chan struct{}
}

func (h *hanging) Writable(context.Context) error {
	h.calls.Add(1)
	<-h.release
	return nil
}

func TestAHangingDiskCostsOneGoroutineAndTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &hanging{release: make(chan struct{})}
		cfg := newShop(time.Now()).config(t)
		cfg.Disk = disk
		h := server(t, cfg).Handler()
		for range 3 {
			start := time.Now()
			status, body := fetch(t, h, request(t, "GET", "/readyz", ""))
			if took := time.Since(start); status != 503 || took != probeTime || !strings.Contains(body, "no answer within 2s") {
				t.Errorf("%d after %s: %s", status, took, body)
			}
		}
		if n := disk.calls.Load(); n != 1 {
			t.Errorf("asked the hanging disk %d times", n)
		}
		close(disk.release)
		synctest.Wait()
		if status, _ := fetch(t, h, request(t, "GET", "/readyz", "")); status != 200 {
			t.Errorf("after the disk came back: %d", status)
		}
	})
}

func TestHealthNeedsNothing(t *testing.T) {
	s := newShop(time.Now())
	s.broken = errors.New("broken")
	if status, body := fetch(t, server(t, s.config(t)).Handler(), request(t, "GET", "/healthz", "")); status != 200 {
		t.Errorf("%d %s", status, body)
	}
}
