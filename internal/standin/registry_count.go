package standin

import (
	"maps"
	"net/http"
	"slices"
)

// Counts are requests by kind, whatever was answered.
type Counts struct {
	Ping, Token, Head, Get, Blob, Tags, Other int
}

// Total is the sum of all kinds.
func (c Counts) Total() int {
	return c.Ping + c.Token + c.Head + c.Get + c.Blob + c.Tags + c.Other
}

// count notes a request before it is answered. The caller holds the lock.
func (r *Registry) count(req *http.Request) {
	if a := req.Header.Get("Authorization"); a != "" {
		seen := r.auths[req.Host]
		if seen == nil {
			seen = map[string]int{}
			r.auths[req.Host] = seen
		}
		if len(seen) < keep {
			seen[a]++
		}
	}
	if req.URL.Path == "/token" {
		r.tally("").Token++
		for repo := range scopes(req) {
			r.tally(repo).Token++
		}
		return
	}
	at := locate(req.URL.Path)
	at.kind.note(r.tally(""), req.Method)
	if at.repo != "" {
		at.kind.note(r.tally(at.repo), req.Method)
	}
}

func (r *Registry) tally(repo string) *Counts {
	c := r.counts[repo]
	if c == nil {
		c = &Counts{}
		r.counts[repo] = c
	}
	return c
}

func (k kind) note(c *Counts, method string) {
	switch {
	case k == ping:
		c.Ping++
	case k == manifests && method == http.MethodHead:
		c.Head++
	case k == manifests:
		c.Get++
	case k == blobs:
		c.Blob++
	case k == tagList:
		c.Tags++
	default:
		c.Other++
	}
}

// Counts is all requests since the start or the last ResetCounts.
func (r *Registry) Counts() Counts { return r.CountsOf("") }

// CountsOf is the requests about one repository; a token for several counts for
// each.
func (r *Registry) CountsOf(repo string) Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.counts[repo]; c != nil {
		return *c
	}
	return Counts{}
}

// ResetCounts starts all counts, the peak and what Authorizations lists anew.
func (r *Registry) ResetCounts() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.counts)
	clear(r.auths)
	r.peak = r.active
}

// Peak is how many requests were in flight at once, at most.
func (r *Registry) Peak() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peak
}

// Authorizations lists the different Authorization headers that came to a host
// name of this registry, sorted; host as in the request, with its port.
func (r *Registry) Authorizations(host string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.auths[host]))
}
