package web

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// scrape gives the lines of /metrics that are ours, without histogram buckets.
func scrape(t *testing.T, cfg Config) []string {
	t.Helper()
	status, body := fetch(t, server(t, cfg).Handler(), request(t, "GET", "/metrics", ""))
	if status != 200 {
		t.Fatalf("/metrics: %d %s", status, body)
	}
	var lines []string
	for _, l := range strings.Split(body, "\n") {
		if strings.HasPrefix(l, "basewatch_") && !strings.Contains(l, "_bucket{") {
			lines = append(lines, l)
		}
	}
	return lines
}

func measured(t *testing.T, s *shop) (Config, *Metrics) {
	t.Helper()
	cfg, m := s.config(t), NewMetrics("0.1.0")
	cfg.Metrics = m
	return cfg, m
}

func TestMetricsSayWhatHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(time.Now())
		cfg, m := measured(t, s)
		m.Looked("docker.io", watcher.Unchanged, 20*time.Millisecond)
		m.Looked("docker.io", watcher.Moved, 20*time.Millisecond)
		m.Looked("docker.io", string(watcher.NotFound), 20*time.Millisecond)
		m.Requested("docker.io", "head", 200)
		m.Requested("docker.io", "head", 429)
		m.Requested("docker.io", "token", 0)
		m.Happened(*s.notes[python][0].Event)
		m.Attempted("slack", outbox.Retry, time.Second)
		time.Sleep(90 * time.Second)
		got := scrape(t, cfg)
		for _, want := range []string{
			`basewatch_looks_total{host="docker.io",outcome="unchanged"} 1`,
			`basewatch_looks_total{host="docker.io",outcome="moved"} 1`,
			`basewatch_looks_total{host="docker.io",outcome="not-found"} 1`,
			`basewatch_look_duration_seconds_count{host="docker.io"} 3`,
			`basewatch_last_good_look_age_seconds{host="docker.io"} 90`,
			`basewatch_registry_requests_total{host="docker.io",kind="head",status="2xx"} 1`,
			`basewatch_registry_requests_total{host="docker.io",kind="head",status="4xx"} 1`,
			`basewatch_registry_requests_total{host="docker.io",kind="token",status="none"} 1`,
			`basewatch_registry_throttled_total{host="docker.io"} 1`,
			`basewatch_registry_quota_remaining{host="docker.io"} 12`,
			`basewatch_registry_quota_limit{host="docker.io"} 200`,
			`basewatch_registry_paused_seconds{host="docker.io"} 0`,
			`basewatch_poll_interval_effective_seconds{host="docker.io"} 900`,
			`basewatch_poll_stretch_ratio{host="docker.io"} 1`,
			`basewatch_targets{host="docker.io"} 3`,
			`basewatch_changes_total{host="docker.io"} 1`,
			`basewatch_events_total{kind="changed"} 1`,
			`basewatch_events_total{kind="gone"} 0`,
			`basewatch_delivery_attempts_total{outcome="retry",receiver="slack"} 1`,
			`basewatch_delivery_attempt_duration_seconds_sum{receiver="slack"} 1`,
			`basewatch_deliveries{state="waiting"} 2`,
			`basewatch_deliveries{state="delivered"} 2`,
			`basewatch_deliveries{state="dead"} 0`,
			`basewatch_oldest_unsent_age_seconds 90`,
			`basewatch_lanes_failing{receiver="slack"} 1`,
			`basewatch_lanes_failing{receiver="audit"} 0`,
			`basewatch_store_bytes 4.2991616e+07`,
			`basewatch_store_read_errors_total 0`,
		} {
			if !slices.Contains(got, want) {
				t.Errorf("missing: %s", want)
			}
		}
		if t.Failed() {
			t.Log(strings.Join(got, "\n"))
		}
	})
}

