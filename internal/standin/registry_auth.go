package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// grant is what a token allows, and until when.
type grant struct {
	repos   map[string]bool
	expires time.Time
}

// maxTokens is when expired tokens are thrown away.
const maxTokens = 4096

// ForgetTokens makes every token that was given out worthless.
func (r *Registry) ForgetTokens() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.tokens)
}

// allow checks a request's credentials and writes the challenge when they do
// not do.
func (r *Registry) allow(w http.ResponseWriter, req *http.Request, b Behaviour, repo string) bool {
	switch b.Auth {
	case Basic:
		if knows(req, b) {
			return true
		}
		w.Header().Set("Www-Authenticate", `Basic realm="stand-in"`)
	case Bearer:
		why := r.token(req, repo)
		if why == "" {
			return true
		}
		w.Header().Set("Www-Authenticate", challenge(req, b, repo, why))
	default:
		return true
	}
	refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	return false
}

func knows(req *http.Request, b Behaviour) bool {
	user, password, ok := req.BasicAuth()
	return ok && user == b.Username && password == b.Password
}

// token says what is wrong with a request's token, in the words of RFC 6750.
func (r *Registry) token(req *http.Request, repo string) string {
	secret, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return "missing"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	g, ok := r.tokens[secret]
	switch {
	case !ok || !time.Now().Before(g.expires):
		return "invalid_token"
	case repo == "":
		return ""
	case !g.repos[repo] || r.repos[repo] == nil:
		return "insufficient_scope"
	}
	return ""
}

func challenge(req *http.Request, b Behaviour, repo, why string) string {
	realm := b.Realm
	if realm == "" {
		realm = scheme(req) + "://" + req.Host + "/token"
	}
	c := fmt.Sprintf(`Bearer realm=%q,service=%q`, realm, req.Host)
	if repo != "" {
		c += fmt.Sprintf(`,scope="repository:%s:pull"`, repo)
	}
	if why != "missing" {
		c += fmt.Sprintf(`,error=%q`, why)
	}
	return c
}

func scheme(req *http.Request) string {
	if req.TLS != nil {
		return "https"
	}
	return "http"
}

// mint gives out a token for the repositories that are asked for, to everybody
// or to who knows the password.
func (r *Registry) mint(w http.ResponseWriter, req *http.Request, b Behaviour) {
	if b.Auth != Bearer {
		http.NotFound(w, req)
		return
	}
	if b.Username != "" && !knows(req, b) || b.Username == "" && req.Header.Get("Authorization") != "" {
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "incorrect username or password")
		return
	}
	ttl := b.TokenTTL
	if ttl <= 0 {
		ttl = 5 * time.Minute
	}
	now := time.Now()
	secret := r.remember(grant{repos: scopes(req), expires: now.Add(ttl)})
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"token": secret, "access_token": secret,
		"expires_in": int(ttl / time.Second), "issued_at": now.UTC().Format(time.RFC3339),
	})
}

func (r *Registry) remember(g grant) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.tokens) >= maxTokens {
		for t, old := range r.tokens {
			if !time.Now().Before(old.expires) {
				delete(r.tokens, t)
			}
		}
	}
	r.minted++
	secret := fmt.Sprintf("stand-in-token-%d-%016x", r.minted, scatter(uint64(r.minted)))
	r.tokens[secret] = g
	return secret
}

// scopes reads repository:NAME:ACTIONS, which may come several times or as one
// list with spaces.
func scopes(req *http.Request) map[string]bool {
	repos := map[string]bool{}
	for _, list := range req.URL.Query()["scope"] {
		for scope := range strings.FieldsSeq(list) {
			name, actions, ok := cutScope(scope)
			if ok && strings.Contains(actions, "pull") {
				repos[name] = true
			}
		}
	}
	return repos
}

func cutScope(scope string) (name, actions string, ok bool) {
	rest, ok := strings.CutPrefix(scope, "repository:")
	i := strings.LastIndexByte(rest, ':')
	if !ok || i < 0 {
		return "", "", false
	}
	return rest[:i], rest[i+1:], true
}
