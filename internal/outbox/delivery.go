package outbox

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"strings"
	"time"

	"basewatch/watcher"
)

// State is where a delivery stands.
type State string

// The states. Only a waiting row is ever attempted; all others are final until
// a replay makes the row wait again.
const (
	Waiting    State = "waiting"
	Delivered  State = "delivered"
	Skipped    State = "skipped"    // a gate said no; Reason says which
	Dead       State = "dead"       // given up; Reason says why
	Superseded State = "superseded" // a newer one told it; By names that one
)

// Delivery is one event on its way to one lane.
type Delivery struct {
	ID       string `json:"id"`
	EventKey string `json:"event_key"`
	// Lane is receiver or receiver:address; deliveries of a lane go one by one.
	Receiver  string `json:"receiver"`
	Address   string `json:"address,omitempty"`
	Dependent string `json:"dependent,omitempty"`
	// Thread is the event's; rows of one lane and thread go in order.
	Thread string `json:"thread"`
	// Slot is what a newer row supersedes an older one by; empty: nothing does.
	Slot string `json:"slot,omitempty"`
	// Route says which route planned it: route[1], or default.
	Route string `json:"route"`

	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"` // the ID that superseded it

	CreatedAt time.Time `json:"created_at"`
	// Hold keeps the row back until then. HoldFor says why: "pass:docker.io"
	// or "first:docker.io", whose end is also the hold's; "wave", changes of one repository gather;
	// "daily"; "window", it is closed.
	Hold    time.Time `json:"hold,omitzero"`
	HoldFor string    `json:"hold_for,omitempty"`
	// Group makes one message of rows of a lane that are due together. A new
	// row held for a wave takes the hold of the earliest row of its lane and
	// group that is still held for it.
	Group string `json:"group,omitempty"`
	// Window holds the windows that the row was planned with, as in
	// [ParseWindows]. A row that could not go within them waits for the next.
	Window []string `json:"window,omitempty"`
	// NextAt is the row's own schedule.
	NextAt    time.Time `json:"next_at,omitzero"`
	SettledAt time.Time `json:"settled_at,omitzero"`

	Token    uint64    `json:"token"`              // fence; only grows
	Failures int       `json:"failures,omitempty"` // reset by replay
	Attempts []Attempt `json:"attempts,omitempty"` // the last 50
	Receipt  Receipt   `json:"receipt,omitzero"`   // of the last attempt that gave one

	// What a claim joins to the row; never stored with it.
	Event watcher.Event `json:"-"`
	// Root is the receipt that began this row's thread on this lane, if any.
	Root *Receipt `json:"-"`
	// Covers are older waiting rows of the same slot, oldest first. They are
	// told by this one.
	Covers []Delivery `json:"-"`
	// Acted is what this receiver last acted on for the event's target.
	Acted *watcher.Snapshot `json:"-"`
	// Outage is set by the dispatcher when the lane's failing made this late.
	Outage *Outage `json:"-"`
}

// Lane names the lane that the row is on.
func (d Delivery) Lane() string { return LaneName(d.Receiver, d.Address) }

// Due is when the row may first be attempted, as far as the row itself goes.
func (d Delivery) Due() time.Time {
	if d.Hold.After(d.NextAt) {
		return d.Hold
	}
	return d.NextAt
}

// Attempt is one try: the audit.
type Attempt struct {
	At      time.Time     `json:"at"`
	Took    time.Duration `json:"took"`
	Outcome Outcome       `json:"outcome"`
	// Answer holds the first bytes of what the receiver said, or of the error;
	// at most 512, no secret.
	Answer string `json:"answer,omitempty"`
}

// Outcome is the class of an attempt: few, bounded, fit for a metric label.
type Outcome string

// The outcomes.
const (
	Success Outcome = "delivered"
	Retry   Outcome = "retry"
	Refused Outcome = "refused" // permanent
	Snoozed Outcome = "snoozed"
	Panic   Outcome = "panic"
)

// Receipt is what a receiver wants to have back: where the message is.
// State is at most 4 KiB.
type Receipt struct {
	Link  string          `json:"link,omitempty"`
	State json.RawMessage `json:"state,omitempty"`
	// Reroot makes this the root of the thread also where one stands: the old
	// root no longer takes replies.
	Reroot bool `json:"reroot,omitempty"`
}

// IsZero reports an empty receipt.
func (r Receipt) IsZero() bool { return r.Link == "" && len(r.State) == 0 && !r.Reroot }

// Outage is why a message is late.
type Outage struct {
	From, To time.Time
	Reason   string // the last error of the lane
	Late     time.Duration
}

// LaneName is receiver, or receiver:address.
func LaneName(receiver, address string) string {
	if address == "" {
		return receiver
	}
	return receiver + ":" + address
}

// SplitLane is the reverse of [LaneName]. Names of receivers have no colon.
func SplitLane(lane string) (receiver, address string) {
	receiver, address, _ = strings.Cut(lane, ":")
	return receiver, address
}

// DeliveryID makes the ID of an event's delivery to a lane (about a dependent,
// or ""): 26 base32 letters, the same for ever.
func DeliveryID(eventKey, lane, dependent string) string {
	sum := sha256.Sum256([]byte(eventKey + "|" + lane + "|" + dependent))
	return base32.StdEncoding.EncodeToString(sum[:])[:26]
}
