package registry

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"basewatch/internal/outbound"
	"basewatch/watcher"
)

// lookBurst is how many looks at one host may be handed out at once.
const lookBurst = 50

// Options are what a [Registries] is given besides its configuration. All may
// be left out.
type Options struct {
	Logger    *slog.Logger
	Observer  Observer
	UserAgent string // default: basewatch
	// Dial replaces the network, for tests.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Registries looks at any number of registry hosts, each through a client of
// its own that is made at the first look and kept. It is safe for concurrent
// use. It holds no goroutine; Close lets its connections go.
type Registries struct {
	config Config
	opts   Options

	mu    sync.Mutex
	hosts map[string]*host
}

var _ watcher.Registry = (*Registries)(nil)

// New checks the configuration and opens the CA files that it names.
func New(c Config, o Options) (*Registries, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	o.UserAgent = cmp.Or(o.UserAgent, "basewatch")
	r := &Registries{config: c.canonical(), opts: o, hosts: map[string]*host{}}
	if _, err := outbound.NewClient(outbound.Options{Config: c.Network, Host: "registry"}); err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	for name := range r.config.Hosts {
		if _, err := r.host(name); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Close lets go of idle connections. Looks that are under way end by
// themselves, or by their context.
func (r *Registries) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.hosts {
		h.client.CloseIdleConnections()
	}
}

// Hosts tells how each host stands that is configured or was looked at, by name.
func (r *Registries) Hosts() []HostStatus {
	r.mu.Lock()
	hosts := slices.Collect(maps.Values(r.hosts))
	r.mu.Unlock()
	out := make([]HostStatus, 0, len(hosts))
	for _, h := range hosts {
		out = append(out, h.status())
	}
	slices.SortFunc(out, func(a, b HostStatus) int { return cmp.Compare(a.Host, b.Host) })
	return out
}

// Allowance says how many looks at a host may begin now, at most 50: what the
// first of its endpoints (mirrors, then itself) that may be asked now allows.
// When it is 0, again is when the first of them opens.
func (r *Registries) Allowance(host string) (n int, again time.Time) {
	ends, err := r.route(host, "")
	if err != nil {
		return 1, time.Time{} // the look itself will say what is wrong
	}
	for _, e := range ends {
		n, at := e.host.gate.allowance(lookBurst)
		if n > 0 {
			return n, time.Time{}
		}
		if again.IsZero() || at.Before(again) {
			again = at
		}
	}
	return 0, again
}

// host gives the client of a host, by its canonical name.
func (r *Registries) host(name string) (*host, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h, ok := r.hosts[name]; ok {
		return h, nil
	}
	h, err := newHost(name, r.config.of(name), r.opts)
	if err != nil {
		return nil, err
	}
	r.hosts[name] = h
	return h, nil
}

// route lists where a repository of a host is asked for, in order.
func (r *Registries) route(name, repository string) ([]endpoint, error) {
	own, err := r.host(name)
	if err != nil {
		return nil, err
	}
	if len(own.cfg.Mirrors) == 0 {
		return []endpoint{{own, repository}}, nil
	}
	var ends []endpoint
	for _, m := range own.cfg.Mirrors {
		mirror, path, err := splitMirror(m)
		if err != nil {
			return nil, err
		}
		h, err := r.host(mirror)
		if err != nil {
			return nil, err
		}
		if path != "" {
			path += "/"
		}
		ends = append(ends, endpoint{h, path + repository})
	}
	if own.cfg.Upstream {
		ends = append(ends, endpoint{own, repository})
	}
	return ends, nil
}
