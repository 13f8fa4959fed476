package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"basewatch/internal/text"
	"basewatch/watcher"
)

const maxOthers = 64

// Snapshot reads an index, or a single image's manifest and config, by digest.
func (r *Registries) Snapshot(ctx context.Context, t watcher.Target, digest string) (watcher.Snapshot, error) {
	return ask(ctx, r, t.Ref, func(e endpoint, _ string, _ bool) (watcher.Snapshot, error) {
		return e.snapshot(ctx, t.Platforms, digest)
	})
}

func (e endpoint) snapshot(ctx context.Context, platforms []string, digest string) (watcher.Snapshot, error) {
	var none watcher.Snapshot
	if !isDigest(digest) {
		return none, invalid("%.80q is not a digest", digest)
	}
	var doc document
	var size int64
	err := e.read(ctx, e.manifest(http.MethodGet, digest, Get), digest, "the manifest", func(r *reply) (err error) {
		doc, err = parseDocument(r.body, r.Header.Get("Content-Type"))
		size = int64(len(r.body))
		return err
	})
	if err != nil {
		return none, err
	}
	entries := []entry{}
	if doc.isIndex() {
		entries = indexEntries(doc)
	} else {
		p, err := e.configPlatform(ctx, *doc.Config)
		if err != nil {
			return none, err
		}
		entries = append(entries, entry{p.watched(), watcher.Manifest{Digest: digest, Size: size, Annotations: kept(doc.Annotations)}})
	}
	s := watcher.Snapshot{Index: digest, Annotations: kept(doc.Annotations)}
	s.Platforms, s.Others = pick(platforms, entries)
	if len(s.Platforms) == 0 {
		return none, noPlatform(platforms, s.Others)
	}
	return s, nil
}

// read gets what a digest names, and gives it to take only if it has that
// digest.
func (e endpoint) read(ctx context.Context, c call, digest, what string, take func(*reply) error) error {
	c.take = func(r *reply) error {
		if err := verify(digest, r.body, what); err != nil {
			return err
		}
		return take(r)
	}
	r, err := e.host.send(ctx, c)
	switch {
	case err != nil:
		return err
	case r.StatusCode == http.StatusOK:
		return nil
	case r.StatusCode == http.StatusNotFound:
		// Not watcher.NotFound: the tag exists, else it had no digest.
		return invalid("%s does not have %s %s that its tag points to (yet)", e.host.name, what, watcher.Digest12(digest))
	}
	return e.host.refusal(r)
}

// configPlatform is what a single image runs on: only its config says it.
func (e endpoint) configPlatform(ctx context.Context, config descriptor) (platform, error) {
	var p platform
	if config.MediaType != ociConfig && config.MediaType != dockerConfig {
		return p, invalid("this is no container image but a %.80q", config.MediaType)
	}
	err := e.read(ctx, e.blob(config.Digest), config.Digest, "the image's config", func(r *reply) (err error) {
		if int64(len(r.body)) != config.Size {
			return invalid("the image's config has %d bytes, its manifest says %d: it is not taken", len(r.body), config.Size)
		}
		p, err = parseConfig(r.body)
		return err
	})
	return p, err
}

// parseConfig reads what an image's config says it runs on.
func parseConfig(body []byte) (platform, error) {
	var p platform
	if err := checkJSON(body, 1); err != nil {
		return platform{}, invalid("the image's config is not taken: %w", err)
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return platform{}, invalid("the image's config cannot be read: %w", err)
	}
	return p, nil
}

// entry is one platform's image.
type entry struct {
	platform watcher.Platform
	manifest watcher.Manifest
}

func indexEntries(doc document) []entry {
	var out []entry
	for _, m := range *doc.Manifests {
		if m.isImage() {
			out = append(out, entry{m.Platform.watched(), watcher.Manifest{Digest: m.Digest, Size: m.Size, Annotations: kept(m.Annotations)}})
		}
	}
	return out
}

// pick sorts entries into those that are wanted and the names of the others.
func pick(wanted []string, entries []entry) (map[string]watcher.Manifest, []string) {
	there := make([]watcher.Platform, len(entries))
	for i, e := range entries {
		there[i] = e.platform
	}
	found, taken := map[string]watcher.Manifest{}, map[int]bool{}
	for _, name := range wanted {
		p, err := watcher.ParsePlatform(name)
		if err != nil {
			continue
		}
		if i := watcher.MatchPlatform(p, there); i >= 0 {
			found[name], taken[i] = entries[i].manifest, true
		}
	}
	var others []string
	for i, p := range there {
		if !taken[i] {
			others = append(others, text.Plain(p.String(), maxOthers))
		}
	}
	slices.Sort(others)
	others = slices.Compact(others)
	return found, others[:min(len(others), maxOthers)]
}

func noPlatform(wanted, others []string) error {
	there := "it names no platform at all"
	if len(others) > 0 {
		there = "it has " + strings.Join(others, ", ")
	}
	return &watcher.LookError{Problem: watcher.NoPlatform,
		Err: fmt.Errorf("not there for %s; %s", strings.Join(wanted, ", "), there)}
}
