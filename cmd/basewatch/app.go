package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/store/bolt"
	"basewatch/internal/web"
	"basewatch/watcher"
	"basewatch/watcher/registry"
)

// source is the name under which the configuration's targets stand in the
// store.
const source = "config"

// stopTime is how long a stop may take as a whole.
const stopTime = 9 * time.Second

// surroundings are what the daemon is put into.
type surroundings struct {
	load loadOptions // where the configuration is read again
	log  *slog.Logger
	out  io.Writer // for what people read: the start, log receivers
	// dial replaces the network, for tests; nil: the real one.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// app is the daemon put together. What it is made of lives as long as it; what
// a reload replaces is behind atomic pointers.
type app struct {
	surroundings

	cfg        atomic.Pointer[Config]
	router     atomic.Pointer[outbox.Router]
	registries *swapRegistries

	store      *bolt.Store
	loop       *watcher.Loop
	dispatcher *outbox.Dispatcher
	metrics    *web.Metrics
	faces      []web.Face
	started    time.Time
	story      *story
	boot       *Config // what it was started with

	mu      sync.Mutex // guards refused; held over a whole reload
	refused *web.Refusal
	closers []func() error
}

// newApp builds the daemon. When a part fails, what was built is taken down
// again. The order is the order of dependence: what comes later uses what came
// before.
func newApp(ctx context.Context, cfg *Config, s surroundings) (a *app, err error) {
	a = &app{surroundings: s, started: time.Now(), boot: cfg, metrics: web.NewMetrics(version)}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
			a = nil
		}
	}()
	a.cfg.Store(cfg)
	router, err := newRouter(cfg)
	if err != nil {
		return a, usageError(err)
	}
	a.router.Store(router)
	receivers, err := a.buildReceivers(cfg)
	if err != nil {
		return a, usageError(err)
	}
	regs, err := a.newRegistries(cfg)
	if err != nil {
		return a, usageError(err)
	}
	a.registries = newSwapRegistries(regs)
	a.onStop(func() error { a.registries.close(); return nil })
	o := storeOptions(cfg, a.log)
	o.LockWait = cfg.Store.LockWait
	o.Plan = func(e watcher.Event) []outbox.Delivery { return a.router.Load().Plan(e) }
	o.OnWork, o.OnTargets = func() { a.dispatcher.Wake() }, func() { a.loop.Wake() }
	if a.store, err = bolt.Open(ctx, o); err != nil {
		return a, err
	}
	a.onStop(a.store.Close)
	a.story = newStory(a.out, a.store, a.registries.near)
	a.loop = a.newLoop()
	a.dispatcher = outbox.NewDispatcher(outbox.DispatcherConfig{
		Store: a.store.Outbox(), Receivers: receivers, Observer: a.metrics, Logger: a.log,
	})
	return a, a.store.Watch(ctx, source, cfg.Targets)
}

func (a *app) onStop(f func() error) { a.closers = append(a.closers, f) }

// close takes everything down, last built first. Calling it again does nothing.
func (a *app) close() error {
	var errs []error
	for _, f := range slices.Backward(a.closers) {
		errs = append(errs, f())
	}
	a.closers = nil
	return errors.Join(errs...)
}

func (a *app) newLoop() *watcher.Loop {
	cfg := a.cfg.Load()
	return watcher.NewLoop(watcher.LoopConfig{
		Store: a.store, Hosts: a.store, Passes: a, Registry: a.registries, Census: a.store,
		Policy:   watcher.SettlePolicy{Settle: cfg.Poll.Settle, SettleMax: cfg.Poll.SettleMax},
		InFlight: func(host string) int { return hostSettings(a.cfg.Load(), host).InFlight },
		Ceiling:  func(host string) float64 { return float64(hostSettings(a.cfg.Load(), host).PerMinute) },
		Observer: a.metrics, OnEvent: a.happened, Logger: a.log,
	})
}

// happened is told of each event of a look once it is durable.
func (a *app) happened(e watcher.Event) {
	a.metrics.Happened(e)
	if e.Kind == watcher.Baseline {
		a.story.baseline(e)
		return
	}
	a.log.Info("event", "kind", e.Kind, "ref", e.Ref, "key", e.Key, "reason", e.Reason)
}

// EndPass implements watcher.Passes.
func (a *app) EndPass(ctx context.Context, host string, drained bool) error {
	a.story.passed(ctx, a.cfg.Load())
	return a.store.EndPass(ctx, host, drained)
}

// listen opens the socket beside the store and the TCP listener, and puts the
// API on both.
func (a *app) listen(ctx context.Context, cfg *Config) error {
	server, err := web.New(a.webConfig(cfg))
	if err != nil {
		return usageError(err)
	}
	socket, err := web.ListenSocket(cfg.HTTP.Socket)
	if err != nil {
		return err
	}
	a.onStop(func() error { return closeListener(socket) })
	a.faces = append(a.faces, web.Face{Listener: socket, Handler: server.SocketHandler()})
	if cfg.HTTP.Listen == "" {
		return nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.HTTP.Listen)
	if err != nil {
		return fmt.Errorf("http.listen: %w; set another listen under [http], or \"\" to serve the socket alone", err)
	}
	a.onStop(func() error { return closeListener(l) })
	a.faces = append(a.faces, web.Face{Listener: l, Handler: server.Handler()})
	return nil
}

func closeListener(l net.Listener) error {
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// address is where TCP is served, or empty.
func (a *app) address() string {
	if len(a.faces) < 2 {
		return ""
	}
	return a.faces[1].Listener.Addr().String()
}

// run serves until ctx ends, or a part breaks; then it stops all of them, and
// returns within 10 seconds.
func (a *app) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	parts := []func(context.Context) error{a.loop.Run, a.dispatcher.Run, a.newHeartbeat().run}
	if len(a.faces) > 0 {
		parts = append(parts, func(ctx context.Context) error { return web.Serve(ctx, a.log, a.faces...) })
	}
	ended := make(chan error, len(parts))
	for _, part := range parts {
		go func() {
			err := part(ctx)
			cancel()
			ended <- err
		}()
	}
	<-ctx.Done()
	return await(ended, len(parts))
}

// await collects what the parts end with, and stops waiting for one that does
// not end.
func await(ended <-chan error, n int) error {
	var errs []error
	late := time.NewTimer(stopTime)
	defer late.Stop()
	for range n {
		select {
		case err := <-ended:
			errs = append(errs, err)
		case <-late.C:
			return errors.Join(append(errs, fmt.Errorf("stop: a part did not end within %s; left as it is, nothing is lost", stopTime))...)
		}
	}
	return errors.Join(errs...)
}

func (a *app) newRegistries(cfg *Config) (*registry.Registries, error) {
	return registry.New(cfg.Registries, registry.Options{
		Logger: a.log, Observer: registryObserver{a.metrics}, UserAgent: "basewatch/" + version, Dial: a.dial,
	})
}
