package watcher

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

// DockerHub is the canonical name of Docker Hub's registry. Its other names
// (index.docker.io, registry-1.docker.io, registry.hub.docker.com) mean the
// same registry and are rewritten to it.
const DockerHub = "docker.io"

// Target is one image reference that we watch, and what we want to know of it.
type Target struct {
	// Ref is the canonical name, such as docker.io/library/python:3.13-slim, or
	// a family's, such as docker.io/library/python#3.x-slim.
	Ref string
	// Platforms are the wanted ones, normalized (linux/amd64, linux/arm/v7),
	// sorted, without repeats; never empty.
	Platforms []string
	// Every is how often to look, at least a second.
	Every time.Duration
	// Labels are the user's; routes match them. Values are sorted.
	Labels map[string][]string
	// Keep is how many of a family's newest tags are targets, at most
	// [KeepMax]; 0: the target is an image.
	Keep int
	// Member marks an image that is a target only because a family found it.
	Member bool
}

// Reference is a canonical image reference with a tag.
type Reference struct {
	Host       string // as in image names: docker.io, ghcr.io, localhost:5000
	Repository string // without the host: library/alpine
	Tag        string
}

// String is the canonical form, host/repository:tag.
func (r Reference) String() string { return r.Host + "/" + r.Repository + ":" + r.Tag }

// Name is the reference without its tag.
func (r Reference) Name() string { return r.Host + "/" + r.Repository }

// Short is the form people write: python:3.13-slim, nginx/nginx:1,
// ghcr.io/acme/base:main. A tag is always part of it.
func (r Reference) Short() string {
	n := r.Name()
	n = strings.TrimPrefix(n, DockerHub+"/library/")
	return strings.TrimPrefix(n, DockerHub+"/") + ":" + r.Tag
}

// ParseReference reads an image reference as people write it and makes it
// canonical: alpine is docker.io/library/alpine:latest, and a host's case does
// not count. A reference by digest
// is refused: a digest never moves, so there is nothing to watch.
func ParseReference(s string) (Reference, error) {
	if strings.Contains(s, "@") {
		return Reference{}, fmt.Errorf("image %q: a digest never moves; write the tag to watch", s)
	}
	if strings.Contains(s, "://") { // package name would read https: as a host
		return Reference{}, fmt.Errorf("image %q: this is a URL; write it as in a FROM line, such as ghcr.io/acme/base:main", s)
	}
	tag, err := name.NewTag(s, name.WithDefaultTag("latest"))
	if err != nil {
		return Reference{}, fmt.Errorf("image %q: %w", s, err)
	}
	host, repo := strings.ToLower(tag.RegistryStr()), tag.RepositoryStr()
	if canonicalHost(host) == DockerHub {
		host = DockerHub
		if !strings.Contains(repo, "/") {
			repo = "library/" + repo
		}
	}
	return Reference{Host: host, Repository: repo, Tag: tag.TagStr()}, nil
}

// Canonical is [ParseReference] for callers that want the name alone. It also
// takes the name of a family: python#3.x-slim.
func Canonical(s string) (string, error) {
	if repository, pattern, ok := SplitFamily(s); ok {
		return canonicalFamily(repository, pattern)
	}
	r, err := ParseReference(s)
	if err != nil {
		return "", err
	}
	return r.String(), nil
}

// Short shortens a canonical reference for people; what is not a reference
// (the ref of a host's event, say) comes back as it is.
func Short(ref string) string {
	if repository, pattern, ok := SplitFamily(ref); ok {
		return FamilyRef(strings.TrimSuffix(Short(repository+":x"), ":x"), pattern)
	}
	r, err := ParseReference(ref)
	if err != nil || !strings.Contains(ref, ":") && !strings.Contains(ref, "/") {
		return ref
	}
	return r.Short()
}

func canonicalHost(h string) string {
	switch h {
	case "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", DockerHub, "":
		return DockerHub
	}
	return h
}
