package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"basewatch/internal/outbound"
	"basewatch/watcher"
)

const (
	maxTries       = 6 // 5 % of failures leave 2 in a hundred million looks failed
	maxThrottles   = 5
	maxTimeouts    = 2
	retryBase      = 200 * time.Millisecond
	retryMax       = 3 * time.Second
	failingForGood = 10 // failures in a row after which a host gets single tries
	downFor        = 30 * time.Second
)

// persist repeats a request that failed by what may be chance: a reset, a
// timeout, a 5xx, a short pause. It returns an answer below 500, or a
// *[watcher.LookError].
func (h *host) persist(ctx context.Context, ask func() (*reply, error)) (*reply, error) {
	var t tally
	var before error
	for {
		r, err := ask()
		if err == nil {
			err = failed(r)
		}
		if err == nil {
			h.failing.Store(0)
			return r, nil
		}
		if before != nil && (ctx.Err() != nil || isPaced(err)) {
			return nil, h.verdict(ctx, before) // what failed then says more than that no time is left
		}
		before = err
		wait, again := t.next(err, h.tries())
		if ctx.Err() != nil || !again {
			return nil, h.verdict(ctx, err)
		}
		if isTimeout(err) {
			h.client.CloseIdleConnections() // a dead one may be among them
		}
		sleep(ctx, wait)
	}
}

func failed(r *reply) error {
	if r.StatusCode < http.StatusInternalServerError || r.StatusCode == http.StatusNotImplemented {
		return nil
	}
	return &statusError{status: r.StatusCode, text: excerpt(r.body)}
}

// tries is how often a request may be sent. A host that is down is not asked
// six times as often as one that is up.
func (h *host) tries() int {
	if h.failing.Load() >= failingForGood {
		return 1
	}
	return maxTries
}

// down is an error while the host has just failed again and again, so that it
// is not worth asking as long as there is another one.
func (h *host) down() error {
	last := h.lastFailure.Load()
	if h.failing.Load() < failingForGood || last == nil || time.Since(last.at) >= downFor {
		return nil
	}
	return &watcher.LookError{Problem: watcher.Unreachable, Err: fmt.Errorf("%s was left out: %s", h.name, last.text)}
}

// tally counts what a request has been through.
type tally struct{ failures, throttles, timeouts int }

// next says whether a request that failed so is to be sent again, and when.
func (t *tally) next(err error, tries int) (wait time.Duration, again bool) {
	var throttled *throttledError
	switch {
	case isFinal(err), isPermanent(err), isSlow(err):
		return 0, false
	case errors.As(err, &throttled): // the gate makes the next one wait
		t.throttles++
		return 0, t.throttles < maxThrottles
	case isTimeout(err):
		t.timeouts++
	}
	t.failures++
	backoff := retryBase
	for range t.failures - 1 {
		backoff = min(3*backoff, retryMax)
	}
	return jitter(backoff), t.failures < tries && t.timeouts < maxTimeouts
}

// isPermanent reports a failure that the next second will not mend.
func isPermanent(err error) bool {
	var (
		refused  *outbound.AddressError
		tooLarge *outbound.TooLargeError
		dns      *net.DNSError
		redirect *outbound.RedirectError
		cert     *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &refused), errors.As(err, &redirect), errors.As(err, &tooLarge), errors.As(err, &cert):
		return true
	case errors.As(err, &dns):
		return dns.IsNotFound
	}
	// net/http has no type for it, in neither version.
	if s := err.Error(); strings.Contains(s, "response headers exceeded") || strings.Contains(s, "response header list larger") {
		return true
	}
	return errors.Is(err, http.ErrSchemeMismatch) || errors.Is(err, context.Canceled)
}

// isSlow reports an answer that began well and took too long: the host is not
// gone, and would take as long again.
func isSlow(err error) bool {
	var broke *bodyError
	return errors.As(err, &broke) && isTimeout(err)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
