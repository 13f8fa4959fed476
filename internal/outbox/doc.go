// Package outbox brings events to receivers: each one at least once, in order,
// at each receiver's pace, and none lost without a visible dead letter.
//
// The parts, in the order in which one event meets them:
//
//   - [Router.Plan]: pure. Which routes match an event, and so which
//     deliveries it means. The store calls it inside the transaction that
//     commits the event.
//   - [Dispatcher]: claims what is due, lane by lane, and hands it to the
//     lane's [Receiver]. One attempt is in flight per lane.
//   - settle: the only function that moves a delivery or a lane from one state
//     to another. It is pure.
//   - [Store]: keeps rows, receipts, roots of threads and the health of lanes.
//
// People and machines are told differently: machines get each event by itself
// and at once; people get at most a few messages a minute, older changes of an
// image within the newest, and what is more than a few as one digest.
//
// A delivery is waiting until it is delivered, skipped, dead or superseded.
// A receiver may see the same ID twice, never two IDs for one thing.
//
// The package knows no kind of receiver and no database.
package outbox
