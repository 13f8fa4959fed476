package registry

import (
	"context"
	"net/http"
	"strings"

	"basewatch/watcher"
)

// Digest asks what a tag points to. It costs one HEAD; a GET where the host
// has no HEAD or no digest header, which is remembered. A 404 is confirmed by a
// GET: some registries have said it to HEAD alone.
func (r *Registries) Digest(ctx context.Context, ref string) (string, error) {
	return ask(ctx, r, ref, func(e endpoint, tag string, last bool) (string, error) {
		if e.host.headless.Load() {
			return e.digestByGet(ctx, tag, "GET answered 404, HEAD does not work there")
		}
		return e.digest(ctx, tag, last)
	})
}

func (e endpoint) digest(ctx context.Context, tag string, last bool) (string, error) {
	r, err := e.host.send(ctx, e.manifest(http.MethodHead, tag, Head))
	if err != nil {
		return "", err
	}
	switch r.StatusCode {
	case http.StatusOK:
		if isSchema1(r.Header.Get("Content-Type")) {
			return "", errSchema1()
		}
		if d := headerDigest(r); isDigest(d) {
			return d, nil
		}
		return e.digestWithoutHead(ctx, tag)
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return e.digestWithoutHead(ctx, tag)
	case http.StatusBadRequest, http.StatusForbidden:
		// The words that say why are in a body, which HEAD has not: they may be
		// those of a throttle.
		return e.digestByGet(ctx, tag, "GET answered 404")
	case http.StatusNotFound:
		if last {
			return e.digestByGet(ctx, tag, "HEAD and GET answered 404")
		}
		return "", &watcher.LookError{Problem: watcher.NotFound, Err: errNoSuchTag("HEAD answered 404")}
	}
	return "", e.host.refusal(r)
}

// digestWithoutHead asks by GET and, if that works, asks this host so from now
// on.
func (e endpoint) digestWithoutHead(ctx context.Context, tag string) (string, error) {
	d, err := e.digestByGet(ctx, tag, "GET answered 404, HEAD does not work there")
	if err == nil && e.host.headless.CompareAndSwap(false, true) {
		e.host.log.Info("HEAD does not give digests here, looks are GETs from now on")
	}
	return d, err
}

// digestByGet reads the manifest and takes its hash, which is what a digest is;
// a registry that says another one in its header is not believed at all.
func (e endpoint) digestByGet(ctx context.Context, tag, absent string) (string, error) {
	var digest string
	c := e.manifest(http.MethodGet, tag, Get)
	c.take = func(r *reply) (err error) {
		digest, err = digestOf(r)
		return err
	}
	r, err := e.host.send(ctx, c)
	if err != nil {
		return "", err
	}
	if r.StatusCode == http.StatusNotFound {
		return "", &watcher.LookError{Problem: watcher.NotFound, Err: errNoSuchTag(absent)}
	}
	if r.StatusCode != http.StatusOK {
		return "", e.host.refusal(r)
	}
	return digest, nil
}

// digestOf is the digest of a manifest that was read by its tag.
func digestOf(r *reply) (string, error) {
	said := headerDigest(r)
	switch {
	case said == "":
		said = digestLike("", r.body)
	case !isDigest(said):
		return "", invalid("the digest in the answer's header is none")
	default:
		if err := verify(said, r.body, "the manifest behind the tag"); err != nil {
			return "", err
		}
	}
	_, err := parseDocument(r.body, r.Header.Get("Content-Type"))
	return said, err
}

func headerDigest(r *reply) string {
	if d := r.Header["Docker-Content-Digest"]; len(d) > 0 {
		return strings.TrimSpace(d[0])
	}
	return ""
}

type errNoSuchTag string

func (e errNoSuchTag) Error() string { return "no such tag (" + string(e) + ")" }
