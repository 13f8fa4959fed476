package bolt

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// storedRow is a delivery in the file. Order is its place among all deliveries
// ever planned.
type storedRow struct {
	outbox.Delivery
	Order uint64 `json:"order"`
}

// insertEvents stores events and the deliveries that they plan, and gives the
// rows to be added to memory after the commit. An event or a delivery that is
// there already is left as it is.
func (s *Store) insertEvents(tx *bbolt.Tx, events []watcher.Event, now time.Time) ([]*row, error) {
	var rows []*row
	for i := range events {
		e := &events[i]
		if e.Key == "" {
			return nil, fmt.Errorf("event %s of %s has no key", e.Kind, e.Ref)
		}
		if has(tx, eventsBucket, []byte(e.Key)) {
			continue
		}
		if err := putJSON(tx, eventsBucket, []byte(e.Key), e); err != nil {
			return nil, err
		}
		planned, err := s.planned(*e)
		if err != nil {
			return nil, err
		}
		for _, d := range planned {
			s.joinWave(&d, now)
			w, err := insertDelivery(tx, e, d, now)
			if err != nil {
				return nil, err
			}
			if w != nil {
				rows = append(rows, w)
			}
		}
	}
	return rows, nil
}

// planned asks the plan. Its panic is an error here, so that it is not taken
// for a fault of the file.
func (s *Store) planned(e watcher.Event) (ds []outbox.Delivery, err error) {
	plan := s.plan.Load()
	if plan == nil || *plan == nil {
		return nil, nil
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("plan deliveries of %s: panic: %v", e.Key, r)
		}
	}()
	return (*plan)(e), nil
}

// insertDelivery stores a planned delivery as a waiting row; nil: it exists.
func insertDelivery(tx *bbolt.Tx, e *watcher.Event, d outbox.Delivery, now time.Time) (*row, error) {
	if d.Receiver == "" {
		return nil, errors.New("plan deliveries of " + e.Key + ": a delivery without a receiver")
	}
	d.EventKey, d.State, d.CreatedAt = e.Key, outbox.Waiting, now
	if d.ID == "" {
		d.ID = outbox.DeliveryID(e.Key, d.Lane(), d.Dependent)
	}
	if d.Thread == "" {
		d.Thread = e.Thread
	}
	key := []byte(d.ID)
	if has(tx, deliveriesBucket, key) {
		return nil, nil
	}
	order, err := next(tx, orderBucket)
	if err != nil {
		return nil, err
	}
	st := storedRow{Delivery: d, Order: order}
	if err := putJSON(tx, deliveriesBucket, key, &st); err != nil {
		return nil, err
	}
	if err := put(tx, orderBucket, be64(order), key); err != nil {
		return nil, err
	}
	return newRow(&st), put(tx, waitingBucket, key, nil)
}
