package main

import (
	"maps"
	"slices"
	"strings"
	"time"

	"basewatch/watcher"
)

// defaultPlatforms are those of a [[watch]] that names none.
func defaultPlatforms() []string { return []string{"linux/amd64"} }

// targets makes what is watched of all [[watch]] lists, sorted by name. The
// same image in several lists is one target: platforms and labels unite and
// the shortest interval wins.
func (b *builder) targets() {
	byRef := map[string]*watcher.Target{}
	for i, w := range b.set.Watch {
		p := keyPath("watch").item(i)
		pattern, keep := b.family(w, p)
		one := watcher.Target{
			Keep:      keep,
			Platforms: b.platforms(w.Platforms, p.key("platforms")),
			Every:     time.Duration(b.watchInterval(w, p)),
			Labels:    labelValues(w.Labels),
		}
		for _, ref := range b.images(w.Images, pattern, p.key("images")) {
			one.Ref = ref
			if t, ok := byRef[ref]; ok {
				unite(t, one)
				continue
			}
			t := one
			t.Labels = labelValues(w.Labels)
			byRef[ref] = &t
		}
	}
	for _, ref := range slices.Sorted(maps.Keys(byRef)) {
		b.cfg.Targets = append(b.cfg.Targets, *byRef[ref])
	}
}

// images makes the names of one list canonical, or those of the families that
// the pattern makes of them. The same image twice in one list is a mistake.
func (b *builder) images(images []string, pattern string, p keyPath) []string {
	if len(images) == 0 {
		b.add(p, `missing: name at least one image, such as images = ["alpine:3.22"]`)
	}
	first := map[string]int{}
	refs := make([]string, 0, len(images))
	for i, image := range images {
		ref, problem := b.image(image, pattern)
		if problem != "" {
			b.add(p.item(i), "%s", problem)
			continue
		}
		if j, ok := first[ref]; ok {
			b.add(p.item(i), "%q is the same image as %q before it (%s); take one out", image, images[j], ref)
			continue
		}
		first[ref] = i
		refs = append(refs, ref)
	}
	return refs
}

// imageProblem says what is wrong with an image name, with the remedy.
func imageProblem(image string, err error) string {
	switch {
	case image == "":
		return `an empty name; write one such as "alpine:3.22"`
	case strings.ContainsAny(image, "*?"):
		return cutQuote(image) + " is a pattern; name each image with its tag, such as \"alpine:3.22\""
	case strings.Contains(image, "@"), strings.Contains(image, "://"):
		return err.Error() // it has the remedy
	}
	return err.Error() + "; write it as in a FROM line, such as \"python:3.13-slim\" or \"ghcr.io/acme/base:main\""
}

func (b *builder) platforms(names []string, p keyPath) []string {
	if len(names) == 0 {
		return defaultPlatforms()
	}
	normal, err := watcher.NormalizePlatforms(names)
	if err == nil {
		return normal
	}
	for i, name := range names {
		if _, err := watcher.ParsePlatform(name); err != nil {
			b.add(p.item(i), "%s", err)
		}
	}
	return defaultPlatforms()
}

// watchInterval is a list's own interval, or the common one.
func (b *builder) watchInterval(w watchSettings, p keyPath) Duration {
	if !b.has(p.key("interval")) {
		return b.set.Poll.Interval
	}
	b.atLeastASecond(w.Interval, p.key("interval"))
	return w.Interval
}

func labelValues(labels map[string]oneOrMore) map[string][]string {
	if len(labels) == 0 {
		return nil
	}
	out := make(map[string][]string, len(labels))
	for k, values := range labels {
		out[k] = sortedSet(values)
	}
	return out
}

// unite adds what another list wants of the same image.
func unite(t *watcher.Target, other watcher.Target) {
	t.Platforms = sortedSet(append(slices.Clone(t.Platforms), other.Platforms...))
	t.Every = min(t.Every, other.Every)
	t.Keep = max(t.Keep, other.Keep)
	for k, values := range other.Labels {
		if t.Labels == nil {
			t.Labels = map[string][]string{}
		}
		t.Labels[k] = sortedSet(append(slices.Clone(t.Labels[k]), values...))
	}
}

func sortedSet(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return slices.Compact(s)
}
