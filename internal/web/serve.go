package web

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits of every connection.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeader         = 64 << 10
	// maxConnections are served at a time by one listener; more wait.
	maxConnections = 256

	// stopTime is how long requests in flight may take after the stop;
	// cancelAfter, when their contexts end, so that they can still say so.
	stopTime    = 5 * time.Second
	cancelAfter = 4 * time.Second
)

// Face is a handler on a listener.
type Face struct {
	Listener net.Listener
	Handler  http.Handler
}

// Serve answers on all faces until ctx ends or one of them breaks, then stops
// all of them within 5 seconds. It closes the listeners and returns when no
// goroutine of its own is left; nil after an ordered stop.
func Serve(ctx context.Context, log *slog.Logger, faces ...Face) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Requests outlive ctx for the time of an ordered stop.
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	ended := make(chan error, len(faces))
	servers := make([]*http.Server, len(faces))
	for i, f := range faces {
		servers[i] = newServer(requests, f.Handler, log)
		go func() {
			err := servers[i].Serve(limit(f.Listener, maxConnections))
			cancel()
			ended <- err
		}()
	}
	<-ctx.Done()
	timer := time.AfterFunc(cancelAfter, cut)
	defer timer.Stop()
	err := stop(servers)
	for range faces {
		if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}

func newServer(requests context.Context, h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return requests },
	}
}

// stop lets requests end, and closes their connections when they do not.
func stop(servers []*http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	done := make(chan error, len(servers))
	for _, s := range servers {
		go func() {
			err := s.Shutdown(ctx)
			if errors.Is(err, context.DeadlineExceeded) {
				err = s.Close()
			}
			done <- err
		}()
	}
	var err error
	for range servers {
		err = errors.Join(err, <-done)
	}
	return err
}
