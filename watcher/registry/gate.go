package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"basewatch/watcher"
)

const (
	// pausePatience is the longest pause that a look sits out. A longer one
	// fails it as throttled, with the time to come back.
	pausePatience = 10 * time.Second
	// unsaidPause is the pause after a 429 that names no time; it doubles with
	// each further one, up to unsaidPauseMax.
	unsaidPause    = time.Minute
	unsaidPauseMax = 30 * time.Minute
)

// gate lets requests to one host begin: so many in flight, so many in a minute,
// none during a pause. After a pause it opens slowly, from one in flight.
type gate struct {
	host string
	max  int

	mu       sync.Mutex
	inFlight int
	limit    int // of inFlight; below max after a pause
	waiting  int // in enter, not let through
	queue    []chan struct{}
	window   window
	pulls    pulls

	pausedAt, pausedUntil time.Time
	reason                string
	strikes               int // pauses without an answer in between
}

func newGate(host string, inFlight, perMinute int) *gate {
	return &gate{host: host, max: inFlight, limit: inFlight, window: newWindow(perMinute)}
}

// enter waits until a request may begin; leave must follow. It gives up with a
// throttled [watcher.LookError] instead of sitting out a long pause.
func (g *gate) enter(ctx context.Context, kind Kind) error {
	g.mu.Lock()
	g.waiting++
	defer func() {
		g.waiting--
		g.mu.Unlock()
	}()
	for {
		now := time.Now()
		if err := ctx.Err(); err != nil {
			g.wake()
			return g.tooLong(now, err)
		}
		wait, err := g.closedFor(kind, now)
		switch {
		case err != nil:
			g.wake()
			return err
		case wait > 0 && tooLittle(ctx, now.Add(wait)):
			g.wake()
			return g.tooLong(now, context.DeadlineExceeded)
		case wait > 0:
			g.unlocked(func() { sleep(ctx, wait) })
		case g.inFlight >= g.limit:
			g.waitForSlot(ctx)
		default:
			g.admit(kind, now)
			return nil
		}
	}
}

// tooLittle reports that a request that begins then has no time for an answer.
func tooLittle(ctx context.Context, then time.Time) bool {
	deadline, ok := ctx.Deadline()
	return ok && deadline.Sub(then) < time.Second
}

// tooLong is the end of a wait that took longer than the look may take. When it
// was for our own ceiling, that says nothing about the host.
func (g *gate) tooLong(now time.Time, err error) error {
	if half := len(g.window.times) / 2; len(g.window.times) == 0 || g.window.waitFor(max(1, half), now) == 0 {
		return err // the ceiling is not what kept it: the host is slow
	}
	return &watcher.LookError{Problem: watcher.Throttled, Paced: true, RetryAt: now.Add(g.window.wait(now)), Err: fmt.Errorf(
		"%s was not asked in time (%w): %d requests wait for %d in flight at once and %d a minute; raise per_minute under [registry.%q], or the interval",
		g.host, err, g.waiting, g.max, len(g.window.times), g.host)}
}

// late is tooLong for a look that waited for another's token or challenge.
func (g *gate) late(err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tooLong(time.Now(), err)
}

// closedFor says how long no request of this kind may begin.
func (g *gate) closedFor(kind Kind, now time.Time) (time.Duration, error) {
	if d := g.pausedUntil.Sub(now); d > 0 {
		if d > pausePatience {
			return 0, g.throttled()
		}
		return d, nil
	}
	if kind == Get {
		if d := g.pulls.opensAt(now).Sub(now); d > pausePatience {
			return 0, g.pulls.error(g.host, now.Add(d))
		} else if d > 0 {
			return d, nil
		}
	}
	return g.window.wait(now), nil
}

func (g *gate) admit(kind Kind, now time.Time) {
	g.inFlight++
	g.window.add(now)
	if kind == Get {
		g.pulls.last = now
	}
}

