package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// idle is how long the dispatcher sleeps at most: wake-ups are hints, and
	// one that is lost costs no more than this.
	idle = 10 * time.Second
	// After stop, attempts in flight have Grace to end by themselves, and then
	// unwind to notice that they were cancelled.
	unwind = 2 * time.Second
)

// Observer hears of every attempt, for metrics; a digest is one. It is called
// concurrently and must not block.
type Observer interface {
	Attempted(receiver string, outcome Outcome, took time.Duration)
}

// DispatcherConfig is what a [Dispatcher] needs. Store is required; the rest
// has defaults.
type DispatcherConfig struct {
	Store Store
	// Receivers by name, without address. Lanes of other receivers are parked.
	Receivers map[string]Receiver
	Observer  Observer
	Logger    *slog.Logger
	// AttemptTimeout bounds one attempt; 0: 30 s.
	AttemptTimeout time.Duration
	// Grace is how long attempts may go on after a stop; 0: 5 s.
	Grace time.Duration
	// Parallel is how many lanes are served at once; 0: 64.
	Parallel int
	// OnAttempt is called for every row after every attempt and before it is
	// settled, concurrently for different lanes; it must not block.
	OnAttempt func(Delivery, Attempt)
}

// Dispatcher brings waiting deliveries to their receivers. It keeps no work of
// its own: the [Store] does, so that a crash loses nothing.
//
// Each lane is served by itself: one attempt is in flight, and it is settled
// before the next begins. Receivers that are [Digester]s get at most 5 messages
// a minute per lane; what is due beyond that comes as one digest.
type Dispatcher struct {
	config    DispatcherConfig
	receivers atomic.Pointer[map[string]Receiver]
	fresh     atomic.Bool // lanes are owed a new chance
	wake      chan struct{}
	trouble   trouble
}

// NewDispatcher makes a dispatcher; [Dispatcher.Run] starts it.
func NewDispatcher(c DispatcherConfig) *Dispatcher {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.AttemptTimeout == 0 {
		c.AttemptTimeout = 30 * time.Second
	}
	if c.Grace == 0 {
		c.Grace = 5 * time.Second
	}
	if c.Parallel == 0 {
		c.Parallel = 64
	}
	d := &Dispatcher{config: c, wake: make(chan struct{}, 1), trouble: trouble{log: c.Logger, waits: map[string]time.Duration{}}}
	d.Reload(c.Receivers)
	return d
}

// Wake hints that something became due. It never blocks and is safe for
// concurrent use.
func (d *Dispatcher) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Reload replaces the receivers. Attempts in flight end with the old ones;
// every lane then gets a new chance at once, and lanes whose receiver is gone
// are parked. Safe for concurrent use.
func (d *Dispatcher) Reload(receivers map[string]Receiver) {
	receivers = maps.Clone(receivers)
	d.receivers.Store(&receivers)
	d.fresh.Store(true)
	d.Wake()
}

func (d *Dispatcher) receiver(lane string) Receiver {
	name, _ := SplitLane(lane)
	return (*d.receivers.Load())[name]
}

// Run delivers until ctx ends. Then no new attempt begins, those in flight have
// Grace to end, and what was cancelled is handed back without counting as a
// failure. It returns nil, or an error that names the lanes whose receivers did
// not obey their context. Call it once.
func (d *Dispatcher) Run(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	r := &run{Dispatcher: d, stop: ctx, work: work, cancel: cancel,
		lanes: map[string]*lane{}, busy: map[string]bool{}, owed: map[string]bool{},
		done: make(chan string, d.config.Parallel)}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return r.finish()
		case name := <-r.done:
			delete(r.busy, name)
		case <-d.wake:
		case <-timer.C:
		}
		if ctx.Err() == nil {
			timer.Reset(r.cycle())
		}
	}
}

