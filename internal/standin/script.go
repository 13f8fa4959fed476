package standin

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// maxBody is how much of a request's body a stand-in reads.
const maxBody = 1 << 20

// Answer is what one request gets instead of the usual answer.
type Answer struct {
	Status int               // 0: the usual answer after all (with Hold: only later)
	Header map[string]string // such as Retry-After
	Body   string
	Reset  bool // the connection is cut instead of an answer
	// Taken does first what was asked for, so that the message arrives and only
	// its answer is lost or wrong.
	Taken bool
	// Hold is waited for before anything else; the client's going ends it too.
	Hold <-chan struct{}
	// Match restricts the answer to some requests; nil means any.
	Match func(*http.Request) bool
}

// Script makes a stand-in misbehave. The zero Script does nothing.
type Script struct {
	mu     sync.Mutex
	queue  []Answer
	always *Answer
}

// Next queues answers: each is used for one request, in order, by the first
// request that it matches.
func (s *Script) Next(as ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, as...)
}

// Always gives every request that nothing queued matches the same answer, until
// [Script.Heal] or another Always.
func (s *Script) Always(a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = &a
}

// Heal drops what Next and Always said. Requests already held stay held.
func (s *Script) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue, s.always = nil, nil
}

// Hang holds every request that comes until release is called, which also lets
// later ones pass. Release may be called twice.
func (s *Script) Hang() (release func()) {
	held := make(chan struct{})
	s.Always(Answer{Hold: held})
	return sync.OnceFunc(func() {
		s.Heal()
		close(held)
	})
}

func (s *Script) pick(r *http.Request) (Answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, a := range s.queue {
		if a.Match == nil || a.Match(r) {
			s.queue = slices.Delete(s.queue, i, i+1)
			return a, true
		}
	}
	if s.always != nil && (s.always.Match == nil || s.always.Match(r)) {
		return *s.always, true
	}
	return Answer{}, false
}

// serve answers by the script, else by usual. The body is read first: only then
// does net/http notice that the client went away.
func (s *Script) serve(w http.ResponseWriter, r *http.Request, usual http.HandlerFunc) {
	if !buffer(w, r) {
		return
	}
	a, ok := s.pick(r)
	if !ok {
		usual(w, r)
		return
	}
	if !wait(r.Context(), a.Hold) {
		return
	}
	if a.Taken {
		usual(discard{}, r)
	}
	switch {
	case a.Reset:
		cut(w)
	case a.Status != 0:
		a.write(w)
	case !a.Taken:
		usual(w, r)
	}
}

func (a Answer) write(w http.ResponseWriter) {
	for k, v := range a.Header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(a.Status)
	_, _ = io.WriteString(w, a.Body)
}

func buffer(w http.ResponseWriter, r *http.Request) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return true
}

func wait(ctx context.Context, hold <-chan struct{}) bool {
	if hold == nil {
		return true
	}
	select {
	case <-hold:
		return true
	case <-ctx.Done():
		return false
	}
}

// cut ends the connection without an answer: with a TCP reset where there is
// TCP, by a reset of the stream in HTTP/2.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	raw := conn
	if t, ok := conn.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if t, ok := raw.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = raw.Close()
}

// discard is where the usual answer goes when another one is sent.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

// PathContains matches requests whose path has part: "/manifests/" or "/token"
// of a registry, "chat.update" of Slack.
func PathContains(part string) func(*http.Request) bool {
	return func(r *http.Request) bool { return strings.Contains(r.URL.Path, part) }
}
