package main

import (
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"basewatch/internal/outbound"
	"basewatch/internal/secret"
)

// builder makes a [Config] of settings and says what does not fit together.
type builder struct {
	*checker
	set settings
	cfg *Config
}

func (b *builder) build() {
	b.name()
	b.poll()
	b.store()
	b.http()
	b.cfg.Network = b.network(networkSettings{}, b.set.Network, "network")
	b.aliases()
	b.registries()
	b.targets()
	b.receivers()
	b.routes()
	b.heartbeat()
	if b.err() == nil {
		b.warn()
		b.list()
	}
}

// has reports whether somebody wrote the setting.
func (b *builder) has(p keyPath) bool {
	_, ok := b.places[p]
	return ok
}

func (b *builder) name() {
	name := b.set.Name
	if name == "" {
		name, _ = os.Hostname()
	}
	if name == "" {
		name = "basewatch" // a host without a name
	}
	if len(name) > 100 || strings.ContainsFunc(name, unicode.IsControl) {
		b.add("name", "%s is longer than 100 letters or has control characters; write a short name such as \"prod-eu\"", cutQuote(name))
	}
	b.cfg.Name = name
}

func (b *builder) poll() {
	p := b.set.Poll
	b.atLeastASecond(p.Interval, "poll.interval")
	b.atLeastASecond(p.Settle, "poll.settle")
	if p.SettleMax < p.Settle {
		b.add("poll.settle_max", "%s is less than poll.settle (%s); raise one or lower the other", p.SettleMax, p.Settle)
	}
	b.cfg.Poll = PollConfig{time.Duration(p.Interval), time.Duration(p.Settle), time.Duration(p.SettleMax)}
}

func (b *builder) atLeastASecond(d Duration, p keyPath) {
	if d < Duration(time.Second) {
		b.add(p, "%q is too short; the least is 1s", d)
	}
}

func (b *builder) store() {
	path := b.set.Store.Path
	if path == "" {
		b.add("store.path", "an empty path; name a file, such as \"basewatch.db\"")
		return
	}
	if !filepath.IsAbs(path) {
		// systemd's StateDirectory= may name several, separated by colons.
		dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
		path = filepath.Join(dir, path)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		b.add("store.path", "%q: %v; write an absolute path", path, err)
	}
	set := b.set.Store
	if set.MaxSize != 0 && set.MaxSize < minStore {
		b.add("store.max_size", "%q is too small; the least is %s, and \"0\" is no bound", set.MaxSize, minStore)
	}
	b.cfg.Store = StoreConfig{Path: abs, LockWait: time.Duration(set.LockWait), MaxSize: int64(set.MaxSize), Network: set.Network}
}

func (b *builder) http() {
	h := b.set.HTTP
	b.cfg.HTTP = HTTPConfig{
		Listen:     h.Listen,
		Tokens:     given(h.Token),
		ReadTokens: given(h.ReadToken),
		PublicURL:  strings.TrimSuffix(h.PublicURL, "/"),
		Socket:     b.socket(h.Socket),
	}
	if h.PublicURL != "" {
		b.publicURL(h.PublicURL)
	}
	if h.Listen == "" {
		return
	}
	host, port, err := net.SplitHostPort(h.Listen)
	if _, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil {
		b.add("http.listen", "%s is no address; write HOST:PORT, such as \"127.0.0.1:8080\" or \":8080\"", cutQuote(h.Listen))
		return
	}
	tokens := len(b.cfg.HTTP.Tokens)+len(b.cfg.HTTP.ReadTokens) > 0 || b.follows("http.token") || b.follows("http.read_token")
	if !tokens && !loopback(host) {
		b.add("http.listen", "%q can be reached from other hosts and no token is set; set http.token, or listen on 127.0.0.1", h.Listen)
	}
}

func (b *builder) socket(path string) string {
	if path == "" {
		return b.cfg.Store.Path + ".sock"
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		b.add("http.socket", "%q: %v; write an absolute path", path, err)
	}
	return abs
}

func (b *builder) publicURL(s string) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		b.add("http.public_url", "not a URL that links can begin with; write one such as \"https://basewatch.example.com\"")
	}
}

// loopback reports whether a listening host is reached from this host alone.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// given leaves out what is empty: token = "" is no token.
func given(secrets []secret.Secret) []secret.Secret {
	return slices.DeleteFunc(slices.Clone(secrets), secret.Secret.IsZero)
}

// network makes the way out for one table: its own keys over those of outer.
func (b *builder) network(outer, own networkSettings, p keyPath) outbound.Config {
	if b.has(p.key("ca_file")) {
		outer.CAFile = own.CAFile
	}
	if b.has(p.key("proxy")) {
		outer.Proxy = own.Proxy
	}
	if b.has(p.key("no_proxy")) {
		outer.NoProxy = own.NoProxy
	}
	c := outbound.Config{CAFile: outer.CAFile, Proxy: outer.Proxy, NoProxy: outer.NoProxy}
	if p != "network" && !b.has(p.key("ca_file")) && !b.has(p.key("proxy")) {
		return c // what [network] says was checked there
	}
	// The client is made again where it is used; here only its complaints
	// count. The host does not matter to them.
	if _, err := outbound.NewClient(outbound.Options{Config: c, Host: "localhost"}); err != nil {
		b.addError(p, outbound.Redact(err))
	}
	return c
}

func (b *builder) heartbeat() {
	b.cfg.Heartbeat = HeartbeatConfig{URL: b.set.Heartbeat.URL, Outbound: b.cfg.Network}
	if b.set.Heartbeat.URL.IsZero() || b.follows("heartbeat.url") {
		return
	}
	if _, err := heartbeatURL(b.set.Heartbeat.URL); err != nil {
		b.add("heartbeat.url", "%s", err)
	}
}

func (b *builder) aliases() {
	b.cfg.Aliases = Aliases{}
	for _, from := range slices.Sorted(maps.Keys(b.set.Alias)) {
		p := keyPath("alias").key(from)
		prefix, err := registryPath(from)
		if err != nil {
			b.add(p, "%s", err)
			continue
		}
		meant, err := registryPath(b.set.Alias[from])
		if err != nil {
			b.add(p, "%s", err)
			continue
		}
		if _, ok := b.cfg.Aliases[prefix]; ok {
			b.add(p, "means %s, which has an alias already; keep one of them", prefix)
		}
		b.cfg.Aliases[prefix] = meant
	}
}

// cutQuote quotes what a user wrote, shortened.
func cutQuote(s string) string { return strconv.Quote(cutText(s)) }
