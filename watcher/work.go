package watcher

import (
	"context"
	"sync"
	"time"
)

const (
	// What falls due within this time is looked at together.
	coalesce = 200 * time.Millisecond
	// A host that allows nothing for so long is paused: what is due there is put
	// off, so many claims at once. A shorter wait is only the pace of a ceiling.
	longPause   = 2 * time.Minute
	putOffBatch = 64
	// The shortest wait for a host's next allowance.
	shortest = 10 * time.Millisecond
)

// work looks at one host's due targets until ctx ends, and returns when all of
// them are reported.
func (l *Loop) work(ctx context.Context, h *host) {
	h.beginPass(time.Now())
	w := &worker{loop: l, host: h, slots: make(chan struct{}, l.inFlight(h.name)),
		results: make(chan Result, reportBatch)}
	var reporting sync.WaitGroup
	reporting.Go(func() { l.report(ctx, h, w.results) })
	for tries := 0; ctx.Err() == nil; {
		wait, err := w.step(ctx)
		if err != nil && ctx.Err() == nil {
			tries++
			wait = retryWait(tries)
			l.log.Error("cannot claim targets; trying again", "host", h.name, "wait", wait, "error", err)
		} else {
			tries = 0
		}
		if wait > 0 {
			sleep(ctx, wait, h.wake)
		}
	}
	w.looks.Wait()
	close(w.results)
	reporting.Wait()
}

// worker is the goroutine group of a host: one that claims, looks in flight,
// one that reports.
type worker struct {
	loop    *Loop
	host    *host
	slots   chan struct{}
	looks   sync.WaitGroup
	results chan Result
}

// step claims what may be looked at now and starts the looks. It gives the time
// to wait until there may be more.
func (w *worker) step(ctx context.Context) (time.Duration, error) {
	w.endPass(ctx, false)
	if err := w.loop.restoreHealth(ctx, w.host); err != nil {
		return 0, err
	}
	if !w.acquire(ctx) {
		return 0, nil
	}
	w.free() // one is free: the allowance is worth asking for
	n, again := w.loop.cfg.Registry.Allowance(w.host.name)
	if n <= 0 {
		return w.wait(ctx, again)
	}
	at := time.Now()
	claims, err := w.claim(ctx, min(n, 2*cap(w.slots)))
	if err != nil {
		return 0, err
	}
	for i, c := range claims {
		if !w.acquire(ctx) {
			w.giveBack(claims[i:])
			return 0, nil
		}
		if lasted(at, time.Now(), claimTTL-2*lookTimeout) {
			w.free() // the look could outlast its claim
			w.giveBack(claims[i:])
			return 0, nil
		}
		w.looks.Go(func() {
			defer w.free()
			w.send(w.loop.look(ctx, w.host, c))
		})
	}
	if len(claims) > 0 {
		return 0, nil
	}
	w.endPass(ctx, true)
	return w.untilDue(ctx)
}

// wait is for a host that allows nothing now. When that is for long, what is
// due is put off until then, so that what is pending there is told in time.
func (w *worker) wait(ctx context.Context, again time.Time) (time.Duration, error) {
	wait := max(time.Until(again), shortest)
	if wait < longPause {
		return wait, nil
	}
	claims, err := w.claim(ctx, putOffBatch)
	if err != nil {
		return 0, err
	}
	for _, c := range claims {
		w.send(w.loop.putOff(ctx, w.host, c, w.host.waitError(again)))
	}
	if len(claims) > 0 {
		return 0, nil
	}
	due, err := w.untilDue(ctx)
	return min(wait, due), err
}

// untilDue is how long until one of the host's targets is due.
func (w *worker) untilDue(ctx context.Context) (time.Duration, error) {
	loads, err := w.loop.cfg.Hosts.Hosts(ctx)
	for _, load := range loads {
		if load.Host == w.host.name && !load.NextAt.IsZero() {
			return max(time.Until(load.NextAt), coalesce), err
		}
	}
	return rescan, err
}

// restoreHealth reads what was last written down of a host's health.
func (l *Loop) restoreHealth(ctx context.Context, h *host) error {
	if h.restored() {
		return nil
	}
	s, err := l.cfg.Store.State(ctx, h.name)
	if err == nil {
		h.restore(s)
	}
	return err
}

func (w *worker) claim(ctx context.Context, n int) ([]Claim, error) {
	claims, err := w.loop.cfg.Store.Claim(ctx, ClaimRequest{Host: w.host.name, Max: n, TTL: claimTTL})
	w.host.hold(len(claims))
	return claims, err
}

// acquire waits for a free slot; it is false when ctx ended first.
func (w *worker) acquire(ctx context.Context) bool {
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	if ctx.Err() != nil {
		w.free()
		return false
	}
	return true
}

func (w *worker) free() { <-w.slots }

func (w *worker) send(m made) {
	if m.health != nil {
		w.results <- *m.health
	}
	w.results <- m.result
}

func (w *worker) giveBack(claims []Claim) {
	for _, c := range claims {
		w.results <- handBack(c, time.Now(), nil).result
	}
}

// endPass tells that the host's pass is over, if it is.
func (w *worker) endPass(ctx context.Context, drained bool) {
	over, forGood, undo := w.host.endPass(time.Now(), drained)
	if !over || w.loop.cfg.Passes == nil {
		return
	}
	if err := w.loop.cfg.Passes.EndPass(ctx, w.host.name, forGood); err != nil {
		w.loop.log.Error("cannot end a host's pass; trying again", "host", w.host.name, "error", err)
		undo()
	}
}
