package outbox_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"basewatch/internal/outbox"
	"basewatch/internal/store/bolt"
	"basewatch/watcher"
)

// disk is the real store; its settling can be made to fail, and it can crash.
type disk struct {
	outbox.Store
	t    *testing.T
	path string
	plan func(watcher.Event) []outbox.Delivery

	mu     sync.Mutex
	bolt   *bolt.Store
	wake   func()
	broken error // what every Settle says
}

func openDisk(t *testing.T, plan func(watcher.Event) []outbox.Delivery) *disk {
	t.Helper()
	d := &disk{t: t, path: filepath.Join(t.TempDir(), "basewatch.db"), plan: plan, wake: func() {}}
	d.open()
	t.Cleanup(d.close)
	return d
}

func (d *disk) open() {
	d.t.Helper()
	s, err := bolt.Open(context.Background(), bolt.Options{Path: d.path, Plan: d.plan, OnWork: d.onWork})
	if err != nil {
		d.t.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bolt, d.Store, d.broken = s, s.Outbox(), nil
}

func (d *disk) close() {
	if err := d.bolt.Close(); err != nil {
		d.t.Error(err)
	}
}

// crash frees all claims, as a new start does.
func (d *disk) crash() {
	d.close()
	d.open()
}

func (d *disk) onWork() {
	d.mu.Lock()
	wake := d.wake
	d.mu.Unlock()
	wake()
}

func (d *disk) setWake(wake func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wake = wake
}

// tell commits events, and what they plan.
func (d *disk) tell(events ...watcher.Event) {
	d.t.Helper()
	if err := d.Store.Settle(context.Background(), outbox.Settlement{Born: events}); err != nil {
		d.t.Fatal(err)
	}
}

func (d *disk) breakSettle(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = err
}

func (d *disk) Settle(ctx context.Context, s outbox.Settlement) error {
	d.mu.Lock()
	broken := d.broken
	d.mu.Unlock()
	if broken != nil {
		return broken
	}
	return d.Store.Settle(ctx, s)
}

// all gives the rows of a lane, oldest first.
func (d *disk) all(lane string) []outbox.Delivery {
	d.t.Helper()
	rows, err := d.bolt.Deliveries(context.Background(), outbox.Query{Receiver: lane})
	if err != nil {
		d.t.Fatal(err)
	}
	slices.Reverse(rows)
	return rows
}

// lane gives what is kept of a lane that has rows or is not well.
func (d *disk) lane(name string) outbox.Lane {
	d.t.Helper()
	works, err := d.Lanes(context.Background())
	if err != nil {
		d.t.Fatal(err)
	}
	for _, w := range works {
		if w.Lane.Name == name {
			return w.Lane
		}
	}
	return outbox.Lane{Name: name}
}

var (
	errDown = errors.New("503 unavailable")
	errFull = errors.New("no space left on device")
)
