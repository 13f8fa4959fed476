package bolt

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// transactions counts the writing transactions that a file has seen; each is
// two fdatasync.
func transactions(t testing.TB, s *Store) int {
	t.Helper()
	var id int
	if err := s.db.View(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}

func manyTargets(n int) []watcher.Target {
	ts := make([]watcher.Target, n)
	for i := range ts {
		ts[i] = testTarget(fmt.Sprintf("docker.io/acme/app%05d:1.%d", i/20, i%20))
	}
	return ts
}

// baseline reports a first state for all targets.
func baseline(t testing.TB, s *Store, n int) {
	t.Helper()
	for range n / 1000 {
		cs, err := s.Claim(t.Context(), watcher.ClaimRequest{Host: "docker.io", Max: 1000, TTL: time.Minute})
		if err != nil || len(cs) != 1000 {
			t.Fatal(len(cs), err)
		}
		rs := make([]watcher.Result, len(cs))
		for i, c := range cs {
			rs[i] = watcher.Result{Ref: c.Target.Ref, Token: c.Token, State: testState(0, 1), NextAt: time.Now().Add(time.Duration(i) * time.Second / 2)}
		}
		if _, err := s.Report(t.Context(), rs); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAPassOver10000UnchangedTargetsIsAtMost20Fdatasync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const targets = 10_000
		s := openNew(t, Options{})
		must(t, s.Watch(t.Context(), "config", manyTargets(targets)))
		baseline(t, s, targets)
		before, looks := transactions(t, s), 0
		for range 15 * 60 / 5 {
			time.Sleep(5 * time.Second)
			cs, err := s.Claim(t.Context(), watcher.ClaimRequest{Host: "docker.io", Max: targets, TTL: time.Minute})
			must(t, err)
			for _, c := range cs {
				_, err := s.Report(t.Context(), []watcher.Result{{Ref: c.Target.Ref, Token: c.Token, NextAt: time.Now().Add(15 * time.Minute)}})
				must(t, err)
			}
			looks += len(cs)
		}
		syncs := 2 * (transactions(t, s) - before)
		t.Logf("%d looks, %d fdatasync", looks, syncs)
		if looks != targets || syncs > 20 || syncs == 0 {
			t.Errorf("%d looks, %d fdatasync", looks, syncs)
		}
	})
}

func TestTheSameTargetsAgainWriteNothing(t *testing.T) {
	hints := 0
	s := openNew(t, Options{OnTargets: func() { hints++ }})
	must(t, s.Watch(t.Context(), "config", manyTargets(100)))
	before := transactions(t, s)
	must(t, s.Watch(t.Context(), "config", manyTargets(100)))
	if n := transactions(t, s) - before; n != 0 || hints != 1 {
		t.Errorf("%d transactions, %d hints", n, hints)
	}
}

func TestATargetCostsLittleMemory(t *testing.T) {
	const targets = 100_000
	path := filledFile(t, targets)
	before := heapInUse()
	s := openAt(t, Options{Path: path})
	perTarget := (heapInUse() - before) / targets
	runtime.KeepAlive(s)
	t.Logf("%d bytes of heap per target, names and indexes included", perTarget)
	if perTarget > 400 || perTarget == 0 {
		t.Errorf("%d bytes of heap per target", perTarget)
	}
}

// filledFile makes a store of many targets and leaves nothing of it in memory.
func filledFile(t *testing.T, targets int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "basewatch.db")
	s, err := Open(t.Context(), Options{Path: path})
	must(t, err)
	must(t, errors.Join(s.Watch(t.Context(), "config", manyTargets(targets)), s.Close()))
	return path
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // pools and finalizers need a second one
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestAnUnchangedLookAllocatesLittle(t *testing.T) {
	s := openNew(t, Options{})
	must(t, s.Watch(t.Context(), "config", manyTargets(1000)))
	baseline(t, s, 1000)
	r := watcher.ClaimRequest{Refs: []string{"docker.io/acme/app00000:1.0"}, Max: 1, TTL: time.Minute}
	allocs := testing.AllocsPerRun(200, func() {
		cs, err := s.Claim(t.Context(), r)
		must(t, err)
		_, err = s.Report(t.Context(), []watcher.Result{{Ref: cs[0].Target.Ref, Token: cs[0].Token, NextAt: time.Now()}})
		must(t, err)
	})
	if allocs > 12 {
		t.Errorf("%.0f allocations", allocs)
	}
}

// gathered starts writes while the disk is taken and lets them go together.
func gathered(t *testing.T, s *Store, writes ...func() error) (txs int, errs []error) {
	t.Helper()
	before := transactions(t, s)
	s.write <- struct{}{}
	errs = make([]error, len(writes))
	var all sync.WaitGroup
	for i, w := range writes {
		all.Go(func() { errs[i] = w() })
	}
	synctest.Wait()
	<-s.write
	all.Wait()
	return transactions(t, s) - before, errs
}

func reporting(t *testing.T, s *Store, ref string, reason string) func() error {
	cs, err := s.Claim(t.Context(), watcher.ClaimRequest{Refs: []string{ref}, Max: 1, TTL: time.Minute})
	must(t, err)
	return func() error {
		e := testChange(ref, 1)
		e.Reason = reason
		vs, err := s.Report(t.Context(), []watcher.Result{{Ref: ref, Token: cs[0].Token, State: testState(1, 2), Events: []watcher.Event{e}}})
		if err == nil && vs[0] != watcher.Accepted {
			return errors.New(string(vs[0]))
		}
		return err
	}
}

func TestReportsThatMeetShareOneTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openNew(t, Options{Plan: testPlan})
		ts := manyTargets(20)
		must(t, s.Watch(t.Context(), "config", ts))
		var writes []func() error
		for _, target := range ts {
			writes = append(writes, reporting(t, s, target.Ref, ""))
		}
		txs, errs := gathered(t, s, writes...)
		must(t, errors.Join(errs...))
		if txs != 1 {
			t.Errorf("%d transactions", txs)
		}
		if n := len(claimAll(t, s, "hook")); n != 10 {
			t.Errorf("%d rows", n)
		}
	})
}

func TestAWriteThatFailsHarmsNoneItMet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openNew(t, Options{Plan: testPlan})
		ts := manyTargets(3)
		must(t, s.Watch(t.Context(), "config", ts))
		_, errs := gathered(t, s, reporting(t, s, ts[0].Ref, ""),
			reporting(t, s, ts[1].Ref, string(make([]byte, maxValue))), reporting(t, s, ts[2].Ref, ""))
		if errs[0] != nil || errs[1] == nil || errs[2] != nil {
			t.Errorf("errors %v", errs)
		}
		if n := len(claimAll(t, s, "hook")); n != 2 {
			t.Errorf("%d rows", n)
		}
	})
}

// The plan is called within the transaction, so it sees what others would.
func TestWhatATransactionIsAboutCannotBeClaimedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openNew(t, Options{Plan: testPlan})
		must(t, s.Watch(t.Context(), "config", []watcher.Target{testTarget(testRef)}))
		must(t, s.Outbox().Settle(t.Context(), outbox.Settlement{Born: []watcher.Event{testChange(otherRef, 1)}}))
		report := reporting(t, s, testRef, "")
		rows := claimAll(t, s, "hook")
		time.Sleep(time.Hour) // both claims have expired
		s.SetPlan(func(watcher.Event) []outbox.Delivery {
			cs, err := s.Claim(t.Context(), watcher.ClaimRequest{Refs: []string{testRef}, Max: 1, TTL: time.Minute})
			if len(cs) != 0 || err != nil {
				t.Errorf("claimed %v, %v", cs, err)
			}
			return nil
		})
		must(t, report())
		s.SetPlan(func(watcher.Event) []outbox.Delivery {
			if ds := claimAll(t, s, "hook"); len(ds) != 0 {
				t.Errorf("claimed %v", ds)
			}
			return nil
		})
		must(t, s.Outbox().Settle(t.Context(), outbox.Settlement{Born: []watcher.Event{testChange(otherRef, 2)},
			Steps: []outbox.Step{{ID: rows[0].ID, Token: rows[0].Token, State: outbox.Delivered}}}))
	})
}

func TestHintsComeAfterTheCommit(t *testing.T) {
	var s *Store
	var found atomic.Int64
	s = openNew(t, Options{Plan: testPlan, OnWork: func() {
		works, err := s.Lanes(t.Context())
		must(t, err)
		found.Add(int64(len(works)))
	}})
	must(t, s.Watch(t.Context(), "config", []watcher.Target{testTarget(testRef)}))
	change(t, s, testRef, 1)
	if found.Load() != 2 {
		t.Errorf("%d lanes at the hint", found.Load())
	}
}

func TestThePlanCanBeReplaced(t *testing.T) {
	s := openNew(t, Options{Plan: testPlan})
	s.SetPlan(func(watcher.Event) []outbox.Delivery { return []outbox.Delivery{{Receiver: "other"}} })
	must(t, s.Outbox().Settle(t.Context(), outbox.Settlement{Born: []watcher.Event{testChange(testRef, 1)}}))
	s.SetPlan(nil)
	must(t, s.Outbox().Settle(t.Context(), outbox.Settlement{Born: []watcher.Event{testChange(testRef, 2)}}))
	if len(claimAll(t, s, "other")) != 1 || len(claimAll(t, s, "hook")) != 0 {
		t.Error("planned by the old plan")
	}
}

func TestAPlanThatPanicsIsAnErrorAndNothingIsStored(t *testing.T) {
	s := openNew(t, Options{Plan: func(watcher.Event) []outbox.Delivery { panic("oops") }})
	e := testChange(testRef, 1)
	if err := s.Outbox().Settle(t.Context(), outbox.Settlement{Born: []watcher.Event{e}}); err == nil {
		t.Fatal("no error")
	}
	if _, found, err := s.Event(t.Context(), e.Key); found || err != nil {
		t.Errorf("found %v, error %v", found, err)
	}
}

func TestLooksThatCannotBeWrittenAreKept(t *testing.T) {
	s := openNew(t, Options{})
	must(t, s.Watch(t.Context(), "config", manyTargets(1000)))
	baseline(t, s, 1000)
	cs, err := s.Claim(t.Context(), watcher.ClaimRequest{Refs: []string{"docker.io/acme/app00000:1.0"}, Max: 1, TTL: time.Minute})
	must(t, err)
	_, err = s.Report(t.Context(), []watcher.Result{{Ref: cs[0].Target.Ref, Token: cs[0].Token, NextAt: time.Now()}})
	must(t, err)
	must(t, s.db.Close()) // no write succeeds any more, as on a disk that is gone
	if err := s.flush(); err == nil {
		t.Fatal("no error")
	}
	if len(s.dirty) != 1 {
		t.Errorf("%d looks are kept", len(s.dirty))
	}
	if err := s.Writable(t.Context()); err == nil {
		t.Error("writable")
	}
	s.dirty = nil // the file is gone; Close has nothing to write
}

func BenchmarkOpenAndWatch10000(b *testing.B) {
	path := b.TempDir() + "/basewatch.db"
	ts := manyTargets(10_000)
	for b.Loop() {
		s, err := Open(b.Context(), Options{Path: path})
		if err != nil {
			b.Fatal(err)
		}
		if err := errors.Join(s.Watch(b.Context(), "config", ts), s.Close()); err != nil {
			b.Fatal(err)
		}
	}
}
