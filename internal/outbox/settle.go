package outbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"basewatch/watcher"
)

const (
	maxAnswer       = 512
	maxReceiptState = 4 << 10
)

// attempt is one finished try to deliver: one row, or several in a digest.
type attempt struct {
	rows    []Delivery
	at      time.Time
	took    time.Duration
	receipt Receipt
	err     error
}

// settle is the only function that moves deliveries and lanes on after an
// attempt. It is pure; rnd in [0, 1) spreads the retries.
//
//	success   the rows are delivered and the lane is well. If it was failing
//	          for more than one row's sake, or that row itself went through,
//	          all rows are released.
//	refused   the row is dead. That says nothing about the lane.
//	snoozed   the row waits. Nothing else changes.
//	failed    in a lane that was well: the row waits by its own schedule, and is
//	          dead when that is used up; the lane is failing. In a failing lane:
//	          the row spends nothing, the next probe waits longer, and the row
//	          is dead when it has waited in the failing lane for giveUpAfter.
//
// A lane's failing is told once per outage, by its first dead row or after
// tellAfter, and its recovery once, by the first success after that.
func settle(lane Lane, a attempt, now time.Time, rnd float64) Settlement {
	outcome, after := Classify(a.err)
	s := Settlement{Lane: lane}
	switch outcome {
	case Success:
		s.succeed(a, now)
	case Refused:
		s.refuse(a, now)
	case Snoozed:
		s.each(a, func(_ Delivery, step *Step) {
			step.NextAt = now.Add(min(max(after, leastWait), longestSnooze))
			step.Reason = errorText(a.err)
		})
	case Retry, Panic:
		s.fail(a, asked(after), now, rnd)
	}
	for i := range s.Steps {
		s.Steps[i].Attempt = &Attempt{At: a.at, Took: a.took, Outcome: outcome, Answer: errorText(a.err)}
		s.Steps[i].Receipt = fit(a.receipt)
	}
	s.tell(a.rows, now)
	return s
}

// each adds a step for every row that leaves it as it is, but for what move
// does.
func (s *Settlement) each(a attempt, move func(row Delivery, step *Step)) {
	for _, row := range a.rows {
		step := stay(row)
		move(row, &step)
		s.Steps = append(s.Steps, step)
	}
}

// stay is the step of a row that goes on waiting as before.
func stay(row Delivery) Step {
	return Step{ID: row.ID, Token: row.Token, State: Waiting, NextAt: row.NextAt, Failures: row.Failures}
}

// end makes a step final for the row and what it covers.
func (step *Step) end(row Delivery, state State, reason string) {
	step.State, step.Reason, step.NextAt = state, reason, time.Time{}
	for _, c := range row.Covers {
		step.Covers = append(step.Covers, c.ID)
	}
}

func (s *Settlement) succeed(a attempt, now time.Time) {
	began := false // the row that made the lane failing is among these
	s.each(a, func(row Delivery, step *Step) {
		step.end(row, Delivered, "")
		began = began || row.ID == s.Lane.FirstID
	})
	if s.Lane.Failing() {
		s.Release = began || s.Lane.Broad
		s.Lane.LastFrom, s.Lane.LastTo, s.Lane.LastReason = s.Lane.FailingSince, now, s.Lane.LastError
	}
	if s.Lane.Told {
		s.Born = append(s.Born, receiverEvent(watcher.ReceiverRecovered, s.Lane, now))
	}
	s.Lane = s.Lane.well()
}

// well is the lane without its troubles; it remembers the last outage.
func (l Lane) well() Lane {
	return Lane{Name: l.Name, LastFrom: l.LastFrom, LastTo: l.LastTo, LastReason: l.LastReason}
}

func (s *Settlement) refuse(a attempt, now time.Time) {
	s.Lane.LastError = errorText(a.err)
	if s.Lane.Failing() {
		// The receiver answered about this row; only another one can say
		// whether the lane is well.
		s.Lane.ProbeAt = now
	}
	s.each(a, func(row Delivery, step *Step) {
		if len(a.rows) > 1 {
			// One bad row may spoil a digest for all. The dispatcher goes on
			// with smaller ones, so that at last it alone is refused.
			step.NextAt = now
			return
		}
		step.Failures++
		step.end(row, Dead, "refused: "+errorText(a.err))
	})
}

