package main

import (
	"context"
	"fmt"
	"log/slog"
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
	if t := l.target(q.ref); t.IsFamily() {
		return l.family(ctx, t, f)
	}
	digest, err := l.regs.Digest(ctx, q.ref)
	if err != nil {
		f.Error, f.Problem = about(q.ref, err.Error()), watcher.ProblemOf(err)
		if f.Problem == watcher.NotFound {
			f.Error += l.near(ctx, q.ref)
		}
		return f
	}
	t := l.target(q.ref)
	snap, err := l.regs.Snapshot(ctx, t, digest)
	if err != nil {
		f.Error, f.Problem = about(q.ref, err.Error()), watcher.ProblemOf(err)
		return f
	}
	f.Index, f.Platform = digest, joinedKeys(snap.Platforms)
	f.Created, f.Version = createdAt(&snap), versionOf(&snap)
	return f
}

// family lists what a family's pattern means now.
func (l *looker) family(ctx context.Context, t watcher.Target, f finding) finding {
	tags, err := l.regs.Tags(ctx, t)
	if err != nil {
		f.Error, f.Problem = about(t.Ref, err.Error()), watcher.ProblemOf(err)
		return f
	}
	f.Note = foundTags(len(tags), tags[:min(len(tags), t.Keep)])
	return f
}

// foundTags is a family's row in words.
func foundTags(matching int, newest []string) string {
	return fmt.Sprintf("%d match; newest: %s", matching, strings.Join(newest, " "))
}

// near names tags that the user may have meant, to be added to an error.
func (l *looker) near(ctx context.Context, ref string) string {
	tags, err := l.regs.Near(ctx, ref)
	if err != nil || len(tags) == 0 {
		return ""
	}
	return "; near: " + strings.Join(tags, ", ")
}

// target is what the configuration wants of an image, or the default.
func (l *looker) target(ref string) watcher.Target {
	t := watcher.Target{Ref: ref, Platforms: []string{"linux/amd64"}}
	if _, _, ok := watcher.SplitFamily(ref); ok {
		t.Keep = defaultKeep
	}
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
