package watcher

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

const (
	// A claim is held at most so long. What is not looked at well before its
	// end is handed back instead.
	claimTTL = 5 * time.Minute
	// A look is given up after so long, its tries and waits included: one that
	// waits for the next minute of a low ceiling must not be.
	lookTimeout = 2 * time.Minute
	// The list of hosts is read again at least this often.
	rescan = time.Minute
	// What stops reports what it holds within this time.
	stopTimeout = 5 * time.Second
	// Looks in flight at one host, unless the configuration says otherwise.
	defaultInFlight = 10
)

// Observer is told of every look: of which host, how it went ([Unchanged],
// [Moved], or a [Problem]), and how long it took. It is called concurrently and
// must not block.
type Observer interface {
	Looked(host, outcome string, took time.Duration)
}

// Outcomes of a look that did not fail.
const (
	Unchanged = "unchanged"
	Moved     = "moved" // the index did; whether that is a change, Settle says
)

// LoopConfig is what a [Loop] works with. Store, Hosts and Registry are
// required; what is nil of the rest does nothing.
type LoopConfig struct {
	Store    Store
	Hosts    Hosts
	Passes   Passes
	Registry Registry
	// Census finds tags that are no longer rebuilt.
	Census Census
	// Policy gives Settle and SettleMax; the rest of it is the loop's own.
	Policy SettlePolicy
	// InFlight is how many looks at a host may run at once, Ceiling how many
	// requests it allows per minute; 0 is the default of 10, and none.
	InFlight func(host string) int
	Ceiling  func(host string) float64
	Observer Observer
	// OnEvent is called for each event once it is durable, one at a time per
	// host. It must not block.
	OnEvent func(Event)
	Logger  *slog.Logger
}

// Loop looks at due targets: each host by itself, so that a slow or throttled
// one delays no other, as fast as the host's client allows, and no faster than
// a few looks at once. It keeps no state between calls but the hosts' health,
// which it writes down too.
//
// [Loop.Run] is called once. [Loop.Check] and [Loop.Wake] are safe for
// concurrent use, also before and without Run.
type Loop struct {
	cfg LoopConfig
	log *slog.Logger

	wake  chan struct{}
	mu    sync.Mutex
	hosts map[string]*host
}

// NewLoop makes a loop that does nothing yet.
func NewLoop(cfg LoopConfig) *Loop {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Loop{cfg: cfg, log: log, wake: make(chan struct{}, 1), hosts: make(map[string]*host)}
}

// Wake says that the set of targets, or what is due, may have changed. It never
// blocks.
func (l *Loop) Wake() { poke(l.wake) }

// Run looks until ctx ends, then hands back the claims it holds, and returns
// when all that it started has ended, within seconds.
func (l *Loop) Run(ctx context.Context) error {
	if l.cfg.Store == nil || l.cfg.Hosts == nil || l.cfg.Registry == nil {
		return errors.New("watch: no store, hosts or registry to work with")
	}
	running := make(map[string]*runningHost)
	var wg sync.WaitGroup
	defer wg.Wait()
	if l.cfg.Census != nil {
		wg.Go(func() { l.watchFrozen(ctx) })
	}
	for tries := 0; ; {
		loads, err := l.cfg.Hosts.Hosts(ctx)
		wait := rescan
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			tries++
			wait = retryWait(tries)
			l.log.Error("cannot list what to watch; trying again", "wait", wait, "error", err)
		default:
			tries = 0
			l.assign(ctx, running, loads, &wg)
		}
		if !sleep(ctx, wait, l.wake) {
			return nil
		}
	}
}

// runningHost is the goroutine group of a host.
type runningHost struct {
	stop context.CancelFunc
	done chan struct{}
}

// assign starts and stops hosts so that those listed run.
func (l *Loop) assign(ctx context.Context, running map[string]*runningHost, loads []HostLoad, wg *sync.WaitGroup) {
	listed := make(map[string]bool, len(loads))
	for _, load := range loads {
		listed[load.Host] = true
		h := l.host(load.Host)
		h.setLoad(load, l.ceiling(load.Host))
		if r := running[load.Host]; r != nil && !r.ended() {
			poke(h.wake)
			continue
		}
		hostCtx, stop := context.WithCancel(ctx)
		r := &runningHost{stop: stop, done: make(chan struct{})}
		running[load.Host] = r
		wg.Go(func() {
			defer l.Wake() // the host may be listed again by now
			defer close(r.done)
			defer stop()
			l.work(hostCtx, h)
		})
	}
	for name, r := range running {
		if !listed[name] {
			r.stop() // what still ends counts as running, so that none runs twice
			if r.ended() {
				delete(running, name)
			}
		}
	}
}

func (r *runningHost) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// host is the one record of a host, made at first use.
func (l *Loop) host(name string) *host {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.hosts[name]
	if h == nil {
		h = newHost(name)
		l.hosts[name] = h
	}
	return h
}

func (l *Loop) ceiling(host string) float64 {
	if l.cfg.Ceiling == nil {
		return 0
	}
	return l.cfg.Ceiling(host)
}

func (l *Loop) inFlight(host string) int {
	if l.cfg.InFlight != nil {
		if n := l.cfg.InFlight(host); n > 0 {
			return n
		}
	}
	return defaultInFlight
}

func (l *Loop) observe(host, outcome string, took time.Duration) {
	if l.cfg.Observer != nil {
		l.cfg.Observer.Looked(host, outcome, took)
	}
}

// sleep waits for a time, a poke, or the end of ctx, which it reports as false.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-t.C:
	}
	return ctx.Err() == nil
}

// retryWait is the wait after so many failures of the store in a row: 1 s,
// doubled up to half a minute.
func retryWait(tries int) time.Duration {
	return min(time.Second<<min(max(tries, 1)-1, 5), 30*time.Second)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
