package web

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
)

// InProcess makes an HTTP client that calls h directly: no socket, no
// goroutine. Commands use it when no daemon runs.
func InProcess(h http.Handler) *http.Client { return &http.Client{Transport: inProcess{h}} }

type inProcess struct{ handler http.Handler }

// RoundTrip answers when the handler has; the answer is held in memory.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	defer func() { _ = in.Body.Close() }()
	in.RequestURI, in.Host = r.URL.RequestURI(), r.URL.Host
	w := &recorded{header: http.Header{}}
	t.handler.ServeHTTP(w, in)
	w.WriteHeader(http.StatusOK)
	return &http.Response{
		Status:     strconv.Itoa(w.status) + " " + http.StatusText(w.status),
		StatusCode: w.status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        w.sent,
		Body:          io.NopCloser(&w.body),
		ContentLength: int64(w.body.Len()),
		Request:       r,
	}, nil
}

// recorded keeps an answer.
type recorded struct {
	header, sent http.Header
	status       int
	body         bytes.Buffer
}

func (w *recorded) Header() http.Header { return w.header }

// WriteHeader takes the first status; later ones change nothing, as in
// net/http.
func (w *recorded) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.sent = status, w.header.Clone()
	}
}

func (w *recorded) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}
