package outboxtest

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"

	"basewatch/internal/outbox"
	"basewatch/internal/standin"
)

// canary has a length that is a multiple of three, so that its base64 form is
// found in the base64 form of what begins with it.
const canary = "canary7Zq2wK9x4"

// world is a receiver with the service that it talks to.
type world struct {
	c        Case
	receiver outbox.Receiver
	service  *service
	client   *http.Client
	server   *http.Server
}

func newWorld(t *testing.T, c Case) *world {
	t.Helper()
	l := standin.NewMemListener("service.example.com:80")
	s := &service{body: c.Body, status: http.StatusOK}
	if s.body == "" {
		s.body = "ok"
	}
	w := &world{c: c, service: s}
	w.client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if err := s.refusal(); err != nil {
			return nil, err
		}
		return l.DialContext(ctx, network, address)
	}}}
	w.server = &http.Server{Handler: s, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = w.server.Serve(l) }()
	w.receiver = c.New(t, Env{URL: "http://service.example.com", Client: w.client, Canary: canary})
	return w
}

func (w *world) close() {
	_ = w.server.Close()
	w.client.CloseIdleConnections()
}

// request is what the service was sent.
type request struct {
	path   string
	header http.Header
	body   string
}

// service answers as it is told, and remembers what it was asked.
type service struct {
	mu       sync.Mutex
	status   int
	header   http.Header
	body     string
	answer   http.HandlerFunc // instead of status, header and body
	refuse   error            // no connection at all
	requests []request
}

func (s *service) set(change func(*service)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *service) refusal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refuse
}

func (s *service) seen() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]request(nil), s.requests...)
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Read whole first: only then does the server see that the client left.
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.mu.Lock()
	s.requests = append(s.requests, request{r.URL.RequestURI(), r.Header.Clone(), string(body)})
	status, header, text, answer := s.status, s.header, s.body, s.answer
	s.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // refused for 204 and 304, which have none
}
