package outbox

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"basewatch/watcher"
)

// ImageGlobs is an ordered set of patterns over canonical image names, as
// people write them in routes. The zero value matches everything. It is
// immutable and safe for concurrent use.
//
// A pattern is a repository and, after a colon, a tag; without a tag it means
// every tag. Within a repository * stays in one path segment and ** crosses
// segments; ?, [a-z] and {a,b} work too. Short names mean Docker Hub, as they
// do elsewhere: alpine is docker.io/library/alpine, acme/x is
// docker.io/acme/x. A pattern is taken as written when its first segment is a
// host (it has a dot or a port, or is localhost) or starts with *. A repository
// of * or ** alone is every repository. A leading ! takes away.
//
// A name matches when any pattern without ! matches and none with ! does. With
// nothing but ! patterns everything else matches.
type ImageGlobs struct{ globs []imageGlob }

type imageGlob struct {
	written string
	not     bool
	repo    string
	tag     string // empty: every tag
}

// NewImageGlobs parses patterns. The errors, joined, name each bad pattern.
func NewImageGlobs(patterns []string) (ImageGlobs, error) {
	var (
		g    ImageGlobs
		errs []error
	)
	for _, p := range patterns {
		one, err := parseImageGlob(p)
		if err != nil {
			errs = append(errs, fmt.Errorf("%q: %w", p, err))
			continue
		}
		g.globs = append(g.globs, one)
	}
	return g, errors.Join(errs...)
}

// Match reports whether a canonical reference (host/repository:tag) is meant.
func (g ImageGlobs) Match(ref string) bool {
	wanted, matched := false, false
	for _, one := range g.globs {
		switch {
		case one.not && one.match(ref):
			return false
		case !one.not:
			wanted = true
			matched = matched || one.match(ref)
		}
	}
	return matched || !wanted
}

// PatternMatch is what one pattern matches by itself, taking away or not.
type PatternMatch struct {
	Pattern string // as written
	Refs    []string
}

// Report says for each pattern, in the order written, which of refs it
// matches: a pattern that matches nothing is likely a mistake.
func (g ImageGlobs) Report(refs []string) []PatternMatch {
	report := make([]PatternMatch, 0, len(g.globs))
	for _, one := range g.globs {
		m := PatternMatch{Pattern: one.written}
		for _, ref := range refs {
			if one.match(ref) {
				m.Refs = append(m.Refs, ref)
			}
		}
		report = append(report, m)
	}
	return report
}

func (g imageGlob) match(ref string) bool {
	repo, tag := splitTag(ref)
	if name, pattern, ok := watcher.SplitFamily(ref); ok {
		repo, tag = name, pattern // the same patterns mean a family and its tags
	}
	// Patterns were validated, so Match cannot be asked about a bad one.
	return doublestar.MatchUnvalidated(g.repo, repo) &&
		(g.tag == "" || doublestar.MatchUnvalidated(g.tag, tag))
}

func parseImageGlob(pattern string) (imageGlob, error) {
	g := imageGlob{written: pattern}
	p, not := strings.CutPrefix(pattern, "!")
	g.not = not
	switch {
	case p == "":
		return g, errors.New("empty pattern; to mean every image write \"**\"")
	case strings.Contains(p, "@"):
		return g, errors.New("a pattern has no digest; write repository:tag")
	case strings.Contains(p, "://"):
		return g, errors.New("a pattern is an image name, without http://")
	}
	repo, tag := splitTag(p)
	if repo == "" || strings.HasSuffix(p, ":") {
		return g, errors.New("want repository or repository:tag on both sides of the colon")
	}
	g.repo, g.tag = expandRepository(repo), tag
	if !doublestar.ValidatePattern(g.repo) || !doublestar.ValidatePattern(g.tag) {
		return g, errors.New("not a pattern; [ and { need their closing bracket")
	}
	return g, nil
}

// splitTag cuts at the colon of the tag, which comes after the last slash; one
// before it belongs to a port.
func splitTag(s string) (repo, tag string) {
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 || colon < strings.LastIndexByte(s, '/') {
		return s, ""
	}
	return s[:colon], s[colon+1:]
}

func expandRepository(repo string) string {
	if repo == "*" || repo == "**" {
		return "**"
	}
	host, rest, ok := strings.Cut(repo, "/")
	if !ok {
		return watcher.DockerHub + "/library/" + repo
	}
	if !asWritten(host) {
		return watcher.DockerHub + "/" + repo
	}
	// index.docker.io and the like are one registry under one name, where a
	// single segment is an official image.
	if known, err := watcher.ParseReference(host + "/library/x"); err == nil && known.Host == watcher.DockerHub {
		if rest != "**" && !strings.Contains(rest, "/") {
			rest = "library/" + rest
		}
		return watcher.DockerHub + "/" + rest
	}
	return repo
}

func asWritten(host string) bool {
	return strings.ContainsAny(host, ".:") || host == "localhost" || strings.HasPrefix(host, "*")
}

// matchText matches a label's value. A value is no path, so * crosses a slash:
// slashes are hidden from the matcher on both sides.
func matchText(pattern, value string) bool {
	hide := strings.NewReplacer("/", "\x00")
	return doublestar.MatchUnvalidated(hide.Replace(pattern), hide.Replace(value))
}
