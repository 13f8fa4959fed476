package bolt

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

const otherRef = "docker.io/library/python:3.13-slim"

// damaged makes a store with two targets, each changed once, and flips one bit
// in a value of the first.
func damaged(t *testing.T, b bucket, keyHas string) (s *Store, logged *strings.Builder) {
	t.Helper()
	s = openNew(t, Options{Plan: testPlan})
	must(t, s.Watch(t.Context(), "config", []watcher.Target{testTarget(testRef), testTarget(otherRef)}))
	change(t, s, testRef, 1)
	change(t, s, otherRef, 1)
	must(t, s.Close())
	db, err := bbolt.Open(s.Path(), 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		c := tx.Bucket([]byte(b)).Cursor()
		for key, value := c.First(); key != nil; key, value = c.Next() {
			if strings.Contains(string(key), keyHas) {
				value = append([]byte(nil), value...)
				value[len(value)-1] ^= 4
				return tx.Bucket([]byte(b)).Put(append([]byte(nil), key...), value)
			}
		}
		return errors.New("nothing to damage")
	}))
	must(t, db.Close())
	logged = new(strings.Builder)
	return openAt(t, Options{Path: s.Path(), Plan: testPlan, Logger: slog.New(slog.NewTextHandler(logged, nil))}), logged
}

func expectDamage(t *testing.T, err error, b bucket) {
	t.Helper()
	var de *DamagedError
	if !errors.As(err, &de) || de.Bucket != string(b) {
		t.Errorf("error %v, want damage of bucket %s", err, b)
	}
}

func claimAll(t *testing.T, s *Store, lane string) []outbox.Delivery {
	t.Helper()
	ds, err := s.Outbox().Claim(t.Context(), outbox.ClaimRequest{Lane: lane, Max: 10, TTL: time.Minute})
	must(t, err)
	return ds
}

func TestADamagedStateIsAnErrorOfThatTargetAlone(t *testing.T) {
	s, _ := damaged(t, statesBucket, testRef)
	_, err := s.State(t.Context(), testRef)
	expectDamage(t, err, statesBucket)
	st, err := s.State(t.Context(), otherRef)
	must(t, err)
	if st.Seq != 1 {
		t.Error("the other state is not whole")
	}
	rs, err := s.Records(t.Context())
	must(t, err)
	if rs[0].State.Health.Problem != watcher.Invalid || !strings.Contains(rs[0].State.Health.Reason, "states") || rs[1].State.Seq != 1 {
		t.Errorf("records %+v", rs)
	}
}

func TestADamagedLookIsReadFromTheStateInstead(t *testing.T) {
	s, logged := damaged(t, looksBucket, testRef)
	cs, err := s.Claim(t.Context(), watcher.ClaimRequest{Refs: []string{testRef}, TTL: time.Minute})
	must(t, err)
	if cs[0].Seq != 1 || cs[0].Seen != testSnapshot(2).Index || !cs[0].Quiet {
		t.Errorf("claim %+v", cs[0])
	}
	if !strings.Contains(logged.String(), "looks") {
		t.Errorf("log %q", logged)
	}
}

func TestADamagedTargetIsPassedOverUntilItIsWatchedAgain(t *testing.T) {
	s, logged := damaged(t, targetsBucket, testRef)
	if !strings.Contains(logged.String(), "targets") || s.looks[testRef] != nil {
		t.Errorf("log %q", logged)
	}
	must(t, s.Watch(t.Context(), "config", []watcher.Target{testTarget(testRef), testTarget(otherRef)}))
	cs, err := s.Claim(t.Context(), watcher.ClaimRequest{Refs: []string{testRef}, TTL: time.Minute})
	must(t, err)
	if cs[0].Seq != 1 || cs[0].Seen == "" {
		t.Errorf("it began anew: %+v", cs[0])
	}
}

func TestADamagedDeliveryHoldsUpNoOther(t *testing.T) {
	for _, b := range []bucket{deliveriesBucket, eventsBucket} {
		t.Run(string(b), func(t *testing.T) {
			key := "changed|" + testRef
			if b == deliveriesBucket {
				key = outbox.DeliveryID(testChange(testRef, 1).Key, "hook", "")
			}
			s, logged := damaged(t, b, key)
			ds := claimAll(t, s, "hook")
			if len(ds) != 1 || ds[0].Event.Ref != otherRef {
				t.Errorf("claimed %v", ds)
			}
			if !strings.Contains(logged.String(), string(b)) {
				t.Errorf("log %q", logged)
			}
			all, err := s.Deliveries(t.Context(), outbox.Query{Receiver: "hook"})
			must(t, err)
			if len(all) != 1 {
				t.Errorf("listed %v", all)
			}
		})
	}
}

