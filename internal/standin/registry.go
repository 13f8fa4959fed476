package standin

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Auth is how a registry asks who somebody is.
type Auth int

// The ways of asking.
const (
	// Open asks nobody.
	Open Auth = iota
	// Basic wants a user name and a password with every request.
	Basic
	// Bearer wants a token for each repository, from /token of the same host.
	// Without a user name in [Behaviour], tokens are for everybody. As at
	// Docker Hub, a repository that does not exist is 401, not 404.
	Bearer
)

// Behaviour is what a registry does, good and bad. [Registry.Behave] changes it
// at any time.
type Behaviour struct {
	Auth               Auth
	Username, Password string
	// TokenTTL is expires_in of tokens; 0: 5 minutes. Tokens really end then.
	TokenTTL time.Duration
	// Realm replaces the token endpoint's URL in challenges.
	Realm string

	NoHead   bool // HEAD of a manifest is 405
	NoDigest bool // no Docker-Content-Digest in any answer

	// Latency is waited before each answer.
	Latency time.Duration
	// FailPercent and ResetPercent of all requests are answered 503 or cut off;
	// which ones is the same in every run that sends the requests in one order.
	FailPercent, ResetPercent int
	// Header is added to answers about manifests: RateLimit-Remaining, Warning.
	Header map[string]string
	// Answer may answer any request itself and return true; false leaves it to
	// the registry. It is asked after the Script and before all else.
	Answer func(w http.ResponseWriter, r *http.Request) bool
}

// Registry is a container registry to read from: the pull half of the OCI
// distribution API, with tags that move when told.
type Registry struct {
	Script
	requests

	mu     sync.Mutex
	b      Behaviour
	layer  blob
	repos  map[string]*repository
	tokens map[string]grant
	minted int
	served uint64
	counts map[string]*Counts // by repository; "" for requests about none
	active int
	peak   int
	auths  map[string]map[string]int // Authorization headers by host
}

// repository has a name's content, and where its tags point.
type repository struct {
	docs  map[string]document
	blobs map[string][]byte
	tags  map[string]string
}

// NewRegistry makes an empty registry that behaves as b says.
func NewRegistry(b Behaviour) *Registry {
	return &Registry{
		b: b, layer: newLayer(),
		repos: map[string]*repository{}, tokens: map[string]grant{},
		counts: map[string]*Counts{}, auths: map[string]map[string]int{},
	}
}

// Behave changes what the registry does from the next request on.
func (r *Registry) Behave(change func(*Behaviour)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.b)
}

// Push stores an image and moves a tag to it. It returns the digest that the
// tag has then: the index's, or the manifest's of a single one.
func (r *Registry) Push(repo, tag string, img Image) string {
	digest := r.Put(repo, img)
	r.Move(repo, tag, digest)
	return digest
}

// Put stores an image without a tag and returns its digest, for a later Move.
func (r *Registry) Put(repo string, img Image) string {
	p := pack(img, r.layer)
	r.mu.Lock()
	defer r.mu.Unlock()
	into := r.repo(repo)
	for _, d := range p.docs {
		into.docs[d.digest] = d
	}
	maps.Copy(into.blobs, p.blobs)
	return p.top.digest
}

// PutRaw stores any bytes as a manifest, good or bad, and returns their digest.
func (r *Registry) PutRaw(repo, mediaType string, body []byte) string {
	d := document{digest: digestOf(body), mediaType: mediaType, body: body}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.repo(repo).docs[d.digest] = d
	return d.digest
}

// Move points a tag, new or old, to a digest, also one that was never put.
func (r *Registry) Move(repo, tag, digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.repo(repo).tags[tag] = digest
}

// Delete takes a tag away; the repository stays.
func (r *Registry) Delete(repo, tag string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.repo(repo).tags, tag)
}

// Digest is where a tag points; empty when there is none.
func (r *Registry) Digest(repo, tag string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.repos[repo]; ok {
		return known.tags[tag]
	}
	return ""
}

// PlatformDigest is the digest that img's manifest of one platform has.
func (r *Registry) PlatformDigest(img Image, platform string) string {
	p := packed{blobs: map[string][]byte{}}
	return p.platform(img, platform, r.layer).digest
}

func (r *Registry) repo(name string) *repository {
	known, ok := r.repos[name]
	if !ok {
		known = &repository{docs: map[string]document{}, blobs: map[string][]byte{}, tags: map[string]string{}}
		r.repos[name] = known
	}
	return known
}

// find looks a tag or digest up.
func (r *Registry) find(repo, reference string) (document, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.repos[repo]
	if !ok {
		return document{}, false
	}
	if to, ok := known.tags[reference]; ok {
		reference = to
	}
	d, ok := known.docs[reference]
	return d, ok
}

func (r *Registry) content(repo, digest string) ([]byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.repos[repo]
	if !ok {
		return nil, false
	}
	body, ok := known.blobs[digest]
	return body, ok
}

func (r *Registry) tags(repo string) ([]string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.repos[repo]
	if !ok {
		return nil, false
	}
	return slices.Sorted(maps.Keys(known.tags)), true
}

// Fleet pushes images to tags of repos repositories, each with tags tags:
// acme/base-0001:t01 and so on. It returns the references without a host.
func (r *Registry) Fleet(repos, tags int, img Image) []string {
	var refs []string
	for i := range repos {
		repo := fmt.Sprintf("acme/base-%04d", i+1)
		digest := r.Put(repo, img)
		for j := range tags {
			tag := fmt.Sprintf("t%02d", j+1)
			r.Move(repo, tag, digest)
			refs = append(refs, repo+":"+tag)
		}
	}
	return refs
}
