package watcher

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Kind is what an event is about. The list is closed.
type Kind string

// The kinds. [Sent] tells those that something sends today; the others are
// names that a route may already hold.
const (
	Changed           Kind = "changed"            // a base really moved
	Report            Kind = "report"             // what differs, when it is known later
	Appeared          Kind = "appeared"           // a new tag of a family
	Gone              Kind = "gone"               // a tag was deleted
	Failing           Kind = "failing"            // looks at a target or a host keep failing
	Recovered         Kind = "recovered"          // and work again
	Frozen            Kind = "frozen"             // a tag is no longer rebuilt
	Incomplete        Kind = "incomplete"         // a wanted platform is absent
	Baseline          Kind = "baseline"           // first sight of a target
	Triggered         Kind = "triggered"          // a rebuild was set off
	Rebuilt           Kind = "rebuilt"            // and stands on the new base
	StaleRebuild      Kind = "stale-rebuild"      // and still stands on the old one
	Overdue           Kind = "overdue"            // and did not come in time
	Held              Kind = "held"               // a gate holds a rebuild
	ReceiverFailing   Kind = "receiver-failing"   // a receiver does not take what we send
	ReceiverRecovered Kind = "receiver-recovered" // and takes it again
	ConfigRefused     Kind = "config-refused"     // an edited configuration was not taken
	Test              Kind = "test"               // somebody asked for it
)

// Kinds lists every kind, in the order of the documentation.
func Kinds() []Kind {
	return []Kind{Changed, Report, Appeared, Gone, Failing, Recovered, Frozen, Incomplete, Baseline,
		Triggered, Rebuilt, StaleRebuild, Overdue, Held, ReceiverFailing, ReceiverRecovered, ConfigRefused, Test}
}

// Sent lists the kinds that something sends today.
func Sent() []Kind {
	return []Kind{Changed, Appeared, Gone, Failing, Recovered, Frozen, Incomplete, Baseline,
		ReceiverFailing, ReceiverRecovered, ConfigRefused, Test}
}

// StoreRef is the reference of events about the store itself: failing when it
// takes no writes or was lost, recovered when it takes them again.
const StoreRef = "store"

// Event is something that people or machines may be told of. It is a value:
// once committed it never changes.
type Event struct {
	// Key names the event for good: the same event found twice has the same
	// key, and the second is ignored. See [Event.Identify].
	Key  string    `json:"key"`
	Kind Kind      `json:"kind"`
	Ref  string    `json:"ref"` // canonical; for a host's event the host, for a receiver's the lane, for the store's [StoreRef]
	Seq  uint64    `json:"seq,omitempty"`
	At   time.Time `json:"at"`
	// Old and New are set for changed; New alone for baseline; Old alone, what
	// was last told, for gone. Platforms of New that did not move are those
	// whose digest equals Old's.
	Old *Snapshot `json:"old,omitempty"`
	New *Snapshot `json:"new,omitempty"`
	// Platforms are the wanted platforms that moved (changed) or are concerned
	// (incomplete), sorted.
	Platforms []string `json:"platforms,omitempty"`
	Partial   bool     `json:"partial,omitempty"`  // Awaiting had not moved yet
	Awaiting  []string `json:"awaiting,omitempty"` // platforms still to move
	Rollback  bool     `json:"rollback,omitempty"` // New was told before
	// Thread is the key of the change that began what this belongs to: its own
	// key, but for the follow-up of a partial change that one's.
	Thread string              `json:"thread"`
	Labels map[string][]string `json:"labels,omitempty"`
	// Problem and Reason say what is wrong, for failing, gone, frozen,
	// receiver-failing. A family's baseline says in Reason what it found.
	Problem Problem `json:"problem,omitempty"`
	Reason  string  `json:"reason,omitempty"`
	// Since is when that began (failing, gone, frozen, incomplete,
	// receiver-failing), also in the event that tells its end.
	Since time.Time `json:"since,omitzero"`
	// CatchUp marks a change found by a target's first look after a long gap:
	// people hear of it when the host's first pass has ended.
	CatchUp bool `json:"catch_up,omitempty"`
	// Family is the family that a tag appeared in.
	Family string `json:"family,omitempty"`
	// Receiver is the receiver that a receiver's event is about, or the one a
	// test is meant for. A receiver is never told about its own failing.
	Receiver string `json:"receiver,omitempty"`
	// Report says what differs and whether it matters, once something has
	// inspected the change. Nothing does yet; the field keeps its place.
	Report json.RawMessage `json:"report,omitempty"`
}

// Identify sets Key, and Thread where it is empty. A change's key is
// kind|ref|seq|digest12; that of a tag which appeared kind|ref, since that
// happens once; any other's kind|ref|second its cause began, so that finding it
// again makes the same key.
func (e *Event) Identify() {
	switch e.Kind {
	case Changed:
		e.Key = strings.Join([]string{string(e.Kind), e.Ref, strconv.FormatUint(e.Seq, 10), Digest12(e.New.Index)}, "|")
	case Appeared:
		e.Key = string(e.Kind) + "|" + e.Ref
	default:
		began := e.Since
		if began.IsZero() {
			began = e.At
		}
		e.Key = strings.Join([]string{string(e.Kind), e.Ref, strconv.FormatInt(began.Unix(), 10)}, "|")
	}
	if e.Thread == "" {
		e.Thread = e.Key
	}
}

// Handle is how people name a change everywhere: python:3.13-slim@42. Events
// without a number are named by their reference.
func (e Event) Handle() string {
	if e.Seq == 0 {
		return Short(e.Ref)
	}
	return Short(e.Ref) + "@" + strconv.FormatUint(e.Seq, 10)
}

// Digest12 is the part of a digest that people compare: the first 12 hex
// digits.
func Digest12(d string) string {
	_, hex, ok := strings.Cut(d, ":")
	if !ok {
		hex = d
	}
	return hex[:min(12, len(hex))]
}

// Note is one line of a target's history. A changed line has the whole event;
// the others say what was seen and why nobody was told.
type Note struct {
	At   time.Time `json:"at"`
	Kind NoteKind  `json:"kind"`
	// Index is the digest seen; for a flap, the one that came and went.
	Index string `json:"index,omitempty"`
	Text  string `json:"text,omitempty"`
	Event *Event `json:"event,omitempty"`
}

// NoteKind says what a history line is about.
type NoteKind string

// The kinds of history lines.
const (
	NoteBaseline NoteKind = "baseline"
	NoteChanged  NoteKind = "changed"
	NoteQuiet    NoteKind = "quiet"    // the index moved, no wanted platform did
	NoteFlap     NoteKind = "flap"     // moved and came back before it settled
	NoteAppeared NoteKind = "appeared" // a new tag of a family
	NoteHealth   NoteKind = "health"
)
