// Package storetest holds what every store must do, as tests that a backend
// runs over itself: the contracts of watcher.Store, watcher.Passes,
// watcher.Hosts and outbox.Store, and the reads that listings need.
//
// A backend gives a [Place], where stores can be opened again after Close or
// after a crash, and calls [Run]. Each test has a place of its own and runs in
// a testing/synctest bubble: time is virtual, so a backend that waits on a
// socket outside of the bubble stops the clock and must be reached in memory.
package storetest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/store"
	"basewatch/watcher"
)

// Store is all that a backend offers.
type Store interface {
	watcher.Store
	watcher.Passes
	watcher.Hosts
	watcher.Census

	Outbox() outbox.Store
	Records(ctx context.Context, refs ...string) ([]watcher.Record, error)
	History(ctx context.Context, ref string, since time.Time, limit int) ([]watcher.Note, error)
	Deliveries(ctx context.Context, q outbox.Query) ([]outbox.Delivery, error)
	Event(ctx context.Context, key string) (watcher.Event, bool, error)
	Replay(ctx context.Context, ids []string) (int, error)
	Retry(ctx context.Context, receiverOrLane string, ids []string) (int, error)
	Counts(ctx context.Context) (outbox.Counts, error)
	Writable(ctx context.Context) error
	Prune(ctx context.Context) (store.Pruned, error)
	Close() error
}

// Plan says which deliveries an event means.
type Plan func(watcher.Event) []outbox.Delivery

// Place is where one store lives.
type Place interface {
	// Open opens the store, made at the first call. It is closed with the
	// test, if not before.
	Open(t *testing.T, plan Plan) Store
	// Crash gives the place as it would be found if the process died now. What
	// is open at the old one is of no use any more.
	Crash(t *testing.T) Place
}

// Run tests a backend; newPlace gives an empty place.
func Run(t *testing.T, newPlace func(t *testing.T) Place) {
	t.Helper()
	groups := []struct {
		name  string
		tests []promise
	}{
		{"claims", claimTests()}, {"reports", reportTests()}, {"watch", watchTests()},
		{"deliveries", deliveryTests()}, {"slots", slotTests()}, {"holds", holdTests()}, {"threads", threadTests()},
		{"lanes", laneTests()}, {"reads", readTests()}, {"durable", durableTests()}, {"prune", pruneTests()},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			for _, p := range g.tests {
				t.Run(p.name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b := &bench{T: t, place: newPlace(t)}
						b.open()
						p.test(b)
					})
				})
			}
		})
	}
}

// promise is one test; its name says what is promised.
type promise struct {
	name string
	test func(b *bench)
}
