// Package bolt keeps everything that basewatch knows in one bbolt file: the
// embedded default, for one process.
//
// The parts, from the outside in:
//
//   - [Open] and [Options]: the file, its lock, its first creation.
//   - [Store]: targets, their states and histories (watcher.Store, Passes and
//     Hosts), and what people and commands read (Records, History, Deliveries,
//     Event, Counts) or ask for (Replay, Retry).
//   - [Store.Outbox]: the same store as outbox.Store. It is a view of its own
//     because both contracts have a method named Claim.
//
// # What is where
//
// Each target has one fixed record in memory (type look): the digest seen,
// when it is due, who holds its claim. It is written whenever a state is, and
// after unchanged looks every few minutes for all targets together, so a crash
// costs those looks again and nothing else. Snapshots, histories and settled
// deliveries stay in the file. Each delivery that waits has a small record in
// memory too (type row), from which lanes, slots and threads are judged.
// Claims live in memory alone: a crash frees them at once. Their tokens grow
// over restarts all the same, since each start takes a new range.
//
// # What is promised
//
// What Watch, a Report with a state, Settle, EndPass, Replay and Retry return
// from is on disk: a change, its history, its events and the deliveries they
// plan are one transaction, and so are the settled rows and the events born of
// them. Concurrent Reports and Settles share a transaction when they meet.
// NoSync is never used.
//
// Each value carries a schema tag and a checksum over its bucket, its key and
// itself. A value that does not match is a [*DamagedError] that names both; it
// is never used, and it harms nothing but its own row.
//
// # Locks
//
// Two, always taken in this order: write (a channel, so that waiting for the
// disk can be cancelled) is held over a whole transaction and what it does to
// memory; mu guards the memory and is never held over a disk access. Rows and
// targets that a transaction is about are busy meanwhile: nobody can claim
// them, and a second report of them is stale.
package bolt
