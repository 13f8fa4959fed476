package watcher

import (
	"context"
	"time"
)

// reportBatch is how many results are reported in one call at most.
const reportBatch = 64

// report reports results until the channel is closed. Each goes at once, with
// all that came while the last report was made.
func (l *Loop) report(ctx context.Context, h *host, results <-chan Result) {
	lingering, cancel := linger(ctx)
	defer cancel()
	batch := make([]Result, 0, reportBatch)
	for r := range results {
		batch = append(batch[:0], r)
		for len(batch) < reportBatch && len(results) > 0 {
			batch = append(batch, <-results)
		}
		l.commit(ctx, lingering, h, batch)
	}
}

// commit reports results, again and again while the store fails: until ctx has
// ended, with one last try, or until the claims have run out. What could not be
// reported is looked at again then.
func (l *Loop) commit(ctx, lingering context.Context, h *host, rs []Result) {
	defer l.released(h, rs)
	err := l.tryCommit(lingering, rs)
	if err == nil {
		return
	}
	l.log.Error("cannot record looks; trying again", "host", h.name, "looks", len(rs), "error", err)
	deadline := time.Now().Add(claimTTL)
	for tries, left := 1, rs; ; tries++ {
		last := !sleep(ctx, retryWait(tries), nil) || time.Now().After(deadline)
		if left, err = l.commitAgain(lingering, left, tries == 1 || last); err == nil {
			return
		}
		if last {
			l.log.Error("looks are lost and will be made again", "host", h.name, "looks", len(left), "error", err)
			return
		}
	}
}

// commitAgain reports what could not be reported, one by one if asked to, so
// that a result that the store cannot take keeps back no other. It gives those
// that are left, and the last error.
func (l *Loop) commitAgain(ctx context.Context, rs []Result, oneByOne bool) (left []Result, last error) {
	if !oneByOne {
		return rs, l.tryCommit(ctx, rs)
	}
	for i := range rs {
		if err := l.tryCommit(ctx, rs[i:i+1]); err != nil {
			left, last = append(left, rs[i]), err
		}
	}
	return left, last
}

// tryCommit reports once. Events are handed on only when they are durable.
func (l *Loop) tryCommit(ctx context.Context, rs []Result) error {
	verdicts, err := l.cfg.Store.Report(ctx, rs)
	if err != nil || l.cfg.OnEvent == nil {
		return err
	}
	for i, r := range rs {
		if i >= len(verdicts) || verdicts[i] != Accepted {
			continue
		}
		for _, e := range r.Events {
			l.cfg.OnEvent(e)
		}
	}
	return nil
}

// released counts claims as no longer held and wakes the host's worker: what
// was claimed has a new time to be due, perhaps before anything it waits for,
// and a pass may have ended.
func (l *Loop) released(h *host, rs []Result) {
	n := 0
	for _, r := range rs {
		if !r.Health {
			n++
		}
	}
	h.release(n)
	poke(h.wake)
}

// linger is a context that outlasts ctx a little: what stops still reports what
// it holds.
func linger(ctx context.Context) (context.Context, context.CancelFunc) {
	lingering, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(stopTimeout, cancel) })
	return lingering, func() { stop(); cancel() }
}
