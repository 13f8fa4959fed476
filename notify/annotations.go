package notify

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"basewatch/internal/text"
	"basewatch/watcher"
)

// The annotations that we show (opencontainers/image-spec, annotations.md).
// Whoever publishes an image writes what they like there.
const (
	annotationVersion  = "org.opencontainers.image.version"
	annotationRevision = "org.opencontainers.image.revision"
	annotationSource   = "org.opencontainers.image.source"
)

// annotationLimit is how much of one is shown, in runes.
const annotationLimit = 128

// annotation reads one of the index's own annotations or, where it has none,
// that of the first platform which has one.
func annotation(s *watcher.Snapshot, key string) string {
	if s == nil {
		return ""
	}
	if v := s.Annotations[key]; v != "" {
		return text.Plain(v, annotationLimit)
	}
	for _, p := range slices.Sorted(maps.Keys(s.Platforms)) {
		if v := s.Platforms[p].Annotations[key]; v != "" {
			return text.Plain(v, annotationLimit)
		}
	}
	return ""
}

var (
	commit      = regexp.MustCompile(`^[0-9a-f]{7,64}$`)
	pathSegment = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`)
)

// compareURL is the page that shows what was committed between two snapshots,
// or empty. It is built from checked parts and never taken over: the source
// must be a repository on github.com or gitlab.com, the same in both, and both
// revisions commits.
func compareURL(before, after *watcher.Snapshot) string {
	from, to := annotation(before, annotationRevision), annotation(after, annotationRevision)
	if from == to || !commit.MatchString(from) || !commit.MatchString(to) {
		return ""
	}
	host, repo := repository(annotation(after, annotationSource))
	if oldHost, oldRepo := repository(annotation(before, annotationSource)); oldHost != host || oldRepo != repo {
		return ""
	}
	switch host {
	case "github.com":
		return "https://github.com/" + repo + "/compare/" + from + "..." + to
	case "gitlab.com":
		return "https://gitlab.com/" + repo + "/-/compare/" + from + "..." + to
	}
	return ""
}

// repository takes host and path of a repository from a source annotation, such
// as https://github.com/docker-library/python.git#1f2e3d:3.13/slim. Both are
// empty when it is not exactly that.
func repository(source string) (host, path string) {
	u, err := url.Parse(source)
	if err != nil || u.Scheme != "https" || u.User != nil || u.RawQuery != "" {
		return "", ""
	}
	path = strings.TrimSuffix(strings.Trim(u.EscapedPath(), "/"), ".git")
	segments := strings.Split(path, "/")
	for _, s := range segments {
		if !pathSegment.MatchString(s) {
			return "", ""
		}
	}
	switch {
	case u.Host == "github.com" && len(segments) == 2:
	case u.Host == "gitlab.com" && len(segments) >= 2 && len(segments) <= 20 && !slices.Contains(segments, "-"):
	default:
		return "", ""
	}
	return u.Host, path
}
