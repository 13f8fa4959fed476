package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"basewatch/internal/store/bolt"
	"basewatch/internal/text"
	"basewatch/watcher"
)

// maxBaselines is how many first sights the start names, maxFailing how many
// images that cannot be looked at.
const (
	maxBaselines = 20
	maxFailing   = 10
	maxNameWidth = 60
)

// nearTime bounds how long the start looks for tags that were meant.
const nearTime = 2 * time.Second

// story is what run prints for people while it starts. Safe for concurrent use.
type story struct {
	store *bolt.Store
	near  func(ctx context.Context, ref string) ([]string, error)
	fresh bool // the store was made just now
	width int  // of the column of images

	mu        sync.Mutex
	w         io.Writer
	baselines int
	failed    map[string]bool // told to fail
	ended     bool
}

func newStory(w io.Writer, store *bolt.Store, near func(context.Context, string) ([]string, error)) *story {
	return &story{w: w, store: store, near: near, fresh: store.Created(), failed: map[string]bool{}}
}

// head is the first lines: who we are, what is watched, who is told.
func (s *story) head(a *app) {
	cfg := a.cfg.Load()
	state := ""
	if s.fresh {
		state = " (new)"
	}
	if s.store.Lost() {
		state = " (new; the old one is lost)"
	}
	address := a.address()
	if address != "" {
		address = "  http://" + address
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range cfg.Targets {
		s.width = max(s.width, min(maxNameWidth, len(watcher.Short(t.Ref))))
	}
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
		fmt.Fprintln(s.w, "baseline  … and more; all of them: basewatch status --images")
		return
	}
	if e.New == nil {
		fmt.Fprintf(s.w, "baseline  %-*s  %s\n", s.width, text.Plain(watcher.Short(e.Ref), 100), text.Plain(e.Reason, 300))
		return
	}
	line := fmt.Sprintf("baseline  %-*s  sha256:%s", s.width, text.Plain(watcher.Short(e.Ref), 100), watcher.Digest12(e.New.Index))
	if created := createdAt(e.New); !created.IsZero() {
		line += "  created " + text.Age(time.Since(created)) + " ago"
	}
	if n := len(e.New.Others); n > 0 {
		line += fmt.Sprintf("   (%s not watched)", noun(n, "other platform"))
	}
	fmt.Fprintln(s.w, line)
}

// failing tells of an image that cannot be looked at, once, with what its user
// may have meant.
func (s *story) failing(ctx context.Context, ref string, problem watcher.Problem, reason string) {
	s.mu.Lock()
	told, n := s.failed[ref], len(s.failed)
	s.failed[ref] = true
	s.mu.Unlock()
	line := "failing   … and more; all of them: basewatch status --problems"
	switch {
	case told || n > maxFailing:
		return
	case n < maxFailing:
		line = fmt.Sprintf("failing   %-*s  %s", s.width, text.Plain(watcher.Short(ref), 100), text.Plain(about(ref, reason), 300))
		line += s.nearTo(ctx, ref, problem)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.w, line)
}

func (s *story) nearTo(ctx context.Context, ref string, problem watcher.Problem) string {
	if problem != watcher.NotFound {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, nearTime)
	defer cancel()
	tags, err := s.near(ctx, ref)
	if err != nil || len(tags) == 0 {
		return ""
	}
	return "; near: " + strings.Join(tags, ", ")
}

// passed tells, after the first look at everything of a new store, what fails
// and what to do next.
func (s *story) passed(ctx context.Context, cfg *Config) {
	if !s.fresh || s.end(false) {
		return
	}
	all, err := s.store.Records(ctx)
	unseen := func(r watcher.Record) bool { return r.State.Health.LastLook.IsZero() }
	if err != nil || slices.ContainsFunc(all, unseen) || s.end(true) {
		return
	}
	receiver, image := "RECEIVER", ""
	if len(cfg.Notify) > 0 {
		receiver = cfg.Notify[0].Name
	}
	for _, r := range all {
		if h := r.State.Health; h.Failures > 0 {
			s.failing(ctx, r.Target.Ref, h.Problem, h.Reason)
		} else if image == "" {
			image = watcher.Short(r.Target.Ref)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.w, "A first sight is a baseline, not a change. Try: basewatch test %s · basewatch status · basewatch history %s\n", receiver, cmp.Or(image, "REF"))
}

// end tells whether the story had ended, and ends it if asked to.
func (s *story) end(now bool) (ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ended = s.ended
	s.ended = ended || now
	return ended
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
	families := 0
	least, most := cfg.Targets[0].Every, cfg.Targets[0].Every
	for _, t := range cfg.Targets {
		hosts[hostPart(t.Ref)] = true
		if t.IsFamily() {
			families++
		}
		for _, p := range t.Platforms {
			platforms[p] = true
		}
		least, most = min(least, t.Every), max(most, t.Every)
	}
	every := Duration(least).String()
	if most != least {
		every += " to " + Duration(most).String()
	}
	line := fmt.Sprintf("watching %s on %s, %s, every %s; ", imagesAndFamilies(len(cfg.Targets)-families, families), registriesOf(len(hosts)), joinedKeys(platforms), every)
	if len(cfg.Notify) == 0 {
		return line + "telling nobody"
	}
	told := map[string]bool{}
	for _, n := range cfg.Notify {
		name := n.Name
		if n.Info.DefaultAddress != "" {
			name += ":" + n.Info.DefaultAddress
		}
		told[name] = true
	}
	return line + "telling " + joinedKeys(told)
}

func imagesAndFamilies(images, families int) string {
	switch {
	case families == 0:
		return noun(images, "image")
	case families == 1 && images == 0:
		return "1 family of tags"
	case families == 1:
		return noun(images, "image") + " and 1 family of tags"
	case images == 0:
		return fmt.Sprintf("%d families of tags", families)
	}
	return fmt.Sprintf("%s and %d families of tags", noun(images, "image"), families)
}

func registriesOf(n int) string {
	if n == 1 {
		return "1 registry"
	}
	return fmt.Sprintf("%d registries", n)
}