// run is one Run: what is in flight, and what is remembered of lanes between
// their turns. Only Run's goroutine touches the maps; a lane's memory belongs
// to its turn while the lane is busy.
type run struct {
	*Dispatcher
	stop   context.Context // ends when no turn may begin
	work   context.Context // ends when attempts in flight must
	cancel context.CancelFunc
	lanes  map[string]*lane
	busy   map[string]bool
	owed   map[string]bool // lanes that a start or reload promised a new chance
	done   chan string     // as large as busy may grow, so a turn's end never blocks
}

// cycle starts the turns that are due and says how long to sleep.
func (r *run) cycle() time.Duration {
	r.drain()
	works, err := r.list()
	if err != nil {
		return r.trouble.report(listing, err)
	}
	r.trouble.over(listing)
	now := time.Now()
	next := now.Add(idle)
	for _, t := range r.order(works, now) {
		if t.at.After(now) || len(r.busy) >= r.config.Parallel {
			// A full house wakes us when a turn ends.
			next = earlier(next, t.at, now)
			continue
		}
		r.busy[t.work.Lane.Name] = true
		go r.turn(t)
	}
	return next.Sub(now)
}

func earlier(next, at, now time.Time) time.Time {
	if at.After(now) && at.Before(next) {
		return at
	}
	return next
}

// drain takes note of all turns that ended. It comes before the lanes are
// listed, so that no lane is served on a listing older than its last settling.
func (r *run) drain() {
	for {
		select {
		case name := <-r.done:
			delete(r.busy, name)
		default:
			return
		}
	}
}

// list lists the lanes, after giving those their new chance that are owed one
// since a start or a reload. A busy lane gets it when its turn has ended.
func (r *run) list() ([]LaneWork, error) {
	fresh := r.fresh.Swap(false)
	works, err := r.config.Store.Lanes(r.stop)
	if err != nil {
		r.fresh.CompareAndSwap(false, fresh)
		return nil, fmt.Errorf("lanes: %w", err)
	}
	if fresh {
		for _, w := range works {
			r.owed[w.Lane.Name] = true
		}
	}
	restarted := false
	for _, w := range works {
		name := w.Lane.Name
		if !r.owed[name] || r.busy[name] {
			continue
		}
		if r.receiver(name) != nil && w.Lane.ParkedSince.IsZero() && (w.Lane.Failing() || w.DueCount < w.Waiting) {
			if err := r.config.Store.Settle(r.stop, restart(w.Lane, time.Now())); err != nil {
				return nil, fmt.Errorf("lane %s: %w", name, err)
			}
			restarted = true
		}
		delete(r.owed, name)
	}
	if !restarted {
		return works, nil
	}
	return r.config.Store.Lanes(r.stop)
}

// order makes the turns that idle lanes may take, by time: whoever waits
// longest goes first.
func (r *run) order(works []LaneWork, now time.Time) []turn {
	var turns []turn
	listed := make(map[string]bool, len(works))
	for _, w := range works {
		name := w.Lane.Name
		listed[name] = true
		if r.busy[name] {
			continue
		}
		if r.lanes[name] == nil {
			r.lanes[name] = &lane{}
		}
		t := turn{work: w, memory: r.lanes[name], receiver: r.receiver(name)}
		if at, ok := t.ready(now); ok {
			t.at = at
			turns = append(turns, t)
		}
	}
	maps.DeleteFunc(r.lanes, func(name string, l *lane) bool {
		return !listed[name] && !r.busy[name] && l.forgettable(now)
	})
	slices.SortStableFunc(turns, func(a, b turn) int { return a.at.Compare(b.at) })
	return turns
}

// finish waits for what is in flight.
func (r *run) finish() error {
	grace := time.AfterFunc(r.config.Grace, r.cancel)
	defer grace.Stop()
	deadline := time.NewTimer(r.config.Grace + unwind)
	defer deadline.Stop()
	for len(r.busy) > 0 {
		select {
		case name := <-r.done:
			delete(r.busy, name)
		case <-deadline.C:
			names := slices.Sorted(maps.Keys(r.busy))
			return fmt.Errorf("stopping deliveries: still busy after %s: %s", r.config.Grace+unwind, strings.Join(names, ", "))
		}
	}
	return nil
}
