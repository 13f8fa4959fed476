package outbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"basewatch/watcher"
)

// Receiver brings one delivery to one destination (d.Address, or its own). It
// is called concurrently for different lanes and may see the same d.ID again:
// after a crash, or an answer that was lost. It obeys ctx, which has a
// deadline, and returns nil only when the destination has taken the message.
// Errors made by [Permanent], [RetryAfter] and [Snooze] say more; any other is
// retried on schedule. No error holds a secret. A receipt is kept after any
// outcome and comes back as d.Receipt with the next attempt.
type Receiver interface {
	Deliver(ctx context.Context, d Delivery) (Receipt, error)
}

// Digester is a receiver that can tell several deliveries of one lane in one
// message. All or none are delivered. ds has at least two, oldest first.
type Digester interface {
	Receiver
	Digest(ctx context.Context, ds []Delivery) (Receipt, error)
}

// Store keeps deliveries. Safe for concurrent use; times are its own clock;
// what Settle returned from is durable.
type Store interface {
	// Lanes lists the lanes that have waiting rows or are not well, in the
	// order of their names.
	Lanes(ctx context.Context) ([]LaneWork, error)
	// Claim hands out due rows of one lane, oldest first, at most r.Max, each
	// exclusively until r.TTL has passed or it is settled, with a new token and
	// joined with its event, root, covers and acted snapshot. A row waits while
	// an earlier row of its thread waits on the lane, unless it covers that
	// one. Of a slot only the newest due row is returned, with all older
	// waiting rows as its covers.
	Claim(ctx context.Context, r ClaimRequest) ([]Delivery, error)
	// Settle commits what follows from attempts, in one transaction: steps,
	// the lane's health, born events and what these plan. A step whose token is
	// no longer the row's changes nothing; the others are committed all the
	// same, and the error is a *[LostError] that names it. An event whose key
	// exists is ignored.
	Settle(ctx context.Context, s Settlement) error
}

// ClaimRequest asks for due rows of a lane.
type ClaimRequest struct {
	Lane string
	Max  int
	TTL  time.Duration
	// Probe asks for the due row least recently attempted, to go round the
	// waiting ones while a lane is failing.
	Probe bool
	// All asks for rows that are not due too (of a lane whose receiver is gone).
	All bool
}

// LaneWork is what a lane has to do.
type LaneWork struct {
	Lane    Lane
	Waiting int
	// Held are those of Waiting whose hold is ahead.
	Held int
	// DueCount are rows that a Claim would return now (covers not counted);
	// NextDue is when the earliest eligible row is or was due, zero when none
	// waits.
	DueCount int
	NextDue  time.Time
	// Oldest is when the oldest waiting row was created.
	Oldest time.Time
}

// Lane is the health of a lane.
type Lane struct {
	Name string `json:"name"`
	// FailingSince is zero while the lane is well.
	FailingSince time.Time `json:"failing_since,omitzero"`
	Probes       int       `json:"probes,omitempty"` // failed in a row
	ProbeAt      time.Time `json:"probe_at,omitzero"`
	// Untried is for how long of the outage no probe came though it was time:
	// the host slept, its clock was set, nothing ran, or every row was held. It
	// does not count towards giving up.
	Untried time.Duration `json:"untried,omitempty"`
	// FirstID is the row that made the lane failing; Broad, that another row
	// failed too, so that it is the lane and not the row.
	FirstID   string `json:"first_id,omitempty"`
	Broad     bool   `json:"broad,omitempty"`
	LastError string `json:"last_error,omitempty"`
	// Told says that receiver-failing was born in this outage, about ToldSince.
	Told      bool      `json:"told,omitempty"`
	ToldSince time.Time `json:"told_since,omitzero"`
	// LastFrom and LastTo are the last outage, for what it made late.
	LastFrom   time.Time `json:"last_from,omitzero"`
	LastTo     time.Time `json:"last_to,omitzero"`
	LastReason string    `json:"last_reason,omitempty"`
	// ParkedSince is set while no receiver has the lane's name.
	ParkedSince time.Time `json:"parked_since,omitzero"`
}

// Failing reports whether the lane waits for a probe to succeed.
func (l Lane) Failing() bool { return !l.FailingSince.IsZero() }

// Settlement is what follows from one attempt.
type Settlement struct {
	// Lane replaces what is kept of the lane; one without a name changes
	// nothing there.
	Lane Lane
	// Release makes rows that wait for their own schedule after failures due
	// now.
	Release bool
	Steps   []Step
	Born    []watcher.Event
}

// Step moves one row.
type Step struct {
	ID       string
	Token    uint64
	State    State
	Reason   string
	NextAt   time.Time
	Failures int
	// Hold and HoldFor replace the row's, unless zero.
	Hold    time.Time
	HoldFor string
	Attempt *Attempt // nil: none was made
	Receipt Receipt  // zero: keep the row's
	// Covers are superseded by this row when State is Delivered or Dead.
	Covers []string
}

// LostError names steps that came too late: somebody else has the row. It is
// not a failure of the others.
type LostError struct{ IDs []string }

func (e *LostError) Error() string { return "delivery no longer ours: " + strings.Join(e.IDs, ", ") }

// Permanent marks an error that no retry mends: the row is dead at once.
func Permanent(err error) error { return &outcomeError{err: err, outcome: Refused} }

// RetryAfter marks an error with the time that the receiver asked for: nothing
// goes to the lane before.
func RetryAfter(err error, d time.Duration) error {
	return &outcomeError{err: err, outcome: Retry, after: d}
}

// Snooze puts a row off without it being a failure.
func Snooze(d time.Duration, reason string) error {
	return &outcomeError{err: errors.New(reason), outcome: Snoozed, after: d}
}

type outcomeError struct {
	err     error
	outcome Outcome
	after   time.Duration
}

func (e *outcomeError) Error() string { return e.err.Error() }
func (e *outcomeError) Unwrap() error { return e.err }

// Classify says what an attempt's error means, and what wait it asks for (zero:
// none).
func Classify(err error) (Outcome, time.Duration) {
	if err == nil {
		return Success, 0
	}
	var oe *outcomeError
	if errors.As(err, &oe) {
		return oe.outcome, oe.after
	}
	var pe *panicError
	if errors.As(err, &pe) {
		return Panic, 0
	}
	return Retry, 0
}

type panicError struct {
	value any
	stack []byte // for the log only
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }
