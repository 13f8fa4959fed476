package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"basewatch/internal/outbound"
	"basewatch/internal/text"
	"basewatch/watcher"
)

const (
	maxTries       = 4 // 5 % of failures leave 6 in a million looks failed
	maxThrottles   = 5
	maxTimeouts    = 2
	retryBase      = 200 * time.Millisecond
	failingForGood = 10 // failures in a row after which a host gets single tries
)

// throttledError is an answer that asks us to wait. The gate is closed already.
type throttledError struct {
	status int
	text   string
}

func (e *throttledError) Error() string { return answered(e.status, e.text) }

// statusError is a 5xx, which may pass.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return answered(e.status, e.text) }

func answered(status int, said string) string {
	s := fmt.Sprintf("%d %s", status, http.StatusText(status))
	if said != "" {
		s += ": " + said
	}
	return s
}

// persist repeats a request that failed by what may be chance: a reset, a
// timeout, a 5xx, a short pause. It returns an answer below 500, or a
// *[watcher.LookError].
func (h *host) persist(ctx context.Context, ask func() (*reply, error)) (*reply, error) {
	var t tally
	for {
		r, err := ask()
		if err == nil {
			err = failed(r)
		}
		if err == nil {
			h.failing.Store(0)
			return r, nil
		}
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
// four times as often as one that is up.
func (h *host) tries() int {
	if h.failing.Load() >= failingForGood {
		return 1
	}
	return maxTries
}

// tally counts what a request has been through.
type tally struct{ failures, throttles, timeouts int }

// next says whether a request that failed so is to be sent again, and when.
func (t *tally) next(err error, tries int) (wait time.Duration, again bool) {
	var throttled *throttledError
	switch {
	case isFinal(err), isPermanent(err):
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
		backoff *= 3
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
	return errors.Is(err, http.ErrSchemeMismatch) || errors.Is(err, context.Canceled)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// verdict turns the last failure of a request into a look's error.
func (h *host) verdict(ctx context.Context, err error) error {
	if isFinal(err) {
		return err
	}
	h.failing.Add(1)
	le := &watcher.LookError{Problem: watcher.Unreachable}
	var throttled *throttledError
	var tooLarge *outbound.TooLargeError
	switch {
	case ctx.Err() != nil:
		le.Err = fmt.Errorf("%s was not asked to the end: %w", h.name, ctx.Err())
		return le
	case errors.As(err, &throttled):
		le.Problem, le.RetryAt = watcher.Throttled, h.gate.opensAt()
		le.Err = fmt.Errorf("%s keeps asking to wait: %w", h.name, err)
	case errors.As(err, &tooLarge):
		le.Problem, le.Err = watcher.Invalid, fmt.Errorf("%s: %w", h.name, err)
	default:
		le.Err = fmt.Errorf("%s: %w%s", h.name, err, h.remedy(err))
	}
	h.lastFailure.Store(&failure{at: time.Now(), text: le.Error()})
	return le
}

// remedy is what the user can do about a failed connection, if anything.
func (h *host) remedy(err error) string {
	var (
		unknown x509.UnknownAuthorityError
		refused *outbound.AddressError
		record  tls.RecordHeaderError
	)
	section := fmt.Sprintf("[registry.%q]", h.name)
	switch {
	case errors.As(err, &unknown):
		return "; if its certificate is of a private CA, name that CA's file as ca_file under " + section
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return "; if it really has no TLS, set plain_http = true under " + section
	case errors.As(err, &refused):
		return "; let the registry name that host by a public address, or by its own host name"
	}
	return ""
}

// denied is the end of a look that a login, or a new one, did not help.
func (h *host) denied(r *reply) error {
	why := "access denied, or no such repository (many registries answer 401 for both)"
	if h.auth.creds.have() {
		why += "; check the credentials"
	} else {
		why += "; if it is private, set username and password under"
	}
	return h.problem(watcher.Denied, r, fmt.Sprintf("%s [registry.%q]", why, h.name))
}

// problem is a look's error for an answer that is final.
func (h *host) problem(p watcher.Problem, r *reply, why string) error {
	err := fmt.Errorf("%s (%s)", why, answered(r.StatusCode, excerpt(r.body)))
	h.lastFailure.Store(&failure{at: time.Now(), text: err.Error()})
	return &watcher.LookError{Problem: p, Err: err}
}

// refusal is the error for a status that no look can go on from.
func (h *host) refusal(r *reply) error {
	switch r.StatusCode {
	case http.StatusForbidden:
		return h.problem(watcher.Denied, r, h.name+" forbids it")
	case http.StatusBadRequest:
		if h.cfg.PlainHTTP {
			return h.problem(watcher.Invalid, r, fmt.Sprintf("%s refuses plain http; if it has TLS, remove plain_http under [registry.%q]", h.name, h.name))
		}
	}
	return h.problem(watcher.Invalid, r, h.name+" gave an answer that means nothing here")
}

// excerpt is what an error's body says, made harmless: the messages of a
// registry's JSON errors, else its first words.
func excerpt(body []byte) string {
	const limit = 200
	var said []string
	for _, e := range registryErrors(body) {
		said = append(said, strings.TrimSpace(e.Code+" "+e.Message))
	}
	if len(said) > 0 {
		return text.Plain(strings.Join(said, "; "), limit)
	}
	return text.Plain(string(body[:min(len(body), 4*limit)]), limit)
}
