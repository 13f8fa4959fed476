package registry

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// quota is what a host said is left of its limit. Docker Hub counts manifest
// GETs, not HEADs: 100 (or 200) in a window of six hours.
type quota struct {
	remaining, limit int
	window           time.Duration
	at               time.Time // when it was said; zero: never
}

// known reports whether what was said is not older than its window.
func (q quota) known(now time.Time) bool { return !q.at.IsZero() && now.Sub(q.at) < q.window }

// low reports that so little is left that GETs should be spread over the
// window: a tenth, which is for people who pull from the same address.
func (q quota) low(now time.Time) bool { return q.known(now) && q.remaining <= max(1, q.limit/10) }

// pace is the time between two GETs while the quota is low.
func (q quota) pace() time.Duration {
	if q.limit <= 0 {
		return time.Minute
	}
	return q.window / time.Duration(q.limit)
}

const defaultQuotaWindow = 6 * time.Hour

// readQuota reads the RateLimit headers of an answer; false: it has none.
func readQuota(h http.Header, now time.Time) (quota, bool) {
	left := h["Ratelimit-Remaining"]
	if len(left) == 0 {
		return quota{}, false
	}
	remaining, window, ok := parseLimit(left[0])
	if !ok {
		return quota{}, false
	}
	q := quota{remaining: remaining, window: window, at: now}
	if limit := h["Ratelimit-Limit"]; len(limit) > 0 {
		q.limit, _, _ = parseLimit(limit[0])
	}
	if !strings.Contains(left[0], "w=") {
		if reset, ok := untilReset(h, now); ok {
			q.window = reset
		}
	}
	return q, true
}

// parseLimit reads "76;w=21600".
func parseLimit(s string) (n int, window time.Duration, ok bool) {
	value, params, _ := strings.Cut(s, ";")
	n, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil || n < 0 {
		return 0, 0, false
	}
	window = defaultQuotaWindow
	for p := range strings.SplitSeq(params, ";") {
		seconds, found := strings.CutPrefix(strings.TrimSpace(p), "w=")
		if w, err := strconv.ParseUint(seconds, 10, 31); found && err == nil && w > 0 {
			window = time.Duration(w) * time.Second
		}
	}
	return n, window, true
}
