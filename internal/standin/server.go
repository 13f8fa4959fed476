package standin

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server serves a handler until it is closed.
type Server struct {
	// URL has no slash at its end: http://127.0.0.1:41234.
	URL string
	// Host is the host and port of URL.
	Host string
	// CA is the private authority that signed the server's certificate, nil
	// without TLS.
	CA *CA

	http    *http.Server
	running tally
}

// Serve serves h on a free loopback port, in plain HTTP. Like
// [net/http/httptest.NewServer] it panics when there is none.
func Serve(h http.Handler) *Server {
	s := newServer(h)
	s.start(listenLoopback(), "http", s.http.Serve)
	return s
}

// ServeTLS is [Serve] over TLS, HTTP/2 included, with a certificate of a new
// private CA for 127.0.0.1 and localhost.
func ServeTLS(h http.Handler) *Server {
	ca, err := NewCA()
	if err != nil {
		panic(err)
	}
	cert, err := ca.Certificate("127.0.0.1", "localhost")
	if err != nil {
		panic(err)
	}
	s := newServer(h)
	s.CA = ca
	s.http.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	s.start(listenLoopback(), "https", func(ln net.Listener) error { return s.http.ServeTLS(ln, "", "") })
	return s
}

// ServeOn serves h on ln in plain HTTP, and closes ln in the end.
func ServeOn(ln net.Listener, h http.Handler) *Server {
	s := newServer(h)
	s.start(ln, "http", s.http.Serve)
	return s
}

// Close ends all connections, open requests too, and waits until every handler
// has returned. It may be called twice.
func (s *Server) Close() {
	_ = s.http.Close()
	s.running.wait()
}

func newServer(h http.Handler) *Server {
	s := &Server{running: tally{idle: sync.NewCond(&sync.Mutex{})}}
	s.http = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.running.add(1)
			defer s.running.add(-1)
			h.ServeHTTP(w, r)
		}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.running.add(1)
			case http.StateClosed, http.StateHijacked:
				s.running.add(-1)
			default:
			}
		},
		ReadHeaderTimeout: time.Minute,
		// Connections that we cut are no news.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	return s
}

func (s *Server) start(ln net.Listener, scheme string, serve func(net.Listener) error) {
	s.Host = ln.Addr().String()
	if m, ok := ln.(*MemListener); ok {
		s.Host = m.host
	}
	s.URL = scheme + "://" + s.Host
	s.running.add(1)
	go func() {
		defer s.running.add(-1)
		_ = serve(ln)
	}()
}

// tally counts the listener, connections and handlers that are alive. A
// sync.WaitGroup would not do: HTTP/2 may start a handler during the wait.
type tally struct {
	idle  *sync.Cond
	alive int
}

func (t *tally) add(n int) {
	t.idle.L.Lock()
	defer t.idle.L.Unlock()
	t.alive += n
	if t.alive == 0 {
		t.idle.Broadcast()
	}
}

func (t *tally) wait() {
	t.idle.L.Lock()
	defer t.idle.L.Unlock()
	for t.alive > 0 {
		t.idle.Wait()
	}
}

func listenLoopback() net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("standin: listen on a loopback port: %v", err))
	}
	return ln
}
