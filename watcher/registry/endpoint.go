package registry

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"basewatch/watcher"
)

// endpoint is a repository at one host: where its own, or a mirror's copy, is
// asked for.
type endpoint struct {
	host *host
	repo string
}

// manifestAccept names every form of image that we read. A registry that is
// not told all of them may answer 404, or an older form with another digest.
func manifestAccept() http.Header {
	return http.Header{"Accept": {strings.Join([]string{ociIndex, dockerList, ociManifest, dockerManifest}, ", ")}}
}

func (e endpoint) manifest(method, reference string, kind Kind) call {
	return call{
		method: method, path: "/v2/" + e.repo + "/manifests/" + reference, repo: e.repo,
		kind: kind, header: e.host.accept, want: want{limit: maxManifestBytes},
	}
}

func (e endpoint) blob(digest string) call {
	return call{method: http.MethodGet, path: "/v2/" + e.repo + "/blobs/" + digest, repo: e.repo, kind: Blob, want: want{limit: maxConfigBytes}}
}

// ask tries a reference's endpoints in order until one has the answer, leaving
// out mirrors that are down; last tells look that nobody is left to ask. The error is a
// *[watcher.LookError] that begins with the reference.
func ask[T any](ctx context.Context, r *Registries, ref string, look func(e endpoint, tag string, last bool) (T, error)) (T, error) {
	var none T
	name := ref
	if repository, _, ok := watcher.SplitFamily(ref); ok {
		name = repository
	}
	at, err := watcher.ParseReference(name)
	if err != nil {
		return none, &watcher.LookError{Problem: watcher.Invalid, Err: err}
	}
	ends, err := r.route(at.Host, at.Repository)
	if err != nil {
		return none, &watcher.LookError{Problem: watcher.Invalid, Err: fmt.Errorf("%s: %w", ref, err)}
	}
	var failures []error
	for i, e := range ends {
		last := i == len(ends)-1
		err := e.host.down()
		if err == nil || last {
			var found T
			if found, err = look(e, at.Tag, last); err == nil {
				return found, nil
			}
		}
		failures = append(failures, err)
		if ctx.Err() != nil {
			break
		}
		if !last {
			e.host.log.Debug("mirror did not answer, asking the next", "ref", ref, "err", err)
		}
	}
	return none, conclude(ref, failures, ends[len(ends)-1].host.name == at.Host)
}

// conclude makes one error of what all endpoints said. The host itself, if it
// was asked, knows; of mirrors alone, all must agree that a tag is gone.
func conclude(ref string, failures []error, upstream bool) error {
	decisive := failures[len(failures)-1]
	if !upstream {
		for _, err := range failures {
			if watcher.ProblemOf(err) != watcher.NotFound {
				decisive = err
				break
			}
		}
	}
	le := &watcher.LookError{Problem: watcher.ProblemOf(decisive), Err: fmt.Errorf("%s: %w", ref, decisive)}
	var cause *watcher.LookError
	if errors.As(decisive, &cause) {
		le.RetryAt, le.PullsOnly, le.Paced = cause.RetryAt, cause.PullsOnly, cause.Paced
	}
	return le
}

func invalid(format string, args ...any) error {
	return &watcher.LookError{Problem: watcher.Invalid, Err: fmt.Errorf(format, args...)}
}

// isDigest reports a digest that we can check.
func isDigest(s string) bool {
	algorithm, digits, _ := strings.Cut(s, ":")
	want := map[string]int{"sha256": 64, "sha512": 128}[algorithm]
	return want > 0 && len(digits) == want && strings.Trim(digits, "0123456789abcdef") == ""
}

// digestLike gives the digest of body by the algorithm of another digest,
// sha256 if that is none.
func digestLike(other string, body []byte) string {
	if strings.HasPrefix(other, "sha512:") {
		sum := sha512.Sum512(body)
		return "sha512:" + hex.EncodeToString(sum[:])
	}
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// verify refuses a body that is not what was asked for.
func verify(digest string, body []byte, what string) error {
	if got := digestLike(digest, body); got != digest {
		return invalid("quarantined: %s has the digest %s, and the registry calls it %s: it is not taken; "+
			"something between here and the image changes it, or the registry is broken", what, watcher.Digest12(got), watcher.Digest12(digest))
	}
	return nil
}
