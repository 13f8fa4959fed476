package standin

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"maps"
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
	// its answer is late, lost or wrong.
	Taken bool
	// Hold is waited for before the answer, and before the rest unless Taken.
	// The client's going ends it too.
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
	var early response
	if a.Taken {
		usual(&early, r)
	}
	if !wait(r.Context(), a.Hold) {
		return
	}
	switch {
	case a.Reset:
		cut(w)
	case a.Status != 0:
		a.write(w)
	case a.Taken:
		early.write(w)
	default:
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

// response is the usual answer, kept until it may be sent, if ever.
type response struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *response) Header() http.Header {
	if r.header == nil {
		r.header = http.Header{}
	}
	return r.header
}

func (r *response) Write(p []byte) (int, error) { return r.body.Write(p) }

func (r *response) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *response) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), r.header)
	if r.status != 0 {
		w.WriteHeader(r.status)
	}
	_, _ = w.Write(r.body.Bytes())
}

// PathContains matches requests whose path has part: "/manifests/" or "/token"
// of a registry, "chat.update" of Slack.
func PathContains(part string) func(*http.Request) bool {
	return func(r *http.Request) bool { return strings.Contains(r.URL.Path, part) }
}
