package outbox

import "time"

const (
	// People get so many messages per window on one lane.
	peopleMessages = 5
	peopleWindow   = time.Minute
	// maxDigest bounds what one digest holds in memory and in one transaction.
	maxDigest = 10_000
	// maxClaim is how many rows a machine's turn takes. It is small, so that a
	// stop or a failure has little to hand back, and not so small that looking
	// for them costs more than sending them while thousands wait.
	maxClaim = 64
	// recheck is how long a lane rests whose due rows could not be claimed.
	recheck = time.Second
)

// lane is what the dispatcher remembers of a lane between turns. All of it may
// be lost: the truth is the store's.
type lane struct {
	sent []time.Time // messages to people within the window, oldest first
	// notBefore is what Retry-After asked for.
	notBefore time.Time
	// lastTry is when the last attempt ended.
	lastTry time.Time
	// restUntil keeps an empty claim from being repeated at once.
	restUntil time.Time
	// most is how many rows a digest may have after a refused one; 0: maxDigest.
	most int
}

func (l *lane) forgettable(now time.Time) bool {
	return l.left(now) == peopleMessages && !l.restUntil.After(now) && !l.notBefore.After(now)
}

// left is how many messages people may still get now.
func (l *lane) left(now time.Time) int {
	n := peopleMessages
	for _, at := range l.sent {
		if now.Sub(at) < peopleWindow {
			n--
		}
	}
	return max(n, 0)
}

// free is when the next message may go to people.
func (l *lane) free(now time.Time) time.Time {
	if l.left(now) > 0 {
		return now
	}
	return l.sent[len(l.sent)-peopleMessages].Add(peopleWindow)
}

// sentAt notes a message to people.
func (l *lane) sentAt(now time.Time) {
	l.sent = append(l.sent, now)
	l.sent = l.sent[max(0, len(l.sent)-peopleMessages):]
}

// turn is one lane's turn to do one thing.
type turn struct {
	work     LaneWork
	memory   *lane
	receiver Receiver // nil: gone from the configuration
	at       time.Time
}

// ready says when the lane may take its turn; false: it has nothing to do.
func (t turn) ready(now time.Time) (time.Time, bool) {
	l := t.work.Lane
	if t.receiver == nil {
		return t.readyWithout(now)
	}
	if !l.ParkedSince.IsZero() {
		return now, true
	}
	if t.work.Waiting == 0 || t.work.NextDue.IsZero() {
		return time.Time{}, false
	}
	at := latest(t.work.NextDue, t.memory.restUntil)
	if l.Failing() {
		at = latest(at, t.probeAt(now))
	}
	if t.people() {
		at = latest(at, t.memory.free(now))
	}
	return at, true
}

// readyWithout is ready for a lane without a receiver.
func (t turn) readyWithout(now time.Time) (time.Time, bool) {
	l := t.work.Lane
	parked := !l.ParkedSince.IsZero()
	switch {
	case t.work.Waiting == 0:
		return now, parked || l.Failing() || l.Told
	case !parked:
		return now, true
	}
	return latest(l.ParkedSince.Add(removedAfter), t.memory.restUntil), true
}

// probeAt is when a failing lane may be tried next. While one row alone has
// failed, probe after probe, another row that became due is a better question
// than the same row again: it need not wait for the long pause that the first
// one earned, so that a single bad row does not hold up its lane.
func (t turn) probeAt(now time.Time) time.Time {
	l := t.work.Lane
	if l.ProbeAt.Sub(now) > farOff {
		return now
	}
	if l.Broad || l.Probes == 0 || t.work.DueCount < 2 {
		return l.ProbeAt
	}
	soon := latest(t.memory.notBefore, t.memory.lastTry.Add(probeWait(0)))
	if soon.Before(l.ProbeAt) {
		return soon
	}
	return l.ProbeAt
}

func (t turn) people() bool {
	_, ok := t.receiver.(Digester)
	return ok
}

// claim says how many rows this turn takes: a probe one, machines a few and
// people all that is due.
func (t turn) claim() int {
	switch {
	case t.work.Lane.Failing():
		return 1
	case !t.people():
		return maxClaim
	case t.memory.most > 0:
		return t.memory.most
	}
	return maxDigest
}

// messages divides the rows of a turn, oldest first. Machines get one by one.
// People get rows of a group in one message and each other row in its own; but
// when these are more messages than may go now, or a digest was refused, all in
// one.
func (t turn) messages(rows []Delivery, now time.Time) [][]Delivery {
	var ms [][]Delivery
	groups := make(map[string]int)
	for i, row := range rows {
		at, ok := groups[row.Group]
		if ok && row.Group != "" && t.people() {
			ms[at] = append(ms[at], row)
			continue
		}
		groups[row.Group] = len(ms)
		ms = append(ms, rows[i:i+1:i+1])
	}
	if t.people() && (len(ms) > t.memory.left(now) || t.memory.most > 0) {
		return [][]Delivery{rows}
	}
	return ms
}

// remember notes what an attempt means for the next turns.
func (t turn) remember(a attempt, outcome Outcome, after time.Duration, now time.Time) {
	m := t.memory
	m.lastTry, m.notBefore = now, time.Time{}
	if outcome == Retry && after > 0 {
		m.notBefore = now.Add(asked(after))
	}
	if t.people() && outcome == Success {
		m.sentAt(now)
	}
	switch {
	case outcome == Refused && len(a.rows) > 1:
		m.most = max(len(a.rows)/2, 1)
	case outcome == Refused, t.work.DueCount <= len(a.rows):
		m.most = 0
	}
}

// lateness says whether a failing lane made the row late by more than a minute.
func lateness(l Lane, row Delivery, now time.Time) *Outage {
	ready := latest(row.CreatedAt, row.Hold)
	late := now.Sub(ready)
	switch {
	case late <= time.Minute:
		return nil
	case l.Failing():
		return &Outage{From: l.FailingSince, To: now, Reason: l.LastError, Late: late}
	case l.LastTo.After(ready):
		return &Outage{From: l.LastFrom, To: l.LastTo, Reason: l.LastReason, Late: late}
	}
	return nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
