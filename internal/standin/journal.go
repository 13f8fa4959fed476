package standin

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// journal is a list that can be waited on.
type journal[T any] struct {
	mu    sync.Mutex
	list  []T
	grown chan struct{} // closed when the list grows
}

// keep is how many entries a journal holds before it forgets the older half.
const keep = 1 << 16

func (j *journal[T]) add(v T) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.list) >= keep {
		j.list = append(j.list[:0], j.list[keep/2:]...)
	}
	j.list = append(j.list, v)
	if j.grown != nil {
		close(j.grown)
		j.grown = nil
	}
}

func (j *journal[T]) all() []T {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]T(nil), j.list...)
}

// edit offers entries to f, newest first, until it takes one to change in
// place, and reports whether it did.
func (j *journal[T]) edit(f func(*T) bool) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := len(j.list) - 1; i >= 0; i-- {
		if f(&j.list[i]) {
			return true
		}
	}
	return false
}

// wait returns the list as soon as it has n entries.
func (j *journal[T]) wait(ctx context.Context, n int) ([]T, error) {
	for {
		j.mu.Lock()
		if len(j.list) >= n {
			defer j.mu.Unlock()
			return append([]T(nil), j.list...), nil
		}
		if j.grown == nil {
			j.grown = make(chan struct{})
		}
		got, grown := len(j.list), j.grown
		j.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return j.all(), fmt.Errorf("waiting for %d entries, have %d: %w", n, got, ctx.Err())
		}
	}
}

// Request is one request as a stand-in saw it, answered by whatever part of it.
type Request struct {
	At     time.Time
	Method string
	Host   string
	Path   string
	Query  string
	// Status is 0 for a request that is still held, was cut off, or was given up.
	Status int
	// Authorized says that it bore an Authorization header.
	Authorized bool

	number uint64
}

// requests notes requests when they come and what became of them.
type requests struct {
	journal journal[Request]
	last    atomic.Uint64
}

// Requests lists the requests that came, refused and held ones too, oldest
// first; at least the last 32,000.
func (q *requests) Requests() []Request { return q.journal.all() }

// WaitRequests returns all requests as soon as n have come, answered or not.
func (q *requests) WaitRequests(ctx context.Context, n int) ([]Request, error) {
	return q.journal.wait(ctx, n)
}

// observe serves a request and notes its status, also when the handler panics
// to cut the connection.
func (q *requests) observe(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
	seen := Request{
		At: time.Now(), Method: r.Method, Host: r.Host, Path: r.URL.Path, Query: r.URL.RawQuery,
		Authorized: r.Header.Get("Authorization") != "", number: q.last.Add(1),
	}
	q.journal.add(seen)
	sw := &statusWriter{ResponseWriter: w}
	defer func() {
		q.journal.edit(func(e *Request) bool {
			if e.number != seen.number {
				return false
			}
			e.Status = sw.status
			return true
		})
	}()
	serve(sw, r)
}

// statusWriter remembers the status that was sent.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(code int) {
	if w.status == 0 {
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets [http.ResponseController] hijack the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
