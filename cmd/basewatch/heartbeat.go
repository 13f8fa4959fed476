package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"basewatch/internal/outbound"
	"basewatch/internal/outbox"
	"basewatch/internal/secret"
)

const (
	beatEvery   = time.Minute
	beatTimeout = 10 * time.Second
	// stuckAfter is how long a lane that is well may have something due and get
	// nothing done.
	stuckAfter = 15 * time.Minute
)

// HeartbeatConfig is [heartbeat]: who is told, each minute, that we live.
type HeartbeatConfig struct {
	URL secret.Secret
	// Outbound is the way there: [network].
	Outbound outbound.Config
}

// heartbeatURL reads the URL. No error shows it: those of most services are
// secret.
func heartbeatURL(s secret.Secret) (*url.URL, error) {
	raw, err := s.Value()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("not a URL; write one such as https://hc.example.com/ping/UUID, or better env:HEARTBEAT_URL")
	}
	return u, nil
}

// pulse is what the heartbeat judges by.
type pulse struct {
	// LastGood is the last look that succeeded, or the start; Limit how old it
	// may be, 0 when nothing is watched.
	LastGood  time.Time
	Limit     time.Duration
	Store     error // nil: it can be read and written
	Lanes     []outbox.LaneWork
	Receivers []string // names of all
}

// heart remembers of each lane what was due when it last got something done.
// Its zero value is ready; not for concurrent use.
type heart struct{ lanes map[string]laneProgress }

type laneProgress struct {
	waiting int
	due     time.Time
	since   time.Time
}

// ails says why nobody should be told that all is well, or nothing. A receiver
// that fails is no reason, since the others tell it; that all fail is.
func (h *heart) ails(p pulse, now time.Time) string {
	stuck := h.stuck(p.Lanes, now)
	switch {
	case p.Store != nil:
		return "the store: " + p.Store.Error()
	case p.Limit > 0 && now.Sub(p.LastGood) > p.Limit:
		return fmt.Sprintf("no look has succeeded since %s", p.LastGood.UTC().Format(time.RFC3339))
	case stuck != "":
		return fmt.Sprintf("%s has messages due and has sent none for %s", stuck, stuckAfter)
	case allFail(p):
		return "no receiver takes messages"
	}
	return ""
}

// stuck names a lane that is well, has rows due and did nothing with them for
// stuckAfter.
func (h *heart) stuck(lanes []outbox.LaneWork, now time.Time) (name string) {
	seen := map[string]laneProgress{}
	for _, l := range lanes {
		idle := l.Lane.Failing() || !l.Lane.ParkedSince.IsZero() || l.DueCount == 0
		if idle {
			continue
		}
		is := laneProgress{waiting: l.Waiting, due: l.NextDue, since: now}
		if was, ok := h.lanes[l.Lane.Name]; ok && was.waiting == is.waiting && was.due.Equal(is.due) {
			is.since = was.since
		}
		seen[l.Lane.Name] = is
		if name == "" && now.Sub(is.since) >= stuckAfter {
			name = l.Lane.Name
		}
	}
	h.lanes = seen
	return name
}

func allFail(p pulse) bool {
	failing := map[string]bool{}
	for _, l := range p.Lanes {
		if l.Lane.Failing() {
			name, _ := outbox.SplitLane(l.Lane.Name)
			failing[name] = true
		}
	}
	for _, name := range p.Receivers {
		if !failing[name] {
			return false
		}
	}
	return len(p.Receivers) > 0
}

// heartbeat asks for a URL each minute while nothing ails.
type heartbeat struct {
	config func() HeartbeatConfig
	pulse  func(ctx context.Context) pulse
	dial   func(ctx context.Context, network, address string) (net.Conn, error) // nil: the network
	log    *slog.Logger
}

// run beats until ctx ends. What keeps it from beating is logged once, and once
// that it is over.
func (b *heartbeat) run(ctx context.Context) error {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	var h heart
	said := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		why := b.beat(ctx, &h)
		switch {
		case ctx.Err() != nil:
		case why != "" && said == "":
			b.log.Warn("no heartbeat", "reason", why)
		case why == "" && said != "":
			b.log.Info("the heartbeat goes on")
		}
		said = why
	}
}

// beat says what kept it from being sent and heard.
func (b *heartbeat) beat(ctx context.Context, h *heart) string {
	c := b.config()
	if c.URL.IsZero() {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	if why := h.ails(b.pulse(ctx), time.Now()); why != "" {
		return why
	}
	if err := b.ping(ctx, c); err != nil {
		return err.Error()
	}
	return ""
}

func (b *heartbeat) ping(ctx context.Context, c HeartbeatConfig) error {
	u, err := heartbeatURL(c.URL)
	if err != nil {
		return fmt.Errorf("heartbeat.url: %w", err)
	}
	client, err := outbound.NewClient(outbound.Options{Config: c.Outbound, Host: u.Host, Timeout: beatTimeout, Dial: b.dial})
	if err != nil {
		return outbound.Redact(err)
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return errors.New("heartbeat.url: not a URL")
	}
	req.Header.Set("User-Agent", "basewatch/"+version)
	resp, err := client.Do(req)
	if err != nil {
		return outbound.Redact(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("GET %s: %s", u.Host, resp.Status)
	}
	return nil
}

// newHeartbeat makes the heartbeat of the daemon.
func (a *app) newHeartbeat() *heartbeat {
	return &heartbeat{
		config: func() HeartbeatConfig { return a.cfg.Load().Heartbeat },
		pulse:  a.pulse, dial: a.dial, log: a.log,
	}
}

func (a *app) pulse(ctx context.Context) pulse {
	f := a.freshness()
	p := pulse{LastGood: f.LastGood, Limit: f.Limit}
	if p.LastGood.Before(a.started) {
		p.LastGood = a.started
	}
	for _, n := range a.cfg.Load().Notify {
		p.Receivers = append(p.Receivers, n.Name)
	}
	if p.Store = a.store.Writable(ctx); p.Store == nil {
		p.Lanes, p.Store = a.store.Lanes(ctx)
	}
	return p
}
