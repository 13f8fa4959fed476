package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/secret"
	"basewatch/internal/web"
	"basewatch/watcher"
)

// webConfig says what the API is made of.
func (a *app) webConfig(cfg *Config) web.Config {
	return web.Config{
		Name: cfg.Name, Version: version,
		InForce:   a.inForce,
		StorePath: cfg.Store.Path, StartedAt: a.started,
		Listen: cfg.HTTP.Listen, PublicURL: cfg.HTTP.PublicURL,
		Tokens:     func() []func() (string, error) { return values(a.cfg.Load().HTTP.Tokens) },
		ReadTokens: func() []func() (string, error) { return values(a.cfg.Load().HTTP.ReadTokens) },
		Targets:    a.store, Queue: a.store, Mover: a.store, Disk: a.store, Copier: a.store,
		Checker: a.loop, Router: a, Tester: a, Reloader: a,
		Canonical:  func(s string) (string, error) { return a.cfg.Load().Aliases.Canonical(s) },
		Receivers:  func() []web.Receiver { return listReceivers(a.cfg.Load()) },
		Registries: a.registries.list,
		Freshness:  a.freshness,
		Metrics:    a.metrics,
		Logger:     a.log,
	}
}

func values(secrets []secret.Secret) []func() (string, error) {
	var list []func() (string, error)
	for _, s := range secrets {
		list = append(list, s.Value)
	}
	return list
}

// Explain implements web.Router with the routes in force.
func (a *app) Explain(e watcher.Event) []outbox.Decision { return a.router.Load().Explain(e) }

// Test implements web.Tester: an event of its own, committed and planned like
// any other, for one lane.
func (a *app) Test(ctx context.Context, lane string, kind watcher.Kind) (watcher.Event, error) {
	e, err := testEvent(lane, kind, time.Now())
	if err != nil {
		return e, refusedTest(err.Error())
	}
	for _, d := range a.Explain(e) {
		if !d.Matched {
			return e, refusedTest(d.Why)
		}
	}
	if err := a.store.Outbox().Settle(ctx, outbox.Settlement{Born: []watcher.Event{e}}); err != nil {
		return e, err
	}
	// A lane that fails is probed now: who asks for a test has mended it.
	_, err = a.store.Retry(ctx, lane, nil)
	return e, err
}

func refusedTest(why string) error {
	return &web.Problem{Title: http.StatusText(http.StatusUnprocessableEntity), Status: http.StatusUnprocessableEntity, Detail: why}
}

// testEvent imitates an event of a kind about an image that does not exist.
func testEvent(lane string, kind watcher.Kind, now time.Time) (watcher.Event, error) {
	e := watcher.Event{
		Kind: kind, Ref: "docker.io/library/basewatch-test:latest", At: now, Receiver: lane,
		Platforms: []string{"linux/amd64"}, Reason: "asked for with: basewatch test " + lane,
	}
	switch kind {
	case watcher.ReceiverFailing, watcher.ReceiverRecovered:
		return e, fmt.Errorf("%s is told to the other receivers and cannot be imitated for one; try --event failing", kind)
	case watcher.Changed:
		// The second makes the number, so that two tests are two changes.
		e.Seq, e.Old, e.New = uint64(now.Unix()), testSnapshot("1", now.Add(-24*time.Hour)), testSnapshot("2", now)
	case watcher.Baseline:
		e.New = testSnapshot("1", now)
	case watcher.Failing, watcher.Recovered, watcher.Gone:
		e.Since, e.Problem = now.Add(-time.Hour), watcher.Unreachable
	}
	e.Identify()
	// Tests of two receivers, or two of one, within a second are not the same.
	e.Key = fmt.Sprintf("%s|%s|%d", e.Key, lane, now.Nanosecond())
	e.Thread = e.Key
	return e, nil
}

func testSnapshot(digit string, at time.Time) *watcher.Snapshot {
	return &watcher.Snapshot{
		Index: "sha256:" + strings.Repeat(digit, 64), SeenAt: at,
		Platforms: map[string]watcher.Manifest{"linux/amd64": {Digest: "sha256:" + strings.Repeat(digit+"a", 32)}},
	}
}

// freshness is when the last good look was, and how old it may become: three
// of the shortest interval, stretched, and never less than five minutes.
func (a *app) freshness() web.Freshness {
	cfg := a.cfg.Load()
	if len(cfg.Targets) == 0 {
		return web.Freshness{}
	}
	asked := map[string]float64{}
	shortest := cfg.Targets[0].Every
	for _, t := range cfg.Targets {
		asked[hostPart(t.Ref)] += 1 / t.Every.Minutes()
		shortest = min(shortest, t.Every)
	}
	stretch := 1.0
	for host, n := range asked {
		stretch = max(stretch, watcher.Stretch(n, float64(hostSettings(cfg, host).PerMinute)))
	}
	limit := max(5*time.Minute, time.Duration(3*stretch*float64(shortest)))
	return web.Freshness{LastGood: a.metrics.LastGood(), Limit: limit}
}
