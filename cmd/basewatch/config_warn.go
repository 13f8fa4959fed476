package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// warn notes what works and is likely not meant.
func (b *builder) warn() {
	if len(b.cfg.Targets) == 0 {
		b.warning("watch", "nothing is watched; add a [[watch]] with images")
	}
	if len(b.cfg.Notify) == 0 {
		b.warning("notify", `nobody is told; add a receiver, such as [notify.log] with kind = "log"`)
	}
	b.warnCeilings()
	b.warnRoutes()
}

func (b *builder) warning(p keyPath, format string, args ...any) {
	w := problem{at: b.places.find(p), key: p, text: fmt.Sprintf(format, args...)}
	b.cfg.Warnings = append(b.cfg.Warnings, w.String())
}

// warnCeilings finds hosts whose ceiling cannot hold the intervals asked for.
func (b *builder) warnCeilings() {
	type load struct {
		tags  int
		asked float64 // looks a minute
		least time.Duration
	}
	loads := map[string]*load{}
	for _, t := range b.cfg.Targets {
		host, _, _ := strings.Cut(t.Ref, "/")
		if loads[host] == nil {
			loads[host] = &load{least: t.Every}
		}
		l := loads[host]
		l.tags++
		l.asked += 1 / t.Every.Minutes()
		l.least = min(l.least, t.Every)
	}
	for _, host := range slices.Sorted(maps.Keys(loads)) {
		l, ceiling := loads[host], float64(b.ceiling(host))
		stretch := watcher.Stretch(l.asked, ceiling)
		if stretch <= 1 {
			continue
		}
		stretched := time.Duration(float64(l.least) * stretch).Round(time.Second)
		b.warning(keyPath("registry").key(host).key("per_minute"),
			"%d tags ask for %.0f looks a minute and %.0f requests are allowed: intervals get %.1f times as long (%s → %s); raise per_minute or the interval",
			l.tags, math.Ceil(l.asked), ceiling, stretch, Duration(l.least), Duration(stretched))
	}
}

// warnRoutes reports what the routes match, and finds patterns that match
// nothing and events that nothing sends.
func (b *builder) warnRoutes() {
	for i, r := range b.cfg.Routes {
		p := keyPath("route").item(i)
		report := routeReport{Route: string(p), Place: b.places.find(p).String(), To: r.To, Patterns: []globReport{}}
		for j, m := range b.matches(r) {
			report.Patterns = append(report.Patterns, globReport{m.Pattern, append([]string{}, m.Refs...)})
			if len(m.Refs) == 0 {
				b.warning(p.key("images").item(j), "%q matches none of the watched images", m.Pattern)
			}
		}
		b.cfg.routeReports = append(b.cfg.routeReports, report)
		for j, event := range r.Events {
			if !slices.Contains(watcher.Sent(), watcher.Kind(event)) {
				b.warning(p.key("events").item(j), "%q is an event that nothing sends yet in this version", event)
			}
		}
	}
}

// matches says what each pattern of a route matches of what is watched.
func (b *builder) matches(r outbox.RouteConfig) []outbox.PatternMatch {
	globs, err := outbox.NewImageGlobs(r.Images)
	if err != nil {
		return nil // told already
	}
	refs := make([]string, len(b.cfg.Targets))
	for i, t := range b.cfg.Targets {
		refs[i] = t.Ref
	}
	return globs.Report(refs)
}
