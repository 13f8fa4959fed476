package registry

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"

	"basewatch/watcher"
)

// scheme is how a host wants requests to be authorized.
type scheme struct {
	kind                  string // "", basic, bearer
	realm, service, scope string
}

// auth authorizes the requests to one host. The challenge that the host gave
// once is remembered, so that tokens are there before the first request of a
// repository; the first request to a host goes alone, so that not all of a
// batch find out the same.
type auth struct {
	host   *host
	creds  *credentials
	tokens tokens
	scheme atomic.Pointer[scheme] // nil: not known yet
	last   atomic.Pointer[scheme] // the last that the host named, also when forgotten
	scout  chan struct{}          // holds the request that finds out
}

func newAuth(h *host, o Options) *auth {
	return &auth{host: h, creds: newCredentials(h, o), scout: make(chan struct{}, 1)}
}

// enter waits while another request finds out what the host wants. Call done
// when the answer has been learned from.
func (a *auth) enter(ctx context.Context) (done func(), err error) {
	if a.scheme.Load() != nil {
		return func() {}, nil
	}
	select {
	case a.scout <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if a.scheme.Load() != nil {
		<-a.scout
		return func() {}, nil
	}
	return func() { <-a.scout }, nil
}

// header is the Authorization for a repository; nil: none.
func (a *auth) header(ctx context.Context, repo string) ([]string, error) {
	s := a.scheme.Load()
	if s == nil || s.kind == "" {
		return nil, nil
	}
	if s.kind == "bearer" {
		return a.tokens.get(ctx, repo, func() (token, error) { return a.fetch(ctx, *s, repo) })
	}
	c, err := a.creds.get(ctx)
	if err != nil || c.anonymous() {
		return nil, err
	}
	return []string{c.header()}, nil
}

// wanted reports whether the host has said how it wants to be authorized to.
func (a *auth) wanted() bool {
	s := a.scheme.Load()
	return s != nil && s.kind != ""
}

// learn takes from an answer what the host wants: from a 401 its challenge (and
// what was used is no longer good), from any other that what was sent is right.
func (a *auth) learn(r *reply, repo string, used []string) {
	switch {
	case r.StatusCode == http.StatusUnauthorized:
		if used != nil {
			a.tokens.drop(repo, used)
			a.creds.refused(used)
		}
		a.challenged(pickScheme(parseChallenges(r.Header["Www-Authenticate"])))
	case r.StatusCode == http.StatusTooManyRequests: // only a lock comes here, see asksToWait
		if used != nil {
			a.creds.locked(used)
		}
	case r.StatusCode >= http.StatusInternalServerError:
	case a.scheme.Load() == nil:
		a.scheme.CompareAndSwap(nil, &scheme{})
	case used != nil && a.scheme.Load().kind == "basic":
		a.creds.confirmed()
	}
}

func (a *auth) challenged(s scheme) {
	if a.scheme.Load() != nil && s.kind == "" {
		return // a 401 that offers no way in takes none away
	}
	a.scheme.Store(&s)
	if old := a.last.Swap(&s); old != nil && *old != s {
		a.tokens.clear()
	}
}

// forget makes the next request go bare, so that the host tells its challenge
// again. Tokens are kept while that stays the same.
func (a *auth) forget() { a.scheme.Store(nil) }

// pickScheme prefers a token to a password with each request.
func pickScheme(offers []challenge) scheme {
	var s scheme
	for _, c := range offers {
		switch {
		case c.scheme == "bearer" && c.params["realm"] != "":
			s = scheme{kind: "bearer", realm: c.params["realm"], service: c.params["service"]}
			// The scope of a repository we know; another one (ECR's public
			// gallery wants "aws") is asked for as well.
			if scope := c.params["scope"]; !strings.HasPrefix(scope, "repository:") {
				s.scope = scope
			}
			return s
		case c.scheme == "basic":
			s = scheme{kind: "basic"}
		}
	}
	return s
}

func denied(err error) error { return &watcher.LookError{Problem: watcher.Denied, Err: err} }
