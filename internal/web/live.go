package web

import (
	"cmp"
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"basewatch/watcher"
)

// scrapeTime bounds what one scrape reads from the store.
const scrapeTime = 5 * time.Second

// live collects what is read at each scrape: it has no counter that could miss
// something, and survives restarts.
type live struct {
	metrics *Metrics
	source  atomic.Pointer[Config]

	targets, goodAge, interval, stretch, paused, quota, quotaLimit *prometheus.Desc
	deliveries, oldest, failing, bytes, readErrors                 *prometheus.Desc

	errors atomic.Uint64
}

func newLive(m *Metrics) *live {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
	}
	return &live{
		metrics:    m,
		targets:    desc("targets", "Watched targets.", "host"),
		goodAge:    desc("last_good_look_age_seconds", "Seconds since the last good look, or since the start while there was none.", "host"),
		interval:   desc("poll_interval_effective_seconds", "Mean interval between looks at a target, as stretched.", "host"),
		stretch:    desc("poll_stretch_ratio", "By how much intervals are stretched to stay under the ceiling; 1: not.", "host"),
		paused:     desc("registry_paused_seconds", "Seconds until the host may be asked again; 0: now.", "host"),
		quota:      desc("registry_quota_remaining", "Requests left, as the host says.", "host"),
		quotaLimit: desc("registry_quota_limit", "Requests allowed in its window, as the host says.", "host"),
		deliveries: desc("deliveries", "Deliveries by state; dead ones were given up and not told.", "state"),
		oldest:     desc("oldest_unsent_age_seconds", "Age of the oldest waiting delivery; 0: none waits."),
		failing:    desc("lanes_failing", "Lanes of receivers that take nothing.", "receiver"),
		bytes:      desc("store_bytes", "Size of the store."),
		readErrors: desc("store_read_errors_total", "Reads of the store that failed while scraping."),
	}
}

// Describe lists what Collect may send.
func (l *live) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{l.targets, l.goodAge, l.interval, l.stretch, l.paused, l.quota, l.quotaLimit,
		l.deliveries, l.oldest, l.failing, l.bytes, l.readErrors} {
		ch <- d
	}
}

// Collect reads the store. What cannot be read is left out and counted.
func (l *live) Collect(ch chan<- prometheus.Metric) {
	if c := l.source.Load(); c != nil {
		ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
		defer cancel()
		for _, collect := range []func(context.Context, *Config, chan<- prometheus.Metric) error{l.hosts, l.queue, l.lanes} {
			if err := collect(ctx, c, ch); err != nil {
				l.errors.Add(1)
				c.Logger.Warn("metrics: the store cannot be read", "err", err)
			}
		}
	}
	ch <- prometheus.MustNewConstMetric(l.readErrors, prometheus.CounterValue, float64(l.errors.Load()))
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// hostSum is what hosts beyond the bound share under the name other.
type hostSum struct {
	load     watcher.HostLoad
	registry Registry
}

func (l *live) hosts(ctx context.Context, c *Config, ch chan<- prometheus.Metric) error {
	loads, err := c.Targets.Hosts(ctx)
	if err != nil {
		return err
	}
	sums := map[string]hostSum{}
	for _, load := range loads {
		name := l.metrics.hosts.value(load.Host)
		s := sums[name]
		s.load.Targets += load.Targets
		s.load.PerMinute += load.PerMinute
		sums[name] = s
	}
	for _, r := range c.Registries() {
		name := l.metrics.hosts.value(r.Host)
		s := sums[name]
		s.registry = r
		sums[name] = s
	}
	now := time.Now()
	for name, s := range sums {
		l.host(ch, name, s, now, c.StartedAt)
	}
	return nil
}

func (l *live) host(ch chan<- prometheus.Metric, name string, s hostSum, now, started time.Time) {
	gauge(ch, l.targets, float64(s.load.Targets), name)
	gauge(ch, l.paused, max(0, s.registry.PausedUntil.Sub(now).Seconds()), name)
	if s.registry.Limit > 0 {
		gauge(ch, l.quota, float64(s.registry.Remaining), name)
		gauge(ch, l.quotaLimit, float64(s.registry.Limit), name)
	}
	if s.load.Targets == 0 {
		return
	}
	good := l.metrics.lastGoodOf(name)
	if good.IsZero() {
		good = started
	}
	gauge(ch, l.goodAge, now.Sub(good).Seconds(), name)
	stretch := watcher.Stretch(s.load.PerMinute, s.registry.PerMinute)
	gauge(ch, l.stretch, stretch, name)
	if s.load.PerMinute > 0 {
		gauge(ch, l.interval, stretch*60*float64(s.load.Targets)/s.load.PerMinute, name)
	}
}

func (l *live) queue(ctx context.Context, c *Config, ch chan<- prometheus.Metric) error {
	n, err := c.Queue.Counts(ctx)
	if err != nil {
		return err
	}
	for state, count := range map[string]int{"waiting": n.Waiting, "dead": n.Dead, "delivered": n.Delivered,
		"skipped": n.Skipped, "superseded": n.Superseded} {
		gauge(ch, l.deliveries, float64(count), state)
	}
	age := 0.0
	if !n.Oldest.IsZero() {
		age = max(0, time.Since(n.Oldest).Seconds())
	}
	gauge(ch, l.oldest, age)
	gauge(ch, l.bytes, float64(n.Bytes))
	return nil
}

func (l *live) lanes(ctx context.Context, c *Config, ch chan<- prometheus.Metric) error {
	lanes, err := c.Queue.Lanes(ctx)
	if err != nil {
		return err
	}
	failing := map[string]int{}
	for _, r := range c.Receivers() {
		failing[l.metrics.receivers.value(r.Name)] += 0
	}
	for _, w := range lanes {
		name, _, _ := strings.Cut(w.Lane.Name, ":")
		name = l.metrics.receivers.value(cmp.Or(name, "other"))
		if w.Lane.Failing() {
			failing[name]++
		}
	}
	for name, n := range failing {
		gauge(ch, l.failing, float64(n), name)
	}
	return nil
}
