package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"basewatch/internal/store/bolt"
	"basewatch/internal/text"
	"basewatch/watcher"
)

// maxBaselines is how many first sights the start names.
const maxBaselines = 20

// story is what run prints for people while it starts. Safe for concurrent use.
type story struct {
	mu        sync.Mutex
	w         io.Writer
	fresh     bool // the store was made just now
	baselines int
	ended     bool
}

func newStory(w io.Writer, store *bolt.Store) *story {
	return &story{w: w, fresh: store.Created()}
}

// head is the first lines: who we are, what is watched, who is told.
func (s *story) head(a *app) {
	cfg := a.cfg.Load()
	state := ""
	if s.fresh {
		state = " (new)"
	}
	address := a.address()
	if address != "" {
		address = "  http://" + address
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.w, "basewatch %s %s  config %s (sha %s)  store %s%s%s\n", version, text.Plain(cfg.Name, 100), cfg.File, cfg.Sum, cfg.Store.Path, state, address)
	fmt.Fprintln(s.w, watching(cfg))
	for _, warning := range cfg.Warnings {
		fmt.Fprintln(s.w, "warning   "+warning)
	}
}

// baseline tells a first sight.
func (s *story) baseline(e watcher.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.baselines++
	switch {
	case s.baselines > maxBaselines:
		return
	case s.baselines == maxBaselines:
		fmt.Fprintln(s.w, "baseline  … and more; all of them: basewatch status")
		return
	}
	line := fmt.Sprintf("baseline  %-24s sha256:%s", text.Plain(watcher.Short(e.Ref), 100), watcher.Digest12(e.New.Index))
	if created := createdAt(e.New); !created.IsZero() {
		line += "  created " + text.Age(time.Since(created)) + " ago"
	}
	if n := len(e.New.Others); n > 0 {
		line += fmt.Sprintf("   (%s not watched)", noun(n, "other platform"))
	}
	fmt.Fprintln(s.w, line)
}

// passed tells, after the first look at everything of a new store, what that
// was.
func (s *story) passed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || !s.fresh || s.baselines == 0 {
		return
	}
	s.ended = true
	fmt.Fprintln(s.w, "A first sight is a baseline, not a change. Try: basewatch status · basewatch test RECEIVER · basewatch history REF")
}

// createdAt is when the first wanted platform was built, where its annotations
// say so.
func createdAt(snap *watcher.Snapshot) time.Time {
	var at time.Time
	for _, m := range snap.Platforms {
		if t, err := time.Parse(time.RFC3339, m.Annotations["org.opencontainers.image.created"]); err == nil && t.After(at) {
			at = t
		}
	}
	if t, err := time.Parse(time.RFC3339, snap.Annotations["org.opencontainers.image.created"]); at.IsZero() && err == nil {
		at = t
	}
	return at
}

// versionOf is the version that a wanted platform's annotations name.
func versionOf(snap *watcher.Snapshot) string {
	const key = "org.opencontainers.image.version"
	for _, p := range slices.Sorted(maps.Keys(snap.Platforms)) {
		if v := snap.Platforms[p].Annotations[key]; v != "" {
			return v
		}
	}
	return snap.Annotations[key]
}

// watching says in one line what a configuration does.
func watching(cfg *Config) string {
	if len(cfg.Targets) == 0 {
		return "watching nothing; add a [[watch]] with images"
	}
	hosts, platforms := map[string]bool{}, map[string]bool{}
	least, most := cfg.Targets[0].Every, cfg.Targets[0].Every
	for _, t := range cfg.Targets {
		hosts[hostPart(t.Ref)] = true
		for _, p := range t.Platforms {
			platforms[p] = true
		}
		least, most = min(least, t.Every), max(most, t.Every)
	}
	every := Duration(least).String()
	if most != least {
		every += " to " + Duration(most).String()
	}
	line := fmt.Sprintf("watching %s on %s, %s, every %s; ", noun(len(cfg.Targets), "image"), registriesOf(len(hosts)), joinedKeys(platforms), every)
	if len(cfg.Notify) == 0 {
		return line + "telling nobody"
	}
	told := map[string]bool{}
	for _, n := range cfg.Notify {
		told[n.Name] = true
	}
	return line + "telling " + joinedKeys(told)
}

func registriesOf(n int) string {
	if n == 1 {
		return "1 registry"
	}
	return fmt.Sprintf("%d registries", n)
}
