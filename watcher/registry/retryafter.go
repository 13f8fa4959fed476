package registry

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	minPause = time.Second
	maxPause = 6 * time.Hour
)

// askedWait is how long an answer asks us to wait, between a second and six
// hours; false when it does not say or cannot be understood. GitHub says it in
// the body alone, as a Go duration: "retry-after: 880.092µs".
func askedWait(h http.Header, body []byte, now time.Time) (time.Duration, bool) {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date // what a date means is told by the clock that wrote it
	}
	if d, ok := parseWait(h.Get("Retry-After"), now); ok {
		return d, true
	}
	if d, ok := untilReset(h, now); ok && remaining(h) == 0 {
		return d, true
	}
	const key = "retry-after:"
	at := bytes.Index(bytes.ToLower(body), []byte(key))
	if at < 0 || at+len(key) > len(body) {
		return 0, false
	}
	value := string(body[at+len(key):])
	if end := strings.IndexAny(value, ",;\"\r\n}"); end >= 0 {
		value = value[:end]
	}
	return parseWait(value, now)
}

// untilReset reads when a limit's window ends: in seconds, as the drafts of
// RateLimit have it, or as a Unix time, as GitLab does.
func untilReset(h http.Header, now time.Time) (time.Duration, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(h.Get("Ratelimit-Reset")), 10, 64)
	switch {
	case err != nil || n < 0:
		return 0, false
	case n >= 1e8: // no window lasts for years
		return clampWait(time.Unix(n, 0).Sub(now)), true
	}
	return clampWait(time.Duration(n) * time.Second), true
}

// remaining is what RateLimit-Remaining says; -1: nothing.
func remaining(h http.Header) int {
	n, _, ok := parseLimit(h.Get("Ratelimit-Remaining"))
	if !ok {
		return -1
	}
	return n
}

// parseWait reads seconds, also with a fraction, an HTTP date or a Go duration.
func parseWait(s string, now time.Time) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, false
	}
	if strings.Trim(s, "0123456789") == "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n > int64(maxPause/time.Second) {
			return maxPause, true
		}
		return clampWait(time.Duration(n) * time.Second), true
	}
	if at, err := http.ParseTime(s); err == nil {
		return clampWait(at.Sub(now)), true
	}
	if strings.Trim(s, "0123456789.") == "" {
		s += "s"
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, false
	}
	return clampWait(d), true
}

func clampWait(d time.Duration) time.Duration { return min(max(d, minPause), maxPause) }
