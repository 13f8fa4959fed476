package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"basewatch/watcher"
)

const (
	maxTokenBytes   = 64 << 10
	defaultLifetime = 60 * time.Second // the token specification's own
	maxLifetime     = 12 * time.Hour
	// deniedFor is how long a refused login is not tried again: 20 tags of a
	// repository should not make 20 failed logins.
	deniedFor = 2 * time.Minute
	maxTokens = 10_000
)

// token is a bearer token, as a header's value, and when to renew it.
type token struct {
	header  []string
	renewAt time.Time
}

// tokens keeps one token per repository. A token is fetched once, also when
// many ask for it at the same time.
type tokens struct {
	mu     sync.Mutex
	byRepo map[string]*tokenEntry
}

type tokenEntry struct {
	ready chan struct{} // closed when the rest is set
	token
	err       error
	abandoned bool // the request that fetched it was cancelled
}

func (e *tokenEntry) isReady() bool {
	select {
	case <-e.ready:
		return true
	default:
		return false
	}
}

// stale reports an entry that is to be fetched again.
func (e *tokenEntry) stale(now time.Time) bool { return e.isReady() && !now.Before(e.renewAt) }

func (t *tokens) get(ctx context.Context, repo string, fetch func() (token, error)) ([]string, error) {
	for {
		e, mine := t.entry(repo)
		if mine {
			e.token, e.err = fetch()
			if e.err != nil && watcher.ProblemOf(e.err) == watcher.Denied {
				e.renewAt = time.Now().Add(deniedFor)
			}
			e.abandoned = e.err != nil && ctx.Err() != nil
			close(e.ready)
			return e.header, e.err
		}
		select {
		case <-e.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !e.abandoned {
			return e.header, e.err
		}
	}
}

// entry gives a repository's entry; mine means that the caller is to fill it.
func (t *tokens) entry(repo string) (e *tokenEntry, mine bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if e, ok := t.byRepo[repo]; ok && !e.stale(now) {
		return e, false
	}
	if t.byRepo == nil {
		t.byRepo = map[string]*tokenEntry{}
	}
	if len(t.byRepo) >= maxTokens {
		t.sweep(now)
	}
	e = &tokenEntry{ready: make(chan struct{})}
	t.byRepo[repo] = e
	return e, true
}

// sweep makes room: what is stale goes, and if that is nothing, anything.
func (t *tokens) sweep(now time.Time) {
	before := len(t.byRepo)
	for repo, e := range t.byRepo {
		if e.stale(now) {
			delete(t.byRepo, repo)
		}
	}
	for repo, e := range t.byRepo {
		if len(t.byRepo) < before {
			return
		}
		if e.isReady() {
			delete(t.byRepo, repo)
		}
	}
}

// drop forgets a token that was refused, unless it has been replaced since.
func (t *tokens) drop(repo string, header []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.byRepo[repo]; ok && e.isReady() && len(e.header) == 1 && e.header[0] == header[0] {
		delete(t.byRepo, repo)
	}
}

func (t *tokens) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byRepo = nil
}

// fetch asks the host's token server for a token that reads one repository.
func (a *auth) fetch(ctx context.Context, s scheme, repo string) (token, error) {
	c, err := a.creds.get(ctx)
	if err != nil {
		return token{}, err
	}
	if c.bearer != "" {
		return token{header: []string{"Bearer " + c.bearer}, renewAt: time.Now().Add(credentialLife)}, nil
	}
	h := a.host
	rule := realmRule{host: h.name, addr: h.base.Host, plainHTTP: h.cfg.PlainHTTP, credentials: !c.anonymous()}
	realm, err := rule.check(s.realm)
	if err != nil {
		return token{}, denied(err)
	}
	scopes := []string{"repository:" + repo + ":pull"}
	if s.scope != "" {
		scopes = append(scopes, s.scope)
	}
	r, err := h.persist(ctx, func() (*reply, error) {
		req, err := tokenRequest(ctx, realm, s.service, scopes, c)
		if err != nil {
			return nil, err
		}
		req.Header["User-Agent"] = h.agent
		return h.do(req, Token, want{limit: maxTokenBytes})
	})
	if err != nil {
		return token{}, fmt.Errorf("asking %s for a token: %w", realm.Host, err)
	}
	if r.StatusCode != http.StatusOK {
		return token{}, a.refused(c, realm.Host, r)
	}
	a.creds.accepted(c)
	return readToken(r.body, realm.Host, time.Now())
}

// refused is the error for a token that was not given.
func (a *auth) refused(c credential, realm string, r *reply) error {
	why := realm + " gives no token for it: access denied, or no such repository"
	if !c.anonymous() {
		why = fmt.Sprintf("%s gives no token for it; check the credentials for %s, and the name", realm, a.host.name)
	}
	switch r.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		a.creds.failed(c)
	case http.StatusTooManyRequests: // see lockedOut
		a.creds.lockedOut(c)
		why = fmt.Sprintf("%s has locked this login after too many wrong passwords: it is switched off for %s; check the credentials for %s",
			realm, barredFor, a.host.name)
	default:
		return a.host.problem(watcher.Invalid, r, realm+", the token server, gave an answer that means nothing here")
	}
	return a.host.problem(watcher.Denied, r, why)
}

// tokenRequest is a GET with a password or without, or the exchange of a
// refresh token, which is a POST and follows no redirect with its body: the
// client's policy turns a POST that is redirected by 302 or 303 into a GET, and
// GetBody is unset so that it cannot repeat it for 307 and 308.
func tokenRequest(ctx context.Context, realm *url.URL, service string, scopes []string, c credential) (*http.Request, error) {
	if c.identity != "" {
		form := url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {c.identity}, "client_id": {"basewatch"},
			"service": {service}, "scope": {strings.Join(scopes, " ")},
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, realm.String(), strings.NewReader(form.Encode()))
		if err != nil {
			return nil, errors.New("the token server's address is not usable")
		}
		req.GetBody = nil
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return req, nil
	}
	u := *realm
	q := u.Query()
	if service != "" {
		q.Set("service", service)
	}
	for _, s := range scopes {
		q.Add("scope", s)
	}
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("the token server's address is not usable")
	}
	if !c.anonymous() {
		req.Header.Set("Authorization", c.header())
	}
	return req, nil
}

// readToken reads a token server's answer. The token is renewed when a tenth
// of its life is left, by our own clock.
func readToken(body []byte, realm string, now time.Time) (token, error) {
	var answer struct {
		Token       string  `json:"token"`
		AccessToken string  `json:"access_token"`
		ExpiresIn   float64 `json:"expires_in"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return token{}, &watcher.LookError{Problem: watcher.Invalid, Err: fmt.Errorf("the token from %s is not JSON", realm)}
	}
	value := answer.Token
	if value == "" {
		value = answer.AccessToken
	}
	if value == "" || !httpguts.ValidHeaderFieldValue(value) {
		return token{}, &watcher.LookError{Problem: watcher.Invalid, Err: fmt.Errorf("the answer of %s has no usable token", realm)}
	}
	life := defaultLifetime
	if answer.ExpiresIn > 0 {
		life = time.Duration(min(answer.ExpiresIn, maxLifetime.Seconds()) * float64(time.Second))
	}
	return token{header: []string{"Bearer " + value}, renewAt: now.Add(life * 9 / 10)}, nil
}