func (s *Settlement) fail(a attempt, after time.Duration, now time.Time, rnd float64) {
	wasWell := !s.Lane.Failing()
	s.Lane = s.Lane.probed(a.at)
	s.each(a, func(row Delivery, step *Step) {
		switch {
		case wasWell && len(a.rows) > 1:
			// Nobody knows whose fault it was, so nobody pays.
		case wasWell:
			step.Failures++
			wait, ok := rowWait(step.Failures, rnd)
			step.NextAt = now.Add(max(wait, after))
			if !ok {
				step.end(row, Dead, fmt.Sprintf("gave up after %d attempts: %s", step.Failures, errorText(a.err)))
			}
		case s.Lane.outwaited(row, now):
			step.end(row, Dead, outwaitedReason(errorText(a.err)))
		}
	})
	s.Lane = s.Lane.failed(a, after, now)
}

// failed is the lane after one more failure.
func (l Lane) failed(a attempt, after time.Duration, now time.Time) Lane {
	switch {
	case !l.Failing():
		l.FailingSince, l.Probes, l.FirstID, l.Broad = now, 0, a.rows[0].ID, len(a.rows) > 1
	default:
		l.Probes++
		l.Broad = l.Broad || len(a.rows) > 1 || a.rows[0].ID != l.FirstID
	}
	wait := after
	if wait == 0 {
		wait = probeWait(l.Probes)
	}
	l.ProbeAt, l.LastError = now.Add(wait), errorText(a.err)
	return l
}

// probed notes how late a failing lane is tried. A wait that is longer than any
// there is comes from a clock set back and counts the other way. Times of two
// processes are compared, so it is the clock on the wall that counts.
func (l Lane) probed(at time.Time) Lane {
	late := at.Round(0).Sub(l.ProbeAt.Round(0))
	if l.Failing() && !l.ProbeAt.IsZero() && (late > time.Minute || late < -farOff) {
		l.Untried += late
	}
	return l
}

// tried is for how long a lane has failed although it was tried.
func (l Lane) tried(since, now time.Time) time.Duration {
	return now.Round(0).Sub(since.Round(0)) - l.Untried
}

// outwaited reports whether a row has waited for giveUpAfter in a failing lane.
func (l Lane) outwaited(row Delivery, now time.Time) bool {
	return l.Failing() && l.tried(latest(l.FailingSince, row.CreatedAt), now) >= giveUpAfter
}

func outwaitedReason(last string) string {
	return fmt.Sprintf("gave up: the receiver was failing for %d h: %s", int(giveUpAfter.Hours()), last)
}

// tell bears receiver-failing, once per outage. A lane that is well and refuses
// rows counts too: its outage then began with the first dead one.
func (s *Settlement) tell(rows []Delivery, now time.Time) {
	dead := slices.IndexFunc(s.Steps, func(step Step) bool { return step.State == Dead })
	long := s.Lane.Failing() && now.Sub(s.Lane.FailingSince) >= tellAfter
	if s.Lane.Told || dead < 0 && !long {
		return
	}
	s.Lane.Told, s.Lane.ToldSince = true, now
	if s.Lane.Failing() {
		s.Lane.ToldSince = s.Lane.FailingSince
	}
	e := receiverEvent(watcher.ReceiverFailing, s.Lane, now)
	if dead >= 0 {
		lost := rows[dead]
		e.Problem = watcher.GivenUp
		e.Reason = fmt.Sprintf("%s %s (delivery %s): %s", lost.Event.Kind, lost.Event.Handle(), lost.ID, e.Reason)
	}
	s.Born = append(s.Born, e)
}

// receiverEvent tells that a lane fails, or works again.
func receiverEvent(kind watcher.Kind, lane Lane, now time.Time) watcher.Event {
	receiver, _ := SplitLane(lane.Name)
	e := watcher.Event{
		Kind: kind, Ref: lane.Name, Receiver: receiver,
		At: now, Since: lane.ToldSince, Reason: lane.LastError,
	}
	e.Identify()
	return e
}

// errorText is the part of an error that is kept: at most maxAnswer bytes of
// valid UTF-8.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	s := strings.ToValidUTF8(err.Error(), "?")
	if len(s) <= maxAnswer {
		return s
	}
	s = s[:maxAnswer]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}

// fit drops the state of a receipt that no store could keep.
func fit(r Receipt) Receipt {
	if len(r.State) > maxReceiptState || len(r.State) > 0 && !json.Valid(r.State) {
		r.State = nil
	}
	return r
}
