package registry

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"basewatch/internal/outbound"
	"basewatch/watcher"
)

// Config is how registries are reached.
type Config struct {
	// Network holds for every host that does not set its own.
	Network outbound.Config
	// Hosts are the hosts that differ from [DefaultHost], by their name in
	// image references (docker.io, localhost:5000). Docker Hub's other names
	// mean docker.io.
	Hosts map[string]HostConfig
}

// HostConfig is how one registry host is reached. Begin with [DefaultHost]: the
// zero value never asks the host at all.
type HostConfig struct {
	// Username and Password go to this host, and to a token server under its
	// domain. Password is called for each use, so a rotated one is taken; nil
	// means none.
	Username string
	Password func() (string, error)
	// Helper is the docker credential helper for this host alone, without the
	// docker-credential- before its name: ecr-login, gcloud.
	Helper string
	// PlainHTTP speaks http to the host. Nothing is encrypted then.
	PlainHTTP bool
	// Config overrides Network, setting by setting.
	outbound.Config
	// Mirrors are asked in this order before the host, as host or host/path.
	// Each is reached by its own entry in Hosts.
	Mirrors []string
	// Upstream asks the host itself when no mirror has the answer.
	Upstream bool
	// InFlight requests at most at one time, 1 to 100.
	InFlight int
	// PerMinute requests at most in any 60 seconds, tokens included; 0: no
	// ceiling.
	PerMinute int
}

// DefaultHost is how a host without an entry is reached.
func DefaultHost() HostConfig {
	return HostConfig{Upstream: true, InFlight: 10, PerMinute: 120}
}

const (
	maxInFlight  = 100
	maxPerMinute = 60_000
	maxMirrors   = 8
)

// Validate reports every setting that cannot be used, by its path in the
// configuration file. It opens no file; [New] does.
func (c Config) Validate() error {
	var errs []error
	seen := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(c.Hosts)) {
		host, err := canonicalHost(key)
		if err == nil && seen[host] != "" {
			err = fmt.Errorf("means the same registry as registry.%q; keep one of them", seen[host])
		}
		seen[host] = key
		for _, err := range append([]error{err}, c.Hosts[key].problems()...) {
			if err != nil {
				errs = append(errs, fmt.Errorf("registry.%q%w", key, prefixed(err)))
			}
		}
	}
	return errors.Join(errs...)
}

// prefixed puts the separator between a host's key and what is said of it: a
// dot before a setting's name, a colon before a sentence.
func prefixed(err error) error {
	var s *settingError
	if errors.As(err, &s) {
		return fmt.Errorf(".%w", err)
	}
	return fmt.Errorf(": %w", err)
}

type settingError struct{ key, text string }

func (e *settingError) Error() string { return e.key + ": " + e.text }

func (h HostConfig) problems() []error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, &settingError{key, fmt.Sprintf(format, args...)})
	}
	if (h.Username == "") != (h.Password == nil) {
		bad("username", "username and password belong together; one of them is missing")
	}
	if h.Helper != "" && h.Username != "" {
		bad("helper", "give either a helper or username and password")
	}
	if strings.ContainsAny(h.Helper, `/\ `) {
		bad("helper", "%q is not a helper's name; write ecr-login for the program docker-credential-ecr-login", h.Helper)
	}
	if h.InFlight < 1 || h.InFlight > maxInFlight {
		bad("in_flight", "%d is not between 1 and %d", h.InFlight, maxInFlight)
	}
	if h.PerMinute < 0 || h.PerMinute > maxPerMinute {
		bad("per_minute", "%d is not between 0 (no ceiling) and %d", h.PerMinute, maxPerMinute)
	}
	if !h.Upstream && len(h.Mirrors) == 0 {
		bad("upstream", "false leaves nobody to ask: name a mirror")
	}
	if len(h.Mirrors) > maxMirrors {
		bad("mirror", "%d mirrors are too many; at most %d", len(h.Mirrors), maxMirrors)
	}
	for _, m := range h.Mirrors {
		if _, _, err := splitMirror(m); err != nil {
			bad("mirror", "%v", err)
		}
	}
	return errs
}

// splitMirror reads host or host/path.
func splitMirror(s string) (host, path string, err error) {
	if strings.Contains(s, "://") {
		return "", "", fmt.Errorf("%q: write the host without a scheme; for plain http set plain_http = true under [registry] of that host", s)
	}
	host, path, _ = strings.Cut(strings.TrimSuffix(s, "/"), "/")
	if host, err = canonicalHost(host); err != nil {
		return "", "", fmt.Errorf("%q %w", s, err)
	}
	if path != "" {
		if _, err := watcher.ParseReference(host + "/" + path + "/x:x"); err != nil {
			return "", "", fmt.Errorf("%q: %q cannot stand before a repository's name", s, path)
		}
	}
	return host, path, nil
}

// canonicalHost checks that s is a registry's host as image names have it.
func canonicalHost(s string) (string, error) {
	r, err := watcher.ParseReference(s + "/x/x:x")
	if err != nil || r.Repository != "x/x" {
		return "", errors.New("is not a registry's host as it stands in image names; " +
			"it needs a dot or a port, such as registry.example.com or registry:5000")
	}
	return r.Host, nil
}

// of gives the settings of a host, the network's filled in.
func (c Config) of(host string) HostConfig {
	h, ok := c.Hosts[host]
	if !ok {
		h = DefaultHost()
	}
	if h.CAFile == "" {
		h.CAFile = c.Network.CAFile
	}
	if h.Proxy == "" {
		h.Proxy = c.Network.Proxy
		h.NoProxy = append(slices.Clone(c.Network.NoProxy), h.NoProxy...)
	}
	return h
}

// canonical gives the configuration with each host under its one name.
func (c Config) canonical() Config {
	hosts := make(map[string]HostConfig, len(c.Hosts))
	for key, h := range c.Hosts {
		host, err := canonicalHost(key)
		if err != nil {
			host = key // refused by Validate
		}
		hosts[host] = h
	}
	c.Hosts = hosts
	return c
}
