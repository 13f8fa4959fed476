package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"basewatch/watcher"
	"basewatch/watcher/registry"
)

// looker looks at images from here: no store, nothing recorded.
type looker struct {
	cfg       *Config
	platforms []string
	regs      *registry.Registries
	requests  requestCount
}

func newLooker(cfg *Config, platforms []string) (*looker, error) {
	l := &looker{cfg: cfg, requests: requestCount{kinds: map[registry.Kind]int{}}}
	var err error
	if len(platforms) > 0 {
		if l.platforms, err = watcher.NormalizePlatforms(platforms); err != nil {
			return nil, usageError(fmt.Errorf("--platform: %w", err))
		}
	}
	l.regs, err = registry.New(cfg.Registries, registry.Options{Observer: &l.requests, Logger: slog.New(slog.DiscardHandler), UserAgent: "basewatch/" + version})
	return l, err
}

func (l *looker) close() { l.regs.Close() }

// atOnce is how many images are looked at together.
const atOnce = 8

// all looks at the questions whose indexes are given.
func (l *looker) all(ctx context.Context, qs []question, which []int, found []finding) error {
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for _, i := range which {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			found[i] = l.look(ctx, qs[i])
		})
	}
	wg.Wait()
	return ctx.Err()
}

func (l *looker) look(ctx context.Context, q question) finding {
	f := finding{Image: watcher.Short(q.ref), Ref: q.ref}
	digest, err := l.regs.Digest(ctx, q.ref)
	if err != nil {
		f.Error = err.Error()
		if near := l.near(ctx, q.ref, err); near != "" {
			f.Error = "no such tag; near: " + near
		}
		return f
	}
	t := l.target(q.ref)
	snap, err := l.regs.Snapshot(ctx, t, digest)
	if err != nil {
		f.Error = err.Error()
		return f
	}
	f.Index, f.Platform = digest, strings.Join(slices.Sorted(maps.Keys(snap.Platforms)), ",")
	f.Created, f.Version = createdAt(&snap), versionOf(&snap)
	return f
}

// near names tags that the user may have meant.
func (l *looker) near(ctx context.Context, ref string, err error) string {
	if watcher.ProblemOf(err) != watcher.NotFound {
		return ""
	}
	tags, err := l.regs.Near(ctx, ref)
	if err != nil {
		return ""
	}
	return strings.Join(tags, ", ")
}

// target is what the configuration wants of an image, or the default.
func (l *looker) target(ref string) watcher.Target {
	t := watcher.Target{Ref: ref, Platforms: []string{"linux/amd64"}}
	i := slices.IndexFunc(l.cfg.Targets, func(t watcher.Target) bool { return t.Ref == ref })
	if i >= 0 {
		t = l.cfg.Targets[i]
	}
	if len(l.platforms) > 0 {
		t.Platforms = l.platforms
	}
	return t
}

// summary says what the looks cost.
func (l *looker) summary() string {
	s := l.requests.String()
	for _, h := range l.regs.Hosts() {
		if h.Limited {
			s += fmt.Sprintf(" · %s budget %d/%d", h.Host, h.Remaining, h.Limit)
		}
	}
	return s
}

// requestCount counts requests by kind. Safe for concurrent use.
type requestCount struct {
	mu    sync.Mutex
	kinds map[registry.Kind]int
}

var _ registry.Observer = (*requestCount)(nil)

// Request implements registry.Observer.
func (r *requestCount) Request(_ string, kind registry.Kind, _ int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kinds[kind]++
}

// Quota implements registry.Observer.
func (r *requestCount) Quota(string, int, int) {}

// String is " · 3 HEAD, 2 GET", or nothing.
func (r *requestCount) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var parts []string
	for _, k := range []struct {
		word  string
		kinds []registry.Kind
	}{{"HEAD", []registry.Kind{registry.Head}}, {"GET", []registry.Kind{registry.Get, registry.Blob, registry.Tags}}} {
		n := 0
		for _, kind := range k.kinds {
			n += r.kinds[kind]
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, k.word))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " · " + strings.Join(parts, ", ")
}
