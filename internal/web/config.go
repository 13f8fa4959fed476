package web

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// Targets reads what is watched. Safe for concurrent use.
type Targets interface {
	// Records gives the named targets, all when none is named, sorted by
	// reference. Unknown ones are left out.
	Records(ctx context.Context, refs ...string) ([]watcher.Record, error)
	// History gives a target's lines at or after since, newest first.
	History(ctx context.Context, ref string, since time.Time, limit int) ([]watcher.Note, error)
	// Hosts gives the load that targets put on each registry host.
	Hosts(ctx context.Context) ([]watcher.HostLoad, error)
}

// Queue reads deliveries. Safe for concurrent use.
type Queue interface {
	// Deliveries selects rows, newest first, each joined with its event.
	Deliveries(ctx context.Context, q outbox.Query) ([]outbox.Delivery, error)
	// Lanes lists the lanes that have waiting rows or are not well.
	Lanes(ctx context.Context) ([]outbox.LaneWork, error)
	// Counts sums up all deliveries.
	Counts(ctx context.Context) (outbox.Counts, error)
}

// Mover sends deliveries again. What it returned from is durable.
type Mover interface {
	// Replay makes settled rows wait again under their old ID and gives their
	// number. An unknown ID is an error that names it.
	Replay(ctx context.Context, ids []string) (int, error)
	// Retry makes waiting rows due now: all of a receiver or a lane, or those
	// named.
	Retry(ctx context.Context, receiverOrLane string, ids []string) (int, error)
}

// Disk says whether the store takes writes.
type Disk interface {
	Writable(ctx context.Context) error
}

// Checker looks at targets now and records what it sees: one result for each
// ref, in their order. Every ref is a canonical name that is watched. The error
// is ctx's.
type Checker interface {
	Check(ctx context.Context, refs []string) ([]watcher.CheckResult, error)
}

// Router says what each route makes of an event.
type Router interface {
	Explain(e watcher.Event) []outbox.Decision
}

// Tester sends an event of a kind to one lane, through the real queue, and
// gives the event that was committed.
type Tester interface {
	Test(ctx context.Context, lane string, kind watcher.Kind) (watcher.Event, error)
}

// Receiver is a configured receiver, for listings.
type Receiver struct{ Name, Kind string }

// Registry is how basewatch stands with one registry host.
type Registry struct {
	Host string
	// PausedUntil is set while the host asked us to wait; Why says for what.
	PausedUntil time.Time
	Why         string
	// Remaining of Limit pulls within Window are left, as the host says; Limit
	// is 0 when it says nothing.
	Remaining, Limit int
	Window           time.Duration
	// PerMinute is the ceiling of requests in a minute; 0: none.
	PerMinute float64
	InFlight  int
	// WithoutHead: each look costs a GET there. PlainHTTP: it is not encrypted.
	WithoutHead, PlainHTTP bool
	// Troubles are what somebody should know now, in words.
	Troubles []string
	// LastError may have passed.
	LastError   string
	LastErrorAt time.Time
}

// Freshness is how old the last good look at anything may become.
type Freshness struct {
	LastGood time.Time     // zero: none since the start
	Limit    time.Duration // 0: looks are not expected
}

// Config is what a [Server] is made of. Targets, Queue and Logger are needed;
// without one of the other parts the routes that need it answer 503 and say
// why.
type Config struct {
	Name, Version string
	StorePath     string
	StartedAt     time.Time
	// Offline: no daemon runs, the store was opened for one command.
	Offline bool

	// Listen is the TCP listener's address, host:port. On a loopback address
	// only known Host headers are answered.
	Listen string
	// PublicURL is where people reach us; its host and origin are trusted.
	PublicURL string
	// Tokens allow everything over TCP, ReadTokens only to read. They are asked
	// at every request, so that a rotated secret counts at once; one that
	// cannot be read allows nobody.
	Tokens, ReadTokens func() []func() (string, error)

	Targets  Targets
	Queue    Queue
	Mover    Mover
	Disk     Disk
	Copier   Copier
	Checker  Checker
	Router   Router
	Tester   Tester
	Reloader Reloader

	// Canonical makes names canonical, with the user's aliases; nil:
	// [watcher.Canonical].
	Canonical func(string) (string, error)
	Receivers func() []Receiver
	// InForce is the configuration that counts now; nil: not known.
	InForce    func() StatusConfig
	Registries func() []Registry
	Freshness  func() Freshness

	Metrics *Metrics // nil: no /metrics
	Logger  *slog.Logger
}

func (c *Config) complete() error {
	if c.Targets == nil || c.Queue == nil || c.Logger == nil {
		return errors.New("web: Targets, Queue and Logger are needed")
	}
	if c.Canonical == nil {
		c.Canonical = watcher.Canonical
	}
	if c.InForce == nil {
		c.InForce = func() StatusConfig { return StatusConfig{} }
	}
	none := func() []func() (string, error) { return nil }
	if c.Tokens == nil {
		c.Tokens = none
	}
	if c.ReadTokens == nil {
		c.ReadTokens = none
	}
	if c.Receivers == nil {
		c.Receivers = func() []Receiver { return nil }
	}
	if c.Registries == nil {
		c.Registries = func() []Registry { return nil }
	}
	if c.Freshness == nil {
		c.Freshness = func() Freshness { return Freshness{} }
	}
	if c.StartedAt.IsZero() {
		c.StartedAt = time.Now()
	}
	return nil
}

// publicOrigin gives scheme://host of PublicURL and the host alone; both are
// empty when it is not set.
func (c *Config) publicOrigin() (origin, host string, err error) {
	if c.PublicURL == "" {
		return "", "", nil
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", "", errors.New(`http.public_url: not an http or https address; write it like "https://basewatch.example.com"`)
	}
	return u.Scheme + "://" + u.Host, u.Hostname(), nil
}
