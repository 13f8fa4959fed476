package watcher

import (
	"context"
	"time"
)

// Registry makes looks. Implementations are safe for concurrent use, send
// nothing before the host allows it, and return *[LookError] on failure.
type Registry interface {
	// Digest asks what a tag points to: one HEAD, or its stand-in where a
	// registry has none. A tag that does not exist is NotFound only after HEAD
	// and GET both said so.
	Digest(ctx context.Context, ref string) (string, error)
	// Snapshot reads what the digest holds for the wanted platforms of t. A
	// snapshot without any of them is an error of class NoPlatform that says
	// which platforms exist. SeenAt is left zero.
	Snapshot(ctx context.Context, t Target, digest string) (Snapshot, error)
	// Tags lists the tags that the pattern of a family means, newest first. A
	// list that is not whole is an error, and so is one without any such tag: of
	// class NotFound.
	Tags(ctx context.Context, t Target) ([]string, error)
	// Allowance says how many looks at a host may begin now. When it is 0,
	// again says when to ask next.
	Allowance(host string) (n int, again time.Time)
}

// Store keeps targets, their states and what became of them. It is the only
// truth: the [Loop] keeps nothing between calls. Safe for concurrent use.
// Times are the store's own clock.
type Store interface {
	// Watch makes ts the whole set of one source (a configuration). Targets of
	// that source that are not in ts sleep: they are no longer claimed and keep
	// their history and number; back again they go on. Platforms, interval and
	// labels are replaced. Durable on return; the same set again writes nothing.
	//
	// The source of a family ([FamilySource]) goes with it: as long as the family
	// itself sleeps, its source is empty, whatever is asked.
	Watch(ctx context.Context, source string, ts []Target) error
	// Claim hands out due targets of one host, earliest first, at most r.Max,
	// each exclusively until r.TTL has passed or it is reported. It returns no
	// error and no claims when nothing is due.
	Claim(ctx context.Context, r ClaimRequest) ([]Claim, error)
	// State reads what is remembered of a target, or of a host's health. A ref
	// never reported has the zero State.
	State(ctx context.Context, ref string) (State, error)
	// Report ends claims. Each result is taken or refused by itself; stale
	// tokens are refused with [Stale] and change nothing. A result with a State
	// is committed in one transaction with its notes, its events and the
	// deliveries that follow from these, durable on return; one without is an
	// unchanged look, kept in memory and flushed later (a crash costs only the
	// look). An event whose key exists is ignored.
	Report(ctx context.Context, rs []Result) ([]Verdict, error)
}

// Passes is told of the end of a host's pass, in which all of its targets that
// were due have been looked at: what was held back for people until then goes.
// A pass that takes long ends twice: first, for news that must not wait, with
// drained false, and when nothing is due any more with drained true.
type Passes interface {
	EndPass(ctx context.Context, host string, drained bool) error
}

// Hosts lists what there is to do, for the [Loop].
type Hosts interface {
	// Hosts gives every host with claimable targets.
	Hosts(ctx context.Context) ([]HostLoad, error)
}

// HostLoad is a host's work: how many targets, the sum of looks that their
// intervals ask for, when the next is due.
type HostLoad struct {
	Host      string
	Targets   int
	PerMinute float64
	NextAt    time.Time
	// Unseen are targets without a look since the store was opened.
	Unseen int
}

// ClaimRequest asks for due targets.
type ClaimRequest struct {
	Host string
	Max  int
	TTL  time.Duration
	// Refs, when not empty, asks for these now, due or not (a user's `check`).
	// Those claimed by somebody else are left out.
	Refs []string
}

// Claim is an exclusive right to look at one target.
type Claim struct {
	Target Target
	Token  uint64 // only grows; goes back with the result
	Seq    uint64
	Seen   string // index digest last seen; empty: never
	// Quiet is [State.Quiet]: an unchanged digest needs no State.
	Quiet    bool
	LastGood time.Time
	Failures int
}

// Result ends a claim in one of three ways: handed back (Unlooked), unchanged
// (State nil), or with the state that follows from a look.
type Result struct {
	Ref   string
	Token uint64
	// NextAt is when the target is due next, in all three cases.
	NextAt time.Time
	// Unlooked hands the claim back: no look was made.
	Unlooked bool
	State    *State
	Events   []Event
	Notes    []Note
	// Health marks the health of a host, under the host's name. It has no
	// claim and no token.
	Health bool
}

// Verdict is what became of a result.
type Verdict string

// The verdicts.
const (
	Accepted Verdict = "accepted"
	Stale    Verdict = "stale" // the claim was lost to somebody else; look again
)

// Record is a target and what is remembered of it, for listings.
type Record struct {
	Target Target
	State  State
	// Asleep: no source holds the target any more.
	Asleep bool
}
