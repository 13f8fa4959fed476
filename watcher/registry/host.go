package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
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
	// limit caps the body, which is then read whole; 0 leaves it open.
	limit int64
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
func (h *host) do(req *http.Request, kind Kind, limit int64) (*reply, error) {
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
	h.noteQuota(res)
	leave := func() { h.gate.leave(began, res.StatusCode < http.StatusInternalServerError) }
	if limit == 0 && req.Method != http.MethodHead && res.StatusCode/100 == 2 {
		res.Body = &openBody{ReadCloser: res.Body, closed: leave}
		return &reply{Response: res}, nil
	}
	r, err := readReply(res, limit)
	if wait, asked := asksToWait(res, r.body); asked {
		h.gate.leave(began, false)
		return nil, h.throttle(r, began, wait)
	}
	leave()
	return r, err
}

// readReply reads the body that the caller wants, or the beginning of the one
// that says what is wrong.
func readReply(res *http.Response, limit int64) (*reply, error) {
	defer outbound.Drain(res.Body)
	r := &reply{Response: res}
	var err error
	switch {
	case res.Request != nil && res.Request.Method == http.MethodHead:
	case res.StatusCode == http.StatusOK:
		r.body, err = outbound.ReadAll(res.Body, limit)
	default:
		// An error's text is a help and no more: what can be read of it will do.
		r.body, _ = io.ReadAll(io.LimitReader(res.Body, maxErrorBytes))
	}
	return r, err
}

// asksToWait reports an answer that means "not now" for the whole host, and
// for how long; 0 when it does not say.
func asksToWait(res *http.Response, body []byte) (time.Duration, bool) {
	wait, said := askedWait(res.Header, body, time.Now())
	switch s := res.StatusCode; {
	case lockedOut(body):
		return 0, false
	case s == http.StatusTooManyRequests:
		return wait, true
	case s < http.StatusBadRequest || s == http.StatusUnauthorized || s == http.StatusNotFound:
		return 0, false
	case bytes.Contains(bytes.ToLower(body), []byte("toomanyrequests")):
		return wait, true // GitHub has sent it under other statuses
	default:
		return wait, said
	}
}

// lockedOut reports Docker Hub's 429 for a wrong password. It is about the
// login, not about us: waiting does not help, and asking again prolongs it, for
// the people with that login too.
func lockedOut(body []byte) bool {
	return bytes.Contains(bytes.ToLower(body), []byte("too many failed login"))
}

func (h *host) throttle(r *reply, began time.Time, wait time.Duration) error {
	t := &throttledError{status: r.StatusCode, text: excerpt(r.body)}
	if h.gate.pause(began, wait, t.Error()) {
		h.log.Warn("the registry asks to wait", "until", h.gate.opensAt(), "answer", t.Error())
	}
	return t
}

func (h *host) noteQuota(res *http.Response) {
	q, ok := readQuota(res.Header, time.Now())
	if !ok {
		return
	}
	h.gate.note(q)
	h.obs.Quota(h.name, q.remaining, q.limit)
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
		renewed = used != nil
	}
	return nil, h.denied(&reply{Response: &http.Response{StatusCode: http.StatusUnauthorized}})
}

func (h *host) once(ctx context.Context, c call) (*reply, []string, error) {
	done, err := h.auth.enter(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	authorization, err := h.auth.header(ctx, c.repo)
	if err != nil {
		return nil, nil, err
	}
	r, err := h.do(h.request(ctx, c, authorization), c.kind, c.limit)
	if err == nil {
		h.auth.learn(r, c.repo, authorization)
	}
	return r, authorization, err
}
