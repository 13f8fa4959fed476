// Package store holds what all stores have in common besides the contracts of
// watcher and outbox: how much of the past is kept.
package store

import "time"

// Limits say what a store keeps of the past. What waits to be told is never
// dropped, nor a target's newest history line, nor what a later message needs:
// the root of a thread that has rows left, the snapshot last acted on.
type Limits struct {
	// History lines of a target go when they are older than HistoryAge, or when
	// there are more than HistoryLines newer ones.
	HistoryAge   time.Duration
	HistoryLines int
	// Settled deliveries go when they were settled longer than SettledAge ago,
	// or when there are more than SettledRows newer ones; with the last of an
	// event's deliveries goes the event, with the last of a thread its root.
	SettledAge  time.Duration
	SettledRows int
	// Recent rows are kept however many there are, so that they can be replayed
	// and replied to.
	Recent time.Duration
}

// DefaultLimits keeps history for 400 days, so that a yearly look back finds
// last year, and deliveries for 90.
func DefaultLimits() Limits {
	const day = 24 * time.Hour
	return Limits{HistoryAge: 400 * day, HistoryLines: 1000, SettledAge: 90 * day, SettledRows: 50_000, Recent: 7 * day}
}

// Pruned counts what was dropped.
type Pruned struct{ Lines, Deliveries, Events, Roots int }

// Any reports whether anything was.
func (p Pruned) Any() bool { return p != Pruned{} }
