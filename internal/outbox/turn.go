package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"
)

const (
	// claimSlack is how much longer than an attempt and its grace a claim
	// lasts, to settle in.
	claimSlack = 30 * time.Second
	// settleFor is how long a settling is retried while the store fails; after
	// that the claim is let go, and the message may come twice.
	settleFor = 10 * time.Minute
	// settleTimeout bounds one try.
	settleTimeout = 10 * time.Second
	buryBatch     = 100
	// sweepBatch is how many rows outside their windows are put off at once.
	sweepBatch = 1000
)

// turn does one thing for a lane and reports that it ended.
func (r *run) turn(t turn) {
	defer func() { r.done <- t.work.Lane.Name }()
	l, now := t.work.Lane, time.Now()
	parked := !l.ParkedSince.IsZero()
	switch {
	case t.receiver != nil && parked:
		r.commit(unpark(l, now))
	case t.receiver != nil:
		r.deliver(t)
	case t.work.Waiting == 0:
		r.commit(forget(l))
	case parked:
		t.memory.restUntil = now.Add(removedAfter / 100)
		r.buryAll(l)
	default:
		r.config.Logger.Warn("receiver is gone from the configuration, its deliveries wait",
			"lane", l.Name, "waiting", t.work.Waiting, "dead_after", removedAfter)
		r.commit(park(l, now))
	}
}

// deliver claims rows and attempts them, message by message, each settled
// before the next.
func (r *run) deliver(t turn) {
	l, claimed := t.work.Lane, time.Now()
	rows := r.claimOpen(t, ClaimRequest{
		Lane: l.Name, Max: t.claim(), Probe: l.Failing(),
		TTL: r.config.AttemptTimeout + r.config.Grace + claimSlack,
	})
	messages := t.messages(rows, claimed)
	for i, m := range messages {
		if r.stop.Err() != nil || i > 0 && (l.Failing() || time.Since(claimed) > claimSlack) {
			r.commit(handBack(slices.Concat(messages[i:]...)))
			return
		}
		l = r.try(t, l, m)
	}
}

// claimOpen claims rows and keeps those whose windows are open, oldest first.
// The others came due in their windows and could not go then: they wait for the
// next. When none of a claim is left, those behind it are judged at once, and
// not one by one at each probe.
func (r *run) claimOpen(t turn, c ClaimRequest) []Delivery {
	for {
		rows, err := r.config.Store.Claim(r.stop, c)
		if err != nil {
			t.memory.restUntil = time.Now().Add(r.trouble.report(claiming, fmt.Errorf("lane %s: %w", c.Lane, err)))
			return nil
		}
		r.trouble.over(claiming)
		if len(rows) == 0 {
			t.memory.restUntil = time.Now().Add(recheck)
			return nil
		}
		slices.SortStableFunc(rows, func(a, b Delivery) int { return a.CreatedAt.Compare(b.CreatedAt) })
		open, closed := judge(rows, time.Now())
		if len(closed.Steps) > 0 {
			r.commit(closed)
		}
		if t.work.Lane.Failing() && len(open) > 1 {
			r.commit(handBack(open[1:]))
			open = open[:1]
		}
		if len(open) > 0 {
			return open
		}
		c.Max = max(c.Max, sweepBatch)
	}
}

// try makes one attempt and settles it; it gives the lane as it is then.
func (r *run) try(t turn, l Lane, rows []Delivery) Lane {
	for i := range rows {
		rows[i].Outage = lateness(l, rows[i], time.Now())
	}
	a := r.attempt(t.receiver, rows)
	outcome, after := Classify(a.err)
	if outcome == Retry && r.work.Err() != nil {
		r.commit(handBack(rows)) // we ended it ourselves
		return l
	}
	now := time.Now()
	s := settle(l, a, now, rand.Float64())
	t.remember(a, outcome, after, now)
	r.report(a, outcome, s)
	r.commit(s)
	if s.Lane.Failing() && s.Lane.tried(s.Lane.FailingSince, now) >= giveUpAfter {
		r.buryAll(s.Lane)
	}
	return s.Lane
}

