package main

import (
	"reflect"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/secret"
	"basewatch/watcher/registry"
)

// settings is the whole configuration as people write it: its fields are the
// keys, their types what may stand there. What a package owns the settings of
// is a type of that package. Receivers are decoded by kind, see
// [newSettings].
type settings struct {
	Include  []string                    `koanf:"include"`
	Name     string                      `koanf:"name"`
	Poll     pollSettings                `koanf:"poll"`
	Store    storeSettings               `koanf:"store"`
	HTTP     httpSettings                `koanf:"http"`
	Network  networkSettings             `koanf:"network"`
	Registry map[string]registrySettings `koanf:"registry"`
	Alias    map[string]string           `koanf:"alias"`
	Watch    []watchSettings             `koanf:"watch"`
	Notify   map[string]rawReceiver      `koanf:"notify"`
	Route    []outbox.RouteConfig        `koanf:"route"`

	Heartbeat heartbeatSettings `koanf:"heartbeat"`
}

type pollSettings struct {
	Interval  Duration `koanf:"interval"`
	Settle    Duration `koanf:"settle"`
	SettleMax Duration `koanf:"settle_max"`
}

type storeSettings struct {
	Path     string   `koanf:"path"`
	LockWait Duration `koanf:"lock_wait"`
	MaxSize  Size     `koanf:"max_size"`
	Network  bool     `koanf:"network"`
}

type httpSettings struct {
	Listen    string          `koanf:"listen"`
	Token     []secret.Secret `koanf:"token"`
	ReadToken []secret.Secret `koanf:"read_token"`
	PublicURL string          `koanf:"public_url"`
	Socket    string          `koanf:"socket"`
}

// networkSettings stand under [network], and again in each registry and
// receiver, where they replace the former key by key.
type networkSettings struct {
	CAFile  string   `koanf:"ca_file"`
	Proxy   string   `koanf:"proxy"`
	NoProxy []string `koanf:"no_proxy"`
}

type heartbeatSettings struct {
	URL secret.Secret `koanf:"url"`
}

type registrySettings struct {
	Username        string        `koanf:"username"`
	Password        secret.Secret `koanf:"password"`
	Helper          string        `koanf:"helper"`
	PlainHTTP       bool          `koanf:"plain_http"`
	Mirror          oneOrMore     `koanf:"mirror"`
	Upstream        bool          `koanf:"upstream"`
	InFlight        int           `koanf:"in_flight"`
	PerMinute       int           `koanf:"per_minute"`
	networkSettings `koanf:",squash"`
}

type watchSettings struct {
	Images    []string             `koanf:"images"`
	Tags      string               `koanf:"tags"`
	Keep      int                  `koanf:"keep"`
	Platforms []string             `koanf:"platforms"`
	Interval  Duration             `koanf:"interval"`
	Labels    map[string]oneOrMore `koanf:"labels"`
}

// oneOrMore is a list of strings that may also be written as one string.
type oneOrMore []string

// rawReceiver is a [notify.NAME] before its kind is known.
type rawReceiver map[string]any

// defaultSettings is what holds where nothing is written.
func defaultSettings() settings {
	return settings{
		Poll: pollSettings{
			Interval:  Duration(15 * time.Minute),
			Settle:    Duration(30 * time.Minute),
			SettleMax: Duration(24 * time.Hour),
		},
		Store: storeSettings{Path: "basewatch.db"},
		HTTP:  httpSettings{Listen: "127.0.0.1:8080"},
	}
}

// setDefaults implements [defaulter].
func (w *watchSettings) setDefaults() { *w = watchSettings{Keep: defaultKeep} }

// setDefaults implements [defaulter].
func (r *registrySettings) setDefaults() {
	d := registry.DefaultHost()
	*r = registrySettings{Upstream: d.Upstream, InFlight: d.InFlight, PerMinute: d.PerMinute}
}

// defaulter is a table that may stand more than once, so that its defaults
// cannot be in [defaultSettings].
type defaulter interface{ setDefaults() }

// setDefaults is a decode hook that fills such a table before it is decoded
// over.
func setDefaults(from, to reflect.Value) (any, error) {
	if to.CanAddr() {
		if d, ok := to.Addr().Interface().(defaulter); ok {
			d.setDefaults()
		}
	}
	return from.Interface(), nil
}
