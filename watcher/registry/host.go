package registry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"basewatch/internal/outbound"
	"basewatch/watcher"
)

const (
	maxRedirects   = 5
	requestTimeout = 30 * time.Second
	maxErrorBytes  = 8 << 10
)

// host is the one client of one registry host: everything that is sent to it,
// and to its token server, goes through here.
type host struct {
	name   string // as in image references
	base   url.URL
	cfg    HostConfig
	client *http.Client
	gate   *gate
	auth   *auth
	agent  []string
	accept http.Header
	log    *slog.Logger
	obs    Observer
	large  chan struct{} // holds who reads a large body
	// buffers are for large bodies.
	buffers sync.Pool
	// headless: HEAD or its digest header is missing here, looks are GETs.
	headless atomic.Bool
	// failing counts requests in a row that failed; see [host.tries].
	failing     atomic.Int32
	lastFailure atomic.Pointer[failure]
}

type failure struct {
	at   time.Time
	text string
}

func newHost(name string, cfg HostConfig, o Options) (*host, error) {
	addr := name
	if name == watcher.DockerHub {
		addr = "registry-1.docker.io"
	}
	client, err := outbound.NewClient(outbound.Options{
		Config: cfg.Config, Host: addr, Redirects: maxRedirects,
		Timeout: requestTimeout, Connections: cfg.InFlight, Dial: o.Dial,
	})
	if err != nil {
		return nil, fmt.Errorf("registry.%q: %w", name, err)
	}
	h := &host{
		name: name, cfg: cfg, client: client,
		base:  url.URL{Scheme: "https", Host: addr},
		gate:  newGate(name, cfg.InFlight, cfg.PerMinute),
		large: make(chan struct{}, 1),
		agent: []string{o.UserAgent}, accept: manifestAccept(),
		log: o.Logger.With("registry", name),
		obs: o.Observer,
	}
	if cfg.PlainHTTP {
		h.base.Scheme = "http"
	}
	h.auth = newAuth(h, o)
	return h, nil
}

// call is one request to a registry, which may have to be sent several times.
type call struct {
	method string
	path   string // below the host, escaped by nothing: names need no escape
	query  string
	repo   string // what the token must be good for
	kind   Kind
	header http.Header // besides authorization and agent; not changed
	want
}

// want is what is wanted of an answer's body.
type want struct {
	// limit caps the body, which is then read whole; 0 leaves it open.
	limit int64
	// take reads the body of a 200, which is then dropped; nil keeps it. Large
	// bodies are read and taken one at a time, so that ten of them at once cost
	// little more memory than one.
	take func(*reply) error
}

func (h *host) request(ctx context.Context, c call, authorization []string) *http.Request {
	u := h.base
	u.Path, u.RawQuery = c.path, c.query
	header := make(http.Header, len(c.header)+2)
	for k, v := range c.header {
		header[k] = v
	}
	header["User-Agent"] = h.agent
	if authorization != nil {
		header["Authorization"] = authorization
	}
	req := &http.Request{Method: c.method, URL: &u, Host: u.Host, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	return req.WithContext(ctx)
}

// reply is an answer whose body was read, if it was to be read at all.
type reply struct {
	*http.Response
	body []byte // whole, or the first bytes of an error's; nil if left open
}

// do sends one request when the gate lets it. An answer that asks us to wait
// pauses the host and is a *throttledError.
func (h *host) do(req *http.Request, kind Kind, w want) (*reply, error) {
	if err := h.gate.enter(req.Context(), kind); err != nil {
		return nil, err
	}
	began := time.Now()
	res, err := h.client.Do(req)
	if err != nil {
		h.gate.leave(began, false)
		h.obs.Request(h.name, kind, 0)
		return nil, outbound.Redact(err)
	}
	h.obs.Request(h.name, kind, res.StatusCode)
	h.noteQuota(res, began)
	leave := func() { h.gate.leave(began, res.StatusCode < http.StatusInternalServerError) }
	if w.limit == 0 && req.Method != http.MethodHead && res.StatusCode/100 == 2 {
		res.Body = &openBody{ReadCloser: res.Body, closed: leave}
		return &reply{Response: res}, nil
	}
	r, err := h.readReply(req, res, w)
	wait, asked := asksToWait(res, r.body)
	switch {
	case asked && outOfPulls(kind, r):
		leave()
		return nil, h.closePulls(r, began, wait)
	case asked:
		h.gate.leave(began, false)
		return nil, h.throttle(r, began, wait)
	case kind == Get && res.StatusCode < http.StatusBadRequest:
		h.gate.pulled()
	}
	leave()
	return r, err
}

// openBody frees its place at the gate when it is closed.
type openBody struct {
	io.ReadCloser
	closed func()
	once   atomic.Bool
}

func (b *openBody) Close() error {
	err := b.ReadCloser.Close()
	if b.once.CompareAndSwap(false, true) {
		b.closed()
	}
	return err
}

// send asks until there is an answer: any status but 401, 429 and 5xx. A 401
// costs the token and is asked once more with a new one. The very first 401 is
// how a host tells its challenge and costs nothing.
func (h *host) send(ctx context.Context, c call) (*reply, error) {
	renewed := false
	for range 3 {
		var used []string
		r, err := h.persist(ctx, func() (r *reply, err error) {
			r, used, err = h.once(ctx, c)
			return r, err
		})
		if err != nil || r.StatusCode != http.StatusUnauthorized {
			return r, err
		}
		if renewed || !h.auth.wanted() {
			return nil, h.denied(r)
		}
		if renewed = used != nil; renewed {
			continue
		}
		have, err := h.auth.header(ctx, c.repo)
		if err != nil {
			return nil, h.unauthorized(err)
		}
		if have == nil {
			return nil, h.denied(r) // it wants a login and there is none
		}
	}
	return nil, h.denied(&reply{Response: &http.Response{StatusCode: http.StatusUnauthorized}})
}

// unauthorized is the end of a request that could not be authorized. Where the
// host sends us for a token may have changed, so the next request asks it anew.
func (h *host) unauthorized(err error) error {
	if p := watcher.ProblemOf(err); p != watcher.Throttled {
		h.auth.forget()
	}
	return err
}

func (h *host) once(ctx context.Context, c call) (*reply, []string, error) {
	done, err := h.auth.enter(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	authorization, err := h.auth.header(ctx, c.repo)
	if err != nil {
		return nil, nil, h.unauthorized(err)
	}
	r, err := h.do(h.request(ctx, c, authorization), c.kind, c.want)
	if err == nil {
		h.auth.learn(r, c.repo, authorization)
	}
	return r, authorization, err
}