func TestADamagedDeliveryFreesWhatItWouldCover(t *testing.T) {
	s := openNew(t, Options{Plan: testPlan})
	must(t, s.Outbox().Settle(t.Context(), outbox.Settlement{Born: []watcher.Event{testChange(testRef, 1), testChange(testRef, 2)}}))
	newest := outbox.DeliveryID(testChange(testRef, 2).Key, "slack:#shop", "")
	must(t, s.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(deliveriesBucket)).Put([]byte(newest), []byte("garbage"))
	}))
	if ds := claimAll(t, s, "slack:#shop"); len(ds) != 0 {
		t.Errorf("claimed %v", ds)
	}
	if ds := claimAll(t, s, "slack:#shop"); len(ds) != 1 || ds[0].Event.Seq != 1 {
		t.Errorf("claimed %v", ds)
	}
}

func TestADeliveryThatIsDamagedWhileClaimedIsLostAlone(t *testing.T) {
	s := openNew(t, Options{Plan: testPlan})
	must(t, s.Outbox().Settle(t.Context(), outbox.Settlement{Born: []watcher.Event{testChange(testRef, 1), testChange(otherRef, 1)}}))
	ds := claimAll(t, s, "hook")
	must(t, s.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(deliveriesBucket)).Put([]byte(ds[0].ID), []byte("garbage"))
	}))
	var steps []outbox.Step
	for _, d := range ds {
		steps = append(steps, outbox.Step{ID: d.ID, Token: d.Token, State: outbox.Delivered})
	}
	err := s.Outbox().Settle(t.Context(), outbox.Settlement{Steps: steps})
	var lost *outbox.LostError
	if !errors.As(err, &lost) || len(lost.IDs) != 1 || lost.IDs[0] != ds[0].ID {
		t.Errorf("error %v", err)
	}
	c, err := s.Counts(t.Context())
	must(t, err)
	if c.Delivered != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestADamagedNoteIsPassedOver(t *testing.T) {
	s, logged := damaged(t, historyBucket, testRef)
	notes, err := s.History(t.Context(), testRef, time.Time{}, 0)
	must(t, err)
	if len(notes) != 0 || !strings.Contains(logged.String(), "history") {
		t.Errorf("notes %v, log %q", notes, logged)
	}
}

func TestDamageToWhatEverythingRestsOnIsAnErrorOfOpen(t *testing.T) {
	s := openNew(t, Options{})
	must(t, s.Close())
	db, err := bbolt.Open(s.Path(), 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(metaBucket)).Put([]byte(metaSchema), []byte("garbage"))
	}))
	must(t, db.Close())
	_, err = Open(t.Context(), Options{Path: s.Path()})
	expectDamage(t, err, metaBucket)
}

func TestATruncatedFileIsAnErrorAndNoCrash(t *testing.T) {
	s := openNew(t, Options{Plan: testPlan})
	must(t, s.Watch(t.Context(), "config", []watcher.Target{testTarget(testRef)}))
	for seq := range uint64(50) {
		change(t, s, testRef, seq+1)
	}
	must(t, s.Close())
	info, err := os.Stat(s.Path())
	must(t, err)
	failed := 0
	for size := info.Size(); size > 4096; size = size * 7 / 8 / 4096 * 4096 {
		must(t, os.Truncate(s.Path(), size))
		if err := useAll(t.Context(), s.Path()); err != nil {
			failed++
		}
	}
	if failed == 0 {
		t.Error("nothing was noticed")
	}
}

// useAll opens a store and reads everything in it, without changing it.
func useAll(ctx context.Context, path string) error {
	s, err := Open(ctx, Options{Path: path, ReadOnly: true})
	if err != nil {
		return err
	}
	_, records := s.Records(ctx)
	_, history := s.History(ctx, testRef, time.Time{}, 0)
	_, deliveries := s.Deliveries(ctx, outbox.Query{})
	return errors.Join(records, history, deliveries, s.Close())
}
