package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ErrUnreachable says that no daemon answered. It does not say that a daemon
// refused: that is a *[Problem].
var ErrUnreachable = errors.New("no daemon answers")

// maxAnswer bounds what a client reads of one answer.
const maxAnswer = 64 << 20

// Client asks a daemon. Its methods give the API's own structs, a *[Problem]
// when the daemon refused, or an error that wraps [ErrUnreachable]. Safe for
// concurrent use.
type Client struct {
	base  string
	http  *http.Client
	token string
}

// NewClient makes a client of the daemon at base, such as
// http://127.0.0.1:8080. An empty token sends none; base does not matter with
// [OverSocket] and [InProcess] and may be empty.
func NewClient(base string, httpClient *http.Client, token string) *Client {
	if base == "" {
		base = "http://localhost"
	}
	return &Client{base: strings.TrimSuffix(base, "/"), http: httpClient, token: token}
}

// Status asks how everything is.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	return ask[Status](ctx, c, http.MethodGet, "status", nil, nil)
}

// Targets lists what is watched.
func (c *Client) Targets(ctx context.Context, q TargetsQuery) (*TargetList, error) {
	return ask[TargetList](ctx, c, http.MethodGet, "targets",
		query{"standing": q.Standing, "after": q.After, "limit": number(q.Limit)}, nil)
}

// History tells what became of one image.
func (c *Client) History(ctx context.Context, q HistoryQuery) (*History, error) {
	return ask[History](ctx, c, http.MethodGet, "history",
		query{"ref": q.Ref, "since": moment(q.Since), "limit": number(q.Limit)}, nil)
}

// Deliveries lists what was told, or waits to be.
func (c *Client) Deliveries(ctx context.Context, q DeliveriesQuery) (*DeliveryList, error) {
	return ask[DeliveryList](ctx, c, http.MethodGet, "deliveries", query{"id": q.ID, "receiver": q.Receiver,
		"state": q.State, "since": moment(q.Since), "image": q.Image, "limit": number(q.Limit)}, nil)
}

// Explain says why something stands where it does.
func (c *Client) Explain(ctx context.Context, what string) (*Explanation, error) {
	return ask[Explanation](ctx, c, http.MethodGet, "explain", query{"what": what}, nil)
}

// Check looks at images now; no refs means all. It may take minutes.
func (c *Client) Check(ctx context.Context, refs ...string) (*CheckList, error) {
	return ask[CheckList](ctx, c, http.MethodPost, "check", nil, CheckRequest{Refs: refs})
}

// Retry makes waiting deliveries due now.
func (c *Client) Retry(ctx context.Context, r RetryRequest) (*Retried, error) {
	return ask[Retried](ctx, c, http.MethodPost, "retry", nil, r)
}

// Replay delivers again what was settled.
func (c *Client) Replay(ctx context.Context, r ReplayRequest) (*Replayed, error) {
	return ask[Replayed](ctx, c, http.MethodPost, "replay", nil, r)
}

// Test sends a test event.
func (c *Client) Test(ctx context.Context, r TestRequest) (*Tested, error) {
	return ask[Tested](ctx, c, http.MethodPost, "test", nil, r)
}

// Ready asks whether the daemon can do its work. Not being ready is an answer,
// not an error.
func (c *Client) Ready(ctx context.Context) (*Readiness, error) {
	resp, err := c.send(ctx, http.MethodGet, "/readyz", nil)
	if err != nil {
		return nil, err
	}
	if resp.status != http.StatusServiceUnavailable {
		return decode[Readiness](resp)
	}
	resp.status = http.StatusOK
	return decode[Readiness](resp)
}

type query map[string]string

func (q query) encode() string {
	v := url.Values{}
	for name, value := range q {
		if value != "" {
			v.Set(name, value)
		}
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

func ask[O any](ctx context.Context, c *Client, method, name string, q query, body any) (*O, error) {
	resp, err := c.send(ctx, method, apiPrefix+name+q.encode(), body)
	if err != nil {
		return nil, err
	}
	return decode[O](resp)
}

type response struct {
	status int
	kind   string // media type
	body   []byte
}

func (c *Client) send(ctx context.Context, method, path string, body any) (response, error) {
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return response{}, fmt.Errorf("encode the request: %w", err)
		}
		payload = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, payload)
	if err != nil {
		return response{}, fmt.Errorf("the daemon's address is not usable: %w", err)
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return response{}, unreachable(ctx, c.base, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return response{}, unreachable(ctx, c.base, err)
	case len(raw) > maxAnswer:
		return response{}, fmt.Errorf("the answer is larger than %d MiB", maxAnswer>>20)
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return response{status: resp.StatusCode, kind: kind, body: raw}, nil
}

// unreachable keeps a caller's own cancelling apart from a daemon that does
// not answer.
func unreachable(ctx context.Context, base string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return fmt.Errorf("%w at %s: %w", ErrUnreachable, address(base), err)
}

// address is a URL without userinfo, path and query.
func address(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return "its address"
	}
	return u.Scheme + "://" + u.Host
}

func decode[O any](r response) (*O, error) {
	if r.kind == "application/problem+json" {
		p := &Problem{}
		if err := json.Unmarshal(r.body, p); err != nil {
			return nil, fmt.Errorf("the daemon's error (HTTP %d) cannot be read: %w", r.status, err)
		}
		p.Status = r.status
		return nil, p
	}
	if r.status != http.StatusOK || r.kind != "application/json" {
		return nil, fmt.Errorf("what answers (HTTP %d, %q) is not basewatch; is the address right, or a proxy in between?", r.status, r.kind)
	}
	out := new(O)
	if err := json.Unmarshal(r.body, out); err != nil {
		return nil, fmt.Errorf("the daemon's answer cannot be read; are both of the same version? %w", err)
	}
	return out, nil
}

// OverSocket makes an HTTP client that speaks to whatever listens on a unix
// socket, whatever the URL.
func OverSocket(path string) *http.Client {
	dialer := &net.Dialer{Timeout: time.Second}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "unix", path)
			},
			DisableCompression: true,
			IdleConnTimeout:    time.Second,
		},
	}
}