// attempt calls the receiver, within its time, and survives its panics.
func (r *run) attempt(receiver Receiver, rows []Delivery) attempt {
	ctx, cancel := context.WithTimeout(r.work, r.config.AttemptTimeout)
	defer cancel()
	a := attempt{rows: rows, at: time.Now()}
	a.receipt, a.err = call(ctx, receiver, rows)
	a.took = time.Since(a.at)
	return a
}

func call(ctx context.Context, receiver Receiver, rows []Delivery) (receipt Receipt, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{value: v, stack: debug.Stack()}
		}
	}()
	if digester, ok := receiver.(Digester); ok && len(rows) > 1 {
		return digester.Digest(ctx, rows)
	}
	return receiver.Deliver(ctx, rows[0])
}

// report tells the log, the metrics and the hook of an attempt.
func (r *run) report(a attempt, outcome Outcome, s Settlement) {
	log := r.config.Logger.With("lane", s.Lane.Name, "id", a.rows[0].ID, "attempt", len(a.rows[0].Attempts)+1)
	if len(a.rows) > 1 {
		log = log.With("digest", len(a.rows))
	}
	r.log(log, a, outcome, s)
	if r.config.Observer != nil {
		r.config.Observer.Attempted(a.rows[0].Receiver, outcome, a.took)
	}
	if r.config.OnAttempt != nil {
		for i, row := range a.rows {
			r.config.OnAttempt(row, *s.Steps[i].Attempt)
		}
	}
}

func (r *run) log(log *slog.Logger, a attempt, outcome Outcome, s Settlement) {
	var pe *panicError
	if errors.As(a.err, &pe) {
		log = log.With("stack", string(pe.stack))
	}
	step := s.Steps[0]
	switch {
	case outcome == Success:
		log.Debug("delivered", "took", a.took, "released", s.Release)
	case outcome == Snoozed:
		log.Debug("delivery put off", "until", step.NextAt, "reason", step.Reason)
	case step.State == Dead:
		log.Error("delivery given up, see basewatch replay", "reason", step.Reason)
	case s.Lane.Failing():
		log.Warn("delivery failed", "err", errorText(a.err), "lane_failing_since", s.Lane.FailingSince, "next", s.Lane.ProbeAt)
	default:
		log.Warn("digest refused, trying smaller ones", "err", errorText(a.err))
	}
}

// commit settles, again and again while the store fails: what was delivered
// must be recorded, or it is delivered twice.
func (r *run) commit(s Settlement) {
	giveUp := time.Now().Add(settleFor)
	for {
		err := r.settleOnce(s)
		var lost *LostError
		switch {
		case err == nil:
			r.trouble.over(settling)
			return
		case errors.As(err, &lost):
			r.config.Logger.Warn("delivery settled too late, somebody else has it", "lane", s.Lane.Name, "ids", lost.IDs)
			return
		}
		wait := r.trouble.report(settling, fmt.Errorf("lane %s: %w", s.Lane.Name, err))
		if time.Now().Add(wait).After(giveUp) || !sleep(r.work, wait) {
			r.config.Logger.Error("attempt not recorded, its message may come twice", "lane", s.Lane.Name, "err", err)
			return
		}
	}
}

// settleOnce does not stop when Run does: what was attempted is recorded.
func (r *run) settleOnce(s Settlement) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.stop), settleTimeout)
	defer cancel()
	return r.config.Store.Settle(ctx, s)
}

// buryAll ends the rows of a lane that have waited too long, oldest first.
func (r *run) buryAll(l Lane) {
	for r.stop.Err() == nil {
		rows, err := r.config.Store.Claim(r.stop, ClaimRequest{Lane: l.Name, Max: buryBatch, All: true, TTL: claimSlack})
		if err != nil {
			r.trouble.report(claiming, fmt.Errorf("lane %s: %w", l.Name, err))
			return
		}
		if len(rows) == 0 {
			return
		}
		s := bury(l, rows, time.Now())
		r.commit(s)
		l = s.Lane
		dead := 0
		for _, step := range s.Steps {
			if step.State == Dead {
				dead++
			}
		}
		if dead < len(rows) {
			return
		}
		r.config.Logger.Error("deliveries given up, see basewatch replay", "lane", l.Name, "count", dead, "reason", s.Steps[0].Reason)
	}
}

// sleep waits, and reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
