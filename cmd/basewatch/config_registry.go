package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"basewatch/watcher/registry"
)

func (b *builder) registries() {
	b.cfg.Registries = registry.Config{Network: b.cfg.Network, Hosts: map[string]registry.HostConfig{}}
	written := map[string]keyPath{}
	for _, name := range slices.Sorted(maps.Keys(b.set.Registry)) {
		p := keyPath("registry").key(name)
		host, err := registryHost(name)
		if err != nil {
			b.add(p, "%s", err)
			continue
		}
		if other, ok := written[host]; ok {
			b.add(p, "means %s, as %s at %s does; keep one of the two", host, other, b.places.find(other))
			continue
		}
		written[host] = p
		h := b.registry(b.set.Registry[name], p)
		b.cfg.Registries.Hosts[host] = h
		b.registryErrors(registry.Config{Hosts: map[string]registry.HostConfig{host: h}}.Validate(), host, p)
	}
}

func (b *builder) registry(r registrySettings, p keyPath) registry.HostConfig {
	h := registry.HostConfig{
		Username:  r.Username,
		Helper:    r.Helper,
		PlainHTTP: r.PlainHTTP,
		Config:    b.network(b.set.Network, r.networkSettings, p),
		Mirrors:   r.Mirror,
		Upstream:  r.Upstream,
		InFlight:  r.InFlight,
		PerMinute: r.PerMinute,
	}
	if !r.Password.IsZero() {
		h.Password = r.Password.Value
	}
	return h
}

// registryErrors takes what package registry says of one host, which it calls
// registry."HOST", to the table that the user wrote.
func (b *builder) registryErrors(err error, host string, p keyPath) {
	if err == nil {
		return
	}
	if b.follows(p) {
		return // with a key refused, what the others say means little
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		key, rest, ok := strings.Cut(strings.TrimPrefix(line, fmt.Sprintf("registry.%q", host)), ": ")
		if !ok {
			key, rest = "", line
		}
		b.add(p+keyPath(key), "%s", rest)
	}
}

// ceiling is how many requests a minute a host may be asked; 0 means any.
func (b *builder) ceiling(host string) int {
	if h, ok := b.cfg.Registries.Hosts[host]; ok {
		return h.PerMinute
	}
	return registry.DefaultHost().PerMinute
}
