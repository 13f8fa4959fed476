package registry

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	"basewatch/watcher"
)

// Transport gives go-containerregistry's readers our way to one repository: the
// same client, token, limits and mirrors. It answers their ping (GET /v2/)
// itself, without a challenge, so that they fetch no token of their own, and
// gives an error where a registry would ask them to come again, so that they do
// not. Only reads of the reference's own repository are passed on. A body that
// comes back holds a place among the host's requests in flight until it is
// closed.
func (r *Registries) Transport(ref string) (http.RoundTripper, error) {
	at, err := watcher.ParseReference(ref)
	if err != nil {
		return nil, err
	}
	return &reader{r: r, at: at}, nil
}

type reader struct {
	r  *Registries
	at watcher.Reference
}

func (t *reader) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.TrimSuffix(req.URL.Path, "/") == "/v2" {
		return respond(req, &reply{Response: &http.Response{StatusCode: http.StatusOK, Header: http.Header{}}}), nil
	}
	rest, ours := strings.CutPrefix(req.URL.Path, "/v2/"+t.at.Repository+"/")
	if !ours || req.Method != http.MethodGet && req.Method != http.MethodHead {
		return nil, invalid("%s %.200q is not a read of %s", req.Method, req.URL.Path, t.at.Name())
	}
	got, err := ask(req.Context(), t.r, t.at.String(), func(e endpoint, _ string, last bool) (*reply, error) {
		got, err := e.host.send(req.Context(), call{
			method: req.Method, path: "/v2/" + e.repo + "/" + rest, query: req.URL.RawQuery,
			repo: e.repo, kind: kindOfPath(req.Method, rest), header: passed(req.Header),
		})
		if err == nil && got.StatusCode == http.StatusNotFound && !last {
			err = e.host.problem(watcher.NotFound, got, "not there")
		}
		return got, err
	})
	if err != nil {
		return nil, err
	}
	return respond(req, got), nil
}

// respond makes an answer look as if it had come from where the reader asked.
func respond(req *http.Request, r *reply) *http.Response {
	res := *r.Response
	res.Request = req
	if res.Body == nil || r.body != nil || res.StatusCode/100 != 2 {
		res.Body = io.NopCloser(bytes.NewReader(r.body))
	}
	return &res
}

// passed is what of a reader's header goes on: how it wants the answer.
func passed(h http.Header) http.Header {
	out := http.Header{}
	for _, k := range []string{"Accept", "Range"} {
		if v, ok := h[k]; ok {
			out[k] = v
		}
	}
	return out
}

func kindOfPath(method, rest string) Kind {
	what, _, _ := strings.Cut(rest, "/")
	switch {
	case what == "blobs":
		return Blob
	case what == "tags":
		return Tags
	case method == http.MethodHead:
		return Head
	}
	return Get
}
