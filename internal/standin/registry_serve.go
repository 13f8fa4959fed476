package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ServeHTTP answers one request.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	b, fate, done := r.begin(req)
	defer done()
	r.observe(w, req, func(w http.ResponseWriter, req *http.Request) {
		if !wait(req.Context(), timer(b.Latency)) {
			return
		}
		switch {
		case fate < b.FailPercent:
			refuse(w, http.StatusServiceUnavailable, "UNAVAILABLE", "try again")
		case fate < b.FailPercent+b.ResetPercent:
			cut(w)
		default:
			r.serve(w, req, func(w http.ResponseWriter, req *http.Request) { r.answer(w, req, b) })
		}
	})
}

// begin counts a request in and draws its lot, 0 to 99, from its number.
func (r *Registry) begin(req *http.Request) (b Behaviour, fate int, done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(req)
	r.served++
	r.active++
	r.peak = max(r.peak, r.active)
	return r.b, int(scatter(r.served) % 100), func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.active--
	}
}

// scatter is splitmix64: neighbours come out far apart, every run the same.
func scatter(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

// timer is closed after d; nil for none.
func timer(d time.Duration) <-chan struct{} {
	if d <= 0 {
		return nil
	}
	c := make(chan struct{})
	time.AfterFunc(d, func() { close(c) })
	return c
}

func (r *Registry) answer(w http.ResponseWriter, req *http.Request, b Behaviour) {
	if b.Answer != nil && b.Answer(w, req) {
		return
	}
	if req.URL.Path == "/token" {
		r.mint(w, req, b)
		return
	}
	at := locate(req.URL.Path)
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if !r.allow(w, req, b, at.repo) {
		return
	}
	if req.Method != http.MethodGet && (req.Method != http.MethodHead || b.NoHead && at.kind == manifests) {
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "The operation is unsupported.")
		return
	}
	switch at.kind {
	case ping:
		_, _ = w.Write([]byte("{}"))
	case manifests:
		r.manifest(w, req, b, at)
	case blobs:
		r.blob(w, req, b, at)
	case tagList:
		r.list(w, req, at)
	case elsewhere:
		refuse(w, http.StatusNotFound, "NOT_FOUND", "no such route")
	}
}

func (r *Registry) manifest(w http.ResponseWriter, req *http.Request, b Behaviour, at place) {
	for k, v := range b.Header {
		w.Header().Set(k, v)
	}
	d, ok := r.find(at.repo, at.reference)
	if !ok {
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
		return
	}
	if !accepts(req, d.mediaType) {
		// As GHCR has it: a false 404 for who forgot a type.
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", d.mediaType+" found, but Accept header does not support it")
		return
	}
	w.Header().Set("Etag", `"`+d.digest+`"`)
	send(w, req, b, d.mediaType, d.digest, d.body)
}

func (r *Registry) blob(w http.ResponseWriter, req *http.Request, b Behaviour, at place) {
	body, ok := r.content(at.repo, at.reference)
	if !ok {
		refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry")
		return
	}
	send(w, req, b, "application/octet-stream", at.reference, body)
}

func send(w http.ResponseWriter, req *http.Request, b Behaviour, mediaType, digest string, body []byte) {
	h := w.Header()
	if !b.NoDigest {
		h.Set("Docker-Content-Digest", digest)
	}
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if req.Method == http.MethodGet {
		_, _ = w.Write(body)
	}
}

// list pages through tags by n and last, with a relative Link as most
// registries send it.
func (r *Registry) list(w http.ResponseWriter, req *http.Request, at place) {
	tags, ok := r.tags(at.repo)
	if !ok {
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry")
		return
	}
	q := req.URL.Query()
	if last := q.Get("last"); last != "" {
		i, found := slices.BinarySearch(tags, last)
		if found {
			i++
		}
		tags = tags[i:]
	}
	if n, err := strconv.Atoi(q.Get("n")); err == nil && n > 0 && n < len(tags) {
		tags = tags[:n]
		next := url.Values{"n": {q.Get("n")}, "last": {tags[n-1]}}
		w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, req.URL.Path, next.Encode()))
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"name": at.repo, "tags": tags})
}

// refuse answers with the error document of the distribution API.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
}

func accepts(req *http.Request, mediaType string) bool {
	for _, line := range req.Header.Values("Accept") {
		for one := range strings.SplitSeq(line, ",") {
			kind, _, _ := strings.Cut(one, ";")
			switch strings.TrimSpace(kind) {
			case mediaType, "*/*", "application/*":
				return true
			}
		}
	}
	return false
}

// kind is what a path of the API is about.
type kind int

const (
	elsewhere kind = iota
	ping
	manifests
	blobs
	tagList
)

type place struct {
	kind            kind
	repo, reference string
}

// locate reads a path of the API; repository names have slashes themselves.
func locate(path string) place {
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return place{}
	}
	if rest == "" {
		return place{kind: ping}
	}
	if repo, ok := strings.CutSuffix(rest, "/tags/list"); ok {
		return place{kind: tagList, repo: repo}
	}
	for _, r := range []struct {
		part string
		kind kind
	}{{"/manifests/", manifests}, {"/blobs/", blobs}} {
		if i := strings.LastIndex(rest, r.part); i > 0 {
			return place{kind: r.kind, repo: rest[:i], reference: rest[i+len(r.part):]}
		}
	}
	return place{}
}
