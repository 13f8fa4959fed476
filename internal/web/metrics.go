package web

import (
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// Metrics counts what the daemon does. It is the observer of the loop, of the
// registries and of the dispatcher; a nil *Metrics counts nothing. Safe for
// concurrent use.
//
// No label ever holds an image. Hosts and receivers come from the
// configuration; a label takes at most 100 values and calls the rest other.
type Metrics struct {
	registry *prometheus.Registry
	live     *live

	looks          *prometheus.CounterVec
	lookSeconds    *prometheus.HistogramVec
	requests       *prometheus.CounterVec
	throttled      *prometheus.CounterVec
	changes        *prometheus.CounterVec
	events         *prometheus.CounterVec
	attempts       *prometheus.CounterVec
	attemptSeconds *prometheus.HistogramVec

	hosts, receivers, words bounded

	mu       sync.Mutex
	lastGood map[string]time.Time // by host, as bounded
}

// NewMetrics makes the metrics of one daemon, with those of the process and of
// the Go runtime.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		looks:    counter("looks_total", "Looks at targets.", "host", "outcome"),
		lookSeconds: histogram("look_duration_seconds", "How long looks took.",
			[]float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 10, 30}, "host"),
		requests:  counter("registry_requests_total", "Requests to registries.", "host", "kind", "status"),
		throttled: counter("registry_throttled_total", "Answers 429 of registries.", "host"),
		changes:   counter("changes_total", "Changes found.", "host"),
		events:    counter("events_total", "Events recorded.", "kind"),
		attempts:  counter("delivery_attempts_total", "Attempts at deliveries; a digest is one.", "receiver", "outcome"),
		attemptSeconds: histogram("delivery_attempt_duration_seconds", "How long attempts at deliveries took.",
			[]float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30}, "receiver"),
		lastGood: map[string]time.Time{},
	}
	m.live = newLive(m)
	build := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: "build_info", Help: "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()}})
	build.Set(1)
	m.registry.MustRegister(m.looks, m.lookSeconds, m.requests, m.throttled, m.changes, m.events, m.attempts,
		m.attemptSeconds, m.live, build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, k := range watcher.Sent() {
		m.events.WithLabelValues(string(k))
	}
	return m
}

const namespace = "basewatch"

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
}

// Looked counts a look. Its outcome is unchanged, moved, or the
// [watcher.Problem] that made it fail.
func (m *Metrics) Looked(host, outcome string, took time.Duration) {
	if m == nil {
		return
	}
	host = m.hosts.value(host)
	m.looks.WithLabelValues(host, m.words.value(outcome)).Inc()
	m.lookSeconds.WithLabelValues(host).Observe(took.Seconds())
	if outcome != watcher.Unchanged && outcome != watcher.Moved {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastGood[host] = time.Now()
}

// LastGood is when any host last had a good look; zero: not since the start.
func (m *Metrics) LastGood() time.Time {
	if m == nil {
		return time.Time{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var last time.Time
	for _, at := range m.lastGood {
		if at.After(last) {
			last = at
		}
	}
	return last
}

func (m *Metrics) lastGoodOf(host string) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lastGood[host]
}

// Requested counts a request to a registry: its kind (head, get, token, …) and
// its HTTP status; 0: there was no answer.
func (m *Metrics) Requested(host, kind string, status int) {
	if m == nil {
		return
	}
	host = m.hosts.value(host)
	m.requests.WithLabelValues(host, m.words.value(kind), statusClass(status)).Inc()
	if status == http.StatusTooManyRequests {
		m.throttled.WithLabelValues(host).Inc()
	}
}

func statusClass(status int) string {
	if status < 100 || status > 599 {
		return "none"
	}
	return strconv.Itoa(status/100) + "xx"
}

// Happened counts an event that was committed.
func (m *Metrics) Happened(e watcher.Event) {
	if m == nil {
		return
	}
	m.events.WithLabelValues(m.words.value(string(e.Kind))).Inc()
	if e.Kind == watcher.Changed {
		m.changes.WithLabelValues(m.hosts.value(hostOf(e.Ref))).Inc()
	}
}

// Attempted counts an attempt at a delivery.
func (m *Metrics) Attempted(receiver string, outcome outbox.Outcome, took time.Duration) {
	if m == nil {
		return
	}
	receiver = m.receivers.value(receiver)
	m.attempts.WithLabelValues(receiver, m.words.value(string(outcome))).Inc()
	m.attemptSeconds.WithLabelValues(receiver).Observe(took.Seconds())
}

// attach lets scrapes read what a server's parts hold.
func (m *Metrics) attach(c *Config) { m.live.source.Store(c) }

func (m *Metrics) handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:     promhttp.ContinueOnError,
		CoalesceGather:    true,
		Timeout:           2 * scrapeTime,
		EnableOpenMetrics: true,
	})
}

// maxValues is how many values a label takes.
const maxValues = 100

// bounded lets the first values through and calls all others other.
type bounded struct {
	mu   sync.RWMutex
	seen map[string]bool
}

func (b *bounded) value(v string) string {
	b.mu.RLock()
	known, full := b.seen[v], len(b.seen) >= maxValues
	b.mu.RUnlock()
	switch {
	case known:
		return v
	case full:
		return "other"
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.seen) >= maxValues {
		return "other"
	}
	if b.seen == nil {
		b.seen = map[string]bool{}
	}
	b.seen[v] = true
	return v
}
