package registry

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"basewatch/internal/standin"
	"basewatch/watcher"
)

// trap is a network in which one name leads to a forbidden address: a name
// under the registry's own, to which net/http would send its credentials along.
// Everything that is sent there is noted.
type trap struct {
	*world
	mu   sync.Mutex
	seen []string // "METHOD host path authorization"
}

func (p *trap) hits() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.seen...)
}

// newTrap makes a world with a login, whose registry is public and in which
// trap.registry.example.com has the address at.
func newTrap(t *testing.T, at string, auth standin.Auth) *trap {
	t.Helper()
	p := &trap{world: newWorld(t, standin.Behaviour{Auth: auth, Username: "bot", Password: "hunter2"}, edit(login("bot", "hunter2")))}
	for _, port := range []string{"80", "443"} {
		s := standin.ServeOn(p.net.Listen(net.JoinHostPort(at, port)), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.seen = append(p.seen, strings.Join([]string{r.Method, r.Host, r.URL.Path, r.Header.Get("Authorization")}, " "))
		}))
		t.Cleanup(s.Close)
	}
	us, err := New(p.us.config, Options{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		return p.net.DialContext(ctx, network, strings.Replace(address, "trap.registry.example.com", host6(at), 1))
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(us.Close)
	p.us = us
	return p
}

func host6(at string) string {
	if strings.Contains(at, ":") {
		return "[" + at + "]"
	}
	return at
}

// TestNothingReachesAForbiddenAddressWhoeverNamesIt: a redirect of HEAD, of GET
// and of the token, and a token server, each by a name that resolves inside and
// by the address itself.
func TestNothingReachesAForbiddenAddressWhoeverNamesIt(t *testing.T) {
	for _, at := range []string{"169.254.169.254", "127.0.0.1", "10.0.0.7", "100.100.100.200", "fd00:ec2::254"} {
		for _, name := range []string{"trap.registry.example.com", host6(at)} {
			for what, match := range map[string]func(*http.Request) bool{
				"HEAD":  func(r *http.Request) bool { return r.Method == http.MethodHead },
				"GET":   func(r *http.Request) bool { return get(r) && strings.Contains(r.URL.Path, "/manifests/") },
				"token": standin.PathContains("/token"),
			} {
				p := newTrap(t, at, standin.Bearer)
				d := p.Push(repoName, "1", linux)
				p.Always(standin.Answer{Status: http.StatusTemporaryRedirect, Match: match,
					Header: map[string]string{"Location": "http://" + name + "/latest/meta-data"}})
				_, err := p.us.Digest(t.Context(), tagRef)
				if err == nil {
					_, err = p.us.Snapshot(t.Context(), target(tagRef), d)
				}
				refusedTo(t, p, err, what+" to "+name+" at "+at)
			}
			p := newTrap(t, at, standin.Bearer)
			p.Push(repoName, "1", linux)
			p.Behave(func(b *standin.Behaviour) { b.Realm = "https://" + name + "/token" })
			_, err := p.us.Digest(t.Context(), tagRef)
			refusedTo(t, p, err, "realm "+name+" at "+at)
		}
	}
}

func refusedTo(t *testing.T, p *trap, err error, what string) {
	t.Helper()
	if err == nil || watcher.ProblemOf(err) == watcher.NotFound || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%s: got %v", what, err)
	}
	if seen := p.hits(); len(seen) > 0 {
		t.Errorf("%s: it was reached: %q", what, seen)
	}
	if n := p.Counts().Total(); n > 6 {
		t.Errorf("%s: %d requests for one refused look", what, n)
	}
}

// TestRedirectsLeadFiveHopsAndTakeNoCredentialAlong: on its own host a token
// goes along; to a public host it does not, and does not come back.
func TestRedirectsLeadFiveHopsAndTakeNoCredentialAlong(t *testing.T) {
	for hops, ok := range map[int]bool{1: true, 5: true, 6: false, 20: false} {
		p := newTrap(t, "203.0.113.9", standin.Bearer)
		d := p.Push(repoName, "1", linux)
		left := hops
		p.Behave(func(b *standin.Behaviour) {
			b.Answer = func(rw http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodHead || r.Header.Get("Authorization") == "" || left == 0 {
					return false
				}
				left--
				http.Redirect(rw, r, r.URL.Path, http.StatusTemporaryRedirect)
				return true
			}
		})
		got, err := p.us.Digest(t.Context(), tagRef)
		if ok != (err == nil && got == d) {
			t.Errorf("%d hops: %s, %v", hops, got, err)
		}
	}
	p := newTrap(t, "203.0.113.9", standin.Bearer)
	p.Push(repoName, "1", linux)
	p.Always(standin.Answer{Status: http.StatusFound, Match: func(r *http.Request) bool { return r.Header.Get("Authorization") != "" },
		Header: map[string]string{"Location": "http://trap.registry.example.com/away"}})
	_, _ = p.us.Digest(t.Context(), tagRef)
	seen := p.hits()
	if len(seen) == 0 {
		t.Error("a public host was not asked")
	}
	for _, s := range seen {
		if !strings.HasSuffix(s, " ") {
			t.Errorf("a credential went along: %q", s)
		}
	}
}

func TestNoRedirectLeavesTLS(t *testing.T) {
	w := newWorld(t, standin.Behaviour{}, nil)
	ca := w.serveTLS(t, w.Registry, hostName)
	us := w.connect(t, Config{Hosts: map[string]HostConfig{hostName: withCA(ca)}})
	w.Always(standin.Answer{Status: http.StatusFound, Header: map[string]string{"Location": "http://" + hostName + "/v2/"}})
	_, err := us.Digest(t.Context(), tagRef)
	wantProblem(t, err, watcher.Unreachable, "only https may follow https")
	if n := w.Counts().Total(); n != 1 {
		t.Errorf("%d requests", n)
	}
}
