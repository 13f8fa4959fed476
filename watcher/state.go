package watcher

import "time"

// Manifest is one platform's entry of an index.
type Manifest struct {
	Digest      string            `json:"digest"` // of the platform's manifest
	Size        int64             `json:"size,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Snapshot is what a target was at one moment.
type Snapshot struct {
	// Index is the digest that the tag pointed to: an index's, or a single
	// manifest's.
	Index string `json:"index"`
	// Platforms has the wanted platforms that were there, by normalized name.
	Platforms map[string]Manifest `json:"platforms"`
	// Others are the platforms that were there and not wanted, sorted.
	Others []string `json:"others,omitempty"`
	// Annotations are the index's own.
	Annotations map[string]string `json:"annotations,omitempty"`
	// SeenAt is when we first saw it.
	SeenAt time.Time `json:"seen_at"`
}

// State is all that is remembered of one target between looks. The zero State
// is a target never seen. A host's own health is kept in a State too, under
// the host's name; only its health fields are used.
type State struct {
	// Seq numbers the target's changes; the baseline is 0.
	Seq uint64 `json:"seq"`
	// Seen is the last index digest seen, also one that was noise.
	Seen string `json:"seen,omitempty"`
	// Current is what was last told, or the baseline.
	Current *Snapshot `json:"current,omitempty"`
	// Pending is a moved projection that has not settled, PendingSince when
	// the first of its moves was seen, MovedAt the last. While platforms are
	// awaited the two times are of the moves of the others, if there are any.
	Pending      *Snapshot `json:"pending,omitempty"`
	PendingSince time.Time `json:"pending_since,omitzero"`
	MovedAt      time.Time `json:"moved_at,omitzero"`
	// ToldAt is when a change was last told; zero after a baseline.
	ToldAt time.Time `json:"told_at,omitzero"`
	// Told are hashes of the last 32 projections told, oldest first.
	Told []string `json:"told,omitempty"`
	// Awaiting are the platforms that had not moved when a partial change was
	// told, PartialAt when, Thread the key of that event.
	Awaiting  []string  `json:"awaiting,omitempty"`
	PartialAt time.Time `json:"partial_at,omitzero"`
	Thread    string    `json:"thread,omitempty"`
	// MissingSince is when each wanted platform that is absent was first
	// missed; MissingTold, which of them was told.
	MissingSince map[string]time.Time `json:"missing_since,omitempty"`
	MissingTold  []string             `json:"missing_told,omitempty"`

	// Family is what a family's last good look found; nil for an image, and
	// before the first.
	Family *Family `json:"family,omitempty"`
	// FrozenAt is when it was told that the tag is no longer rebuilt; zero: it
	// was not, or the tag has changed since.
	FrozenAt time.Time `json:"frozen_at,omitzero"`

	Health Health `json:"health"`

	// NextAt is when the next look is due: the next poll, or earlier when
	// something pending may close.
	NextAt time.Time `json:"next_at,omitzero"`
}

// Health is how looks at a target (or at all of a host) went.
type Health struct {
	LastLook time.Time `json:"last_look,omitzero"` // any look
	LastGood time.Time `json:"last_good,omitzero"` // the last that succeeded
	Failures int       `json:"failures,omitempty"` // in a row
	Since    time.Time `json:"since,omitzero"`     // the first of them
	Problem  Problem   `json:"problem,omitempty"`  // the last one's class
	Reason   string    `json:"reason,omitempty"`   // the last one's text, for people
	Told     bool      `json:"told,omitempty"`     // `failing` was told; `recovered` is owed
	// PausedUntil is when a host that asked us to wait may be asked again, also
	// by the next start.
	PausedUntil time.Time `json:"paused_until,omitzero"`
	// NotFound counts looks in a row that proved the tag gone, NotFoundSince
	// when the first was; Gone, that it was told.
	NotFound      int       `json:"not_found,omitempty"`
	NotFoundSince time.Time `json:"not_found_since,omitzero"`
	Gone          bool      `json:"gone,omitempty"`
}

// Quiet reports whether a look that finds the digest last seen can change
// nothing: the target is known, healthy, nothing is pending or awaited, and
// every absence was told.
func (s State) Quiet() bool {
	return (s.Current != nil || s.Family != nil) && s.Pending == nil && len(s.Awaiting) == 0 &&
		len(s.MissingSince) == len(s.MissingTold) && s.Health.Failures == 0 && !s.Health.Told && !s.Health.Gone
}

// Look is what one look found. Exactly one of Err and Digest is set.
type Look struct {
	Digest string
	// Snapshot is nil when Digest equals State.Seen: nothing new was read.
	Snapshot *Snapshot
	// Tags are what a look at a family found, newest first; Digest stands for
	// them.
	Tags []string
	Err  error
}
