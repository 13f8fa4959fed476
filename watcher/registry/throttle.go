package registry

import (
	"bytes"
	"net/http"
	"strings"
	"time"
)

// The ways in which a registry says "not now". Docker Hub has three that look
// alike and want different cures: its limit of pulls (pulls wait, HEADs go on),
// its limit of requests (the host waits), and the lock of a login (waiting does
// not help at all). GitHub says it in the body, also under statuses that mean
// something else.

// asksToWait reports an answer that means "not now", and for how long; 0 when
// it does not say.
func asksToWait(res *http.Response, body []byte) (time.Duration, bool) {
	wait, said := askedWait(res.Header, body, time.Now())
	switch s := res.StatusCode; {
	case lockedOut(body):
		return 0, false
	case s == http.StatusTooManyRequests, saysTooMany(res.StatusCode, body):
		return wait, true
	case s < http.StatusBadRequest || s == http.StatusUnauthorized || s == http.StatusNotFound:
		return 0, false
	default:
		return wait, said
	}
}

// saysTooMany reports the words of a throttle, whatever the status: GitHub has
// sent them under 403 and without the code. Under a status of success they
// count only where no manifest can be, so that no image's own text stops us.
func saysTooMany(status int, body []byte) bool {
	if status < http.StatusBadRequest && (len(body) > maxErrorBytes || bytes.HasPrefix(bytes.TrimSpace(body), []byte("{"))) {
		return false
	}
	body = bytes.ToLower(body)
	return bytes.Contains(body, []byte("toomanyrequests")) ||
		bytes.Contains(body, []byte("retry-after:")) && bytes.Contains(body, []byte("allowed:"))
}

// lockedOut reports Docker Hub's 429 for a wrong password. It is about the
// login, not about us: waiting does not help, and asking again prolongs it, for
// the people with that login too.
func lockedOut(body []byte) bool {
	return bytes.Contains(bytes.ToLower(body), []byte("too many failed login"))
}

// outOfPulls reports that a pull was refused for the limit of pulls, which
// HEADs do not count against: by its words, or by Docker's own headers.
func outOfPulls(kind Kind, r *reply) bool {
	if kind != Get || r.StatusCode != http.StatusTooManyRequests {
		return false
	}
	left := r.Header.Get("Ratelimit-Remaining")
	return bytes.Contains(bytes.ToLower(r.body), []byte("pull rate limit")) ||
		strings.HasPrefix(left, "0;w=") && r.Header.Get("Docker-Ratelimit-Source") != ""
}

// throttle closes the gate.
func (h *host) throttle(r *reply, began time.Time, wait time.Duration) error {
	t := &throttledError{status: r.StatusCode, text: excerpt(r.body)}
	if h.gate.pause(began, wait, t.Error()) {
		h.log.Warn("the registry asks to wait", "until", h.gate.opensAt(), "answer", t.Error())
	}
	return t
}

// closePulls closes the gate for pulls alone.
func (h *host) closePulls(r *reply, began time.Time, wait time.Duration) error {
	t := &throttledError{status: r.StatusCode, text: excerpt(r.body)}
	if h.gate.closePulls(began, wait, t.Error()) {
		h.log.Warn("the registry's limit of pulls is reached: tags are watched on, details wait", "answer", t.Error())
	}
	return t
}

func (h *host) noteQuota(res *http.Response, began time.Time) {
	q, ok := readQuota(res.Header, time.Now())
	if !ok {
		return
	}
	h.gate.counted(q, began)
	h.obs.Quota(h.name, q.remaining, q.limit)
}
