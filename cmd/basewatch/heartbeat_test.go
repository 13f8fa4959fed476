package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/secret"
	"basewatch/internal/standin"

	"github.com/google/go-cmp/cmp"
)

func TestWhatKeepsTheHeartbeatFromBeating(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	failing := func(name string) outbox.LaneWork {
		return outbox.LaneWork{Lane: outbox.Lane{Name: name, FailingSince: now.Add(-time.Hour)}, Waiting: 3, DueCount: 3}
	}
	tests := map[string]struct {
		pulse pulse
		want  string
	}{
		"all is well":            {pulse{LastGood: now.Add(-time.Minute), Limit: 5 * time.Minute, Receivers: []string{"slack"}}, ""},
		"nothing is watched":     {pulse{LastGood: now.Add(-time.Hour)}, ""},
		"no look succeeds":       {pulse{LastGood: now.Add(-6 * time.Minute), Limit: 5 * time.Minute}, "no look has succeeded since 2026-11-22T09:54:00Z"},
		"the disk is full":       {pulse{LastGood: now, Limit: time.Hour, Store: errors.New("no space left")}, "the store: no space left"},
		"one of two fails":       {pulse{Lanes: []outbox.LaneWork{failing("slack:#a")}, Receivers: []string{"log", "slack"}}, ""},
		"all receivers fail":     {pulse{Lanes: []outbox.LaneWork{failing("slack:#a"), failing("mail")}, Receivers: []string{"mail", "slack"}}, "no receiver takes messages"},
		"rows wait, none is due": {pulse{Lanes: []outbox.LaneWork{{Lane: outbox.Lane{Name: "slack"}, Waiting: 9}}}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var h heart
			if got := h.ails(tt.pulse, now); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestALaneThatDoesNothingWithWhatIsDueStopsTheHeartbeat(t *testing.T) {
	start := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	due := outbox.LaneWork{Lane: outbox.Lane{Name: "audit"}, Waiting: 5000, DueCount: 5000, NextDue: start}
	parked := outbox.LaneWork{Lane: outbox.Lane{Name: "gone", ParkedSince: start}, Waiting: 1, DueCount: 1, NextDue: start}
	var slow, dead heart
	for minute := range 30 {
		now := start.Add(time.Duration(minute) * time.Minute)
		if why := dead.ails(pulse{Lanes: []outbox.LaneWork{parked, due}}, now); (why != "") != (minute >= 15) {
			t.Errorf("minute %d of a lane that does nothing: %q", minute, why)
		}
		moving := due
		moving.Waiting -= minute
		if why := slow.ails(pulse{Lanes: []outbox.LaneWork{parked, moving}}, now); why != "" {
			t.Errorf("minute %d of a lane that is slow: %q", minute, why)
		}
	}
}

func TestTheHeartbeatAsksEachMinuteWhileAllIsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network standin.MemNet
		var asked atomic.Int64
		server := standin.ServeOn(network.Listen("hc.example.com:80"), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.URL.Path != "/ping/canary" {
				t.Errorf("%s %s", r.Method, r.URL)
			}
			asked.Add(1)
		}))
		defer server.Close()
		var log strings.Builder
		var sick atomic.Bool
		b := &heartbeat{
			config: func() HeartbeatConfig {
				return HeartbeatConfig{URL: secret.Literal("http://hc.example.com/ping/canary")}
			},
			pulse: func(context.Context) pulse {
				if sick.Load() {
					return pulse{Store: errors.New("disk full")}
				}
				return pulse{}
			},
			dial: network.DialContext, log: slog.New(slog.NewTextHandler(&log, nil)),
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.run(ctx) }()
		var got []int64
		for _, is := range []bool{false, true, false} {
			sick.Store(is)
			time.Sleep(10*time.Minute + time.Second)
			synctest.Wait()
			got = append(got, asked.Load())
		}
		server.Close()
		time.Sleep(5 * time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]int64{10, 10, 20}, got); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
		if n := strings.Count(log.String(), "no heartbeat"); n != 2 || strings.Count(log.String(), "goes on") != 1 || strings.Contains(log.String(), "canary") {
			t.Errorf("log:\n%s", log.String())
		}
	})
}
