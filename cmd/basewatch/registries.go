package main

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"basewatch/internal/web"
	"basewatch/watcher"
	"basewatch/watcher/registry"
)

// swapRegistries is the registries in force: a reload replaces them while looks
// go on with those they began with.
type swapRegistries struct {
	now atomic.Pointer[registry.Registries]
}

func newSwapRegistries(r *registry.Registries) *swapRegistries {
	s := &swapRegistries{}
	s.now.Store(r)
	return s
}

var _ watcher.Registry = (*swapRegistries)(nil)

// Digest implements watcher.Registry.
func (s *swapRegistries) Digest(ctx context.Context, ref string) (string, error) {
	return s.now.Load().Digest(ctx, ref)
}

// Snapshot implements watcher.Registry.
func (s *swapRegistries) Snapshot(ctx context.Context, t watcher.Target, digest string) (watcher.Snapshot, error) {
	return s.now.Load().Snapshot(ctx, t, digest)
}

// Tags implements watcher.Registry.
func (s *swapRegistries) Tags(ctx context.Context, t watcher.Target) ([]string, error) {
	return s.now.Load().Tags(ctx, t)
}

// Allowance implements watcher.Registry.
func (s *swapRegistries) Allowance(host string) (int, time.Time) {
	return s.now.Load().Allowance(host)
}

func (s *swapRegistries) near(ctx context.Context, ref string) ([]string, error) {
	return s.now.Load().Near(ctx, ref)
}

func (s *swapRegistries) swap(r *registry.Registries) { s.now.Swap(r).Close() }

func (s *swapRegistries) close() { s.now.Load().Close() }

// list is how the hosts stand, for the API.
func (s *swapRegistries) list() []web.Registry {
	hosts := s.now.Load().Hosts()
	list := make([]web.Registry, len(hosts))
	for i, h := range hosts {
		list[i] = web.Registry{
			Host: h.Host, PausedUntil: h.PausedUntil, Why: h.Reason,
			PerMinute: float64(h.PerMinute), InFlight: h.InFlight, WithoutHead: h.WithoutHead, PlainHTTP: h.PlainHTTP,
			Troubles: h.Troubles, LastError: h.LastError, LastErrorAt: h.LastErrorAt,
		}
		if h.Limited {
			list[i].Remaining, list[i].Limit, list[i].Window = h.Remaining, h.Limit, h.Window
		}
	}
	return list
}

// hostSettings are the settings of a host, or the defaults.
func hostSettings(cfg *Config, host string) registry.HostConfig {
	if h, ok := cfg.Registries.Hosts[host]; ok {
		return h
	}
	return registry.DefaultHost()
}

// registryObserver counts requests to registries in the metrics.
type registryObserver struct{ metrics *web.Metrics }

var _ registry.Observer = registryObserver{}

// Request implements registry.Observer.
func (o registryObserver) Request(host string, kind registry.Kind, status int) {
	o.metrics.Requested(host, string(kind), status)
}

// Quota implements registry.Observer. The metrics read it from the registries
// themselves.
func (registryObserver) Quota(string, int, int) {}

// hostPart is the registry host of a canonical reference.
func hostPart(ref string) string {
	host, _, _ := strings.Cut(ref, "/")
	return host
}
