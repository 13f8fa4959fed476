package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"basewatch/internal/outbound"
	"basewatch/internal/text"
	"basewatch/watcher"
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

// verdict turns the last failure of a request into a look's error.
func (h *host) verdict(ctx context.Context, err error) error {
	if isFinal(err) {
		return err
	}
	if err == ctx.Err() { //nolint:errorlint // bare: it waited for others of ours, and nothing was asked
		if late := h.gate.late(err); isFinal(late) {
			return late
		}
	}
	if ctx.Err() != nil {
		return &watcher.LookError{Problem: watcher.Unreachable, Err: fmt.Errorf("%s was not asked to the end: %w", h.name, ctx.Err())}
	}
	var throttled *throttledError
	var tooLarge *outbound.TooLargeError
	le := &watcher.LookError{Problem: watcher.Unreachable}
	switch {
	case errors.As(err, &throttled):
		le.Problem, le.RetryAt = watcher.Throttled, h.gate.opensAt()
		le.Err = fmt.Errorf("%s keeps asking to wait: %w", h.name, err)
	case errors.As(err, &tooLarge):
		le.Problem, le.Err = watcher.Invalid, fmt.Errorf("%s: %w", h.name, err)
	default:
		h.failing.Add(1)
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
		why += "; check the credentials, in docker's configuration or under"
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
	case http.StatusTooManyRequests: // see lockedOut
		return h.problem(watcher.Denied, r, fmt.Sprintf(
			"%s has locked this login after too many wrong passwords: it is switched off for %s; check the credentials under [registry.%q]", h.name, barredFor, h.name))
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