// waitForSlot returns when a slot may be free, or ctx ended.
func (g *gate) waitForSlot(ctx context.Context) {
	turn := make(chan struct{})
	g.queue = append(g.queue, turn)
	g.unlocked(func() {
		select {
		case <-turn:
		case <-ctx.Done():
		}
	})
	g.queue = slices.DeleteFunc(g.queue, func(c chan struct{}) bool { return c == turn })
}

// wake calls up as many waiting requests as there are free slots.
func (g *gate) wake() {
	for n := g.limit - g.inFlight; n > 0 && len(g.queue) > 0; n-- {
		close(g.queue[0])
		g.queue = g.queue[1:]
	}
}

// leave ends a request that began then; answered says that the host took it
// well, which opens the gate wider if it was asked after the last pause.
func (g *gate) leave(began time.Time, answered bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
	if answered && began.After(g.pausedUntil) {
		g.limit = min(g.max, g.limit*2)
		g.strikes = 0
	}
	g.wake()
}

// pause closes the gate because of the answer to a request that began then. A
// wait of 0 was not said by the host: we choose one. Requests that were in
// flight together with the one that began a pause do not count as further
// strikes; fresh tells the one that does.
func (g *gate) pause(began time.Time, wait time.Duration, reason string) (fresh bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if fresh = began.After(g.pausedAt); fresh {
		g.strikes++
		g.pausedAt = now
	}
	if wait == 0 {
		wait = unsaidWait(g.strikes)
	}
	until := now.Add(wait + jitter(wait/20))
	if until.After(g.pausedUntil) {
		g.pausedUntil, g.reason = until, reason
	}
	g.limit = 1
	return fresh
}

// counted takes in what the answer to a request that began then said of the
// quota.
func (g *gate) counted(q quota, began time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pulls.counted(q, began)
}

// pulled is told of a pull that was answered.
func (g *gate) pulled() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pulls.answered()
}

// closePulls is told of a pull, begun then, that was refused for the limit of
// pulls: no further one begins for wait, or, when the host did not say, until
// its window is over. All else goes on.
func (g *gate) closePulls(began time.Time, wait time.Duration, reason string) (fresh bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pulls.refused(began, time.Now(), wait, reason)
}

// allowance is how many looks may begin now, at most burst; if none, when to
// ask again. A look that finds a move needs a second request, so only half of
// what is free is given away at a time.
func (g *gate) allowance(burst int) (int, time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if g.pausedUntil.After(now) {
		return 0, g.pausedUntil
	}
	if n := g.window.free(2*burst, now) - g.waiting; n > 0 {
		return (n + 1) / 2, time.Time{}
	}
	// Not one by one: let a few come together.
	ceiling := len(g.window.times)
	few := max(1, min(g.waiting+ceiling/20, ceiling))
	return 0, now.Add(max(g.window.waitFor(few, now), 100*time.Millisecond))
}

// unsaidWait is the wait that we choose after so many strikes in a row.
func unsaidWait(strikes int) time.Duration {
	return min(unsaidPause<<min(max(strikes-1, 0), 10), unsaidPauseMax)
}

func (g *gate) throttled() error {
	return &watcher.LookError{Problem: watcher.Throttled, RetryAt: g.pausedUntil,
		Err: fmt.Errorf("%s asked to wait until %s: %s", g.host, g.pausedUntil.UTC().Format(time.DateTime+" MST"), g.reason)}
}

func (g *gate) unlocked(f func()) {
	g.mu.Unlock()
	defer g.mu.Lock()
	f()
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// jitter is a random time below d.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

// isFinal reports an error that is already a look's verdict.
func isFinal(err error) bool {
	var le *watcher.LookError
	return errors.As(err, &le)
}

// isPaced reports an error that [gate.tooLong] made.
func isPaced(err error) bool {
	var le *watcher.LookError
	return errors.As(err, &le) && le.Paced
}

// opensAt is when the host may be asked again.
func (g *gate) opensAt() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pausedUntil
}