func TestMetricNamesStay(t *testing.T) {
	s := newShop(time.Now())
	cfg, m := measured(t, s)
	m.Looked("docker.io", watcher.Unchanged, time.Millisecond)
	m.Requested("docker.io", "head", 429)
	m.Happened(*s.notes[python][0].Event)
	m.Attempted("slack", outbox.Success, time.Second)
	var names []string
	for _, l := range scrape(t, cfg) {
		names = append(names, l[:strings.IndexAny(l, "{ ")])
	}
	slices.Sort(names)
	want := []string{
		"basewatch_build_info",
		"basewatch_changes_total",
		"basewatch_deliveries",
		"basewatch_delivery_attempt_duration_seconds_count",
		"basewatch_delivery_attempt_duration_seconds_sum",
		"basewatch_delivery_attempts_total",
		"basewatch_events_total",
		"basewatch_lanes_failing",
		"basewatch_last_good_look_age_seconds",
		"basewatch_look_duration_seconds_count",
		"basewatch_look_duration_seconds_sum",
		"basewatch_looks_total",
		"basewatch_oldest_unsent_age_seconds",
		"basewatch_poll_interval_effective_seconds",
		"basewatch_poll_stretch_ratio",
		"basewatch_registry_paused_seconds",
		"basewatch_registry_quota_limit",
		"basewatch_registry_quota_remaining",
		"basewatch_registry_requests_total",
		"basewatch_registry_throttled_total",
		"basewatch_store_bytes",
		"basewatch_store_read_errors_total",
		"basewatch_targets",
	}
	if d := cmp.Diff(want, slices.Compact(names)); d != "" {
		t.Error(d)
	}
}

func TestALabelTakesAHundredValues(t *testing.T) {
	s := newShop(time.Now())
	cfg, m := measured(t, s)
	for i := range 250 {
		name := fmt.Sprintf("r%03d.example.com", i)
		m.Looked(name, watcher.Unchanged, time.Millisecond)
		m.Attempted(name, outbox.Success, time.Millisecond)
		m.Requested(name, "head", 200)
		s.loads = append(s.loads, watcher.HostLoad{Host: name, Targets: 2, PerMinute: 1})
	}
	values := map[string]map[string]bool{"host": {}, "receiver": {}}
	for _, found := range regexp.MustCompile(`(host|receiver)="([^"]*)"`).FindAllStringSubmatch(strings.Join(scrape(t, cfg), "\n"), -1) {
		values[found[1]][found[2]] = true
	}
	for label, seen := range values {
		if len(seen) != maxValues+1 || !seen["other"] {
			t.Errorf("%s has %d values", label, len(seen))
		}
	}
}

func TestNoMetricNamesAnImage(t *testing.T) {
	s := newShop(time.Now())
	cfg, m := measured(t, s)
	m.Happened(*s.notes[python][0].Event)
	if all := strings.Join(scrape(t, cfg), "\n"); strings.Contains(all, "python") || strings.Contains(all, "ruby") {
		t.Error(all)
	}
}

func TestTheAgeOfTheLastGoodLookCountsFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, m := measured(t, newShop(time.Now()))
		m.Looked("docker.io", string(watcher.Unreachable), time.Second)
		if got := scrape(t, cfg); !slices.Contains(got, `basewatch_last_good_look_age_seconds{host="docker.io"} 3600`) {
			t.Error(strings.Join(got, "\n"))
		}
		if !m.LastGood().IsZero() {
			t.Error("a failed look counts as a good one")
		}
	})
}

func TestAStretchedIntervalShows(t *testing.T) {
	s := newShop(time.Now())
	s.loads[0].PerMinute = 600
	cfg, _ := measured(t, s)
	stretch := watcher.Stretch(600, 120)
	if got := scrape(t, cfg); !slices.Contains(got, fmt.Sprintf(`basewatch_poll_stretch_ratio{host="docker.io"} %g`, stretch)) || stretch <= 1 {
		t.Error(strings.Join(got, "\n"))
	}
}

func TestABrokenStoreLeavesTheCountersStanding(t *testing.T) {
	s := newShop(time.Now())
	cfg, m := measured(t, s)
	m.Looked("docker.io", watcher.Unchanged, time.Millisecond)
	s.broken = errors.New("page 7 is damaged")
	got := scrape(t, cfg)
	for _, want := range []string{`basewatch_store_read_errors_total 3`, `basewatch_looks_total{host="docker.io",outcome="unchanged"} 1`} {
		if !slices.Contains(got, want) {
			t.Errorf("missing %s in\n%s", want, strings.Join(got, "\n"))
		}
	}
}

func TestNoMetricsCountNothing(t *testing.T) {
	var m *Metrics
	m.Looked("docker.io", watcher.Unchanged, 0)
	m.Requested("docker.io", "head", 200)
	m.Happened(watcher.Event{})
	m.Attempted("slack", outbox.Success, 0)
	if !m.LastGood().IsZero() {
		t.Error("a good look out of nowhere")
	}
	if status, _ := fetch(t, server(t, newShop(time.Now()).config(t)).Handler(), request(t, "GET", "/metrics", "")); status != 404 {
		t.Errorf("/metrics without metrics: %d", status)
	}
}
