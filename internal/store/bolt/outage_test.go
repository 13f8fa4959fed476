package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"basewatch/internal/outbox"
	"basewatch/internal/store"
	"basewatch/watcher"
)

// many are history lines that make a file grow.
func many() []watcher.Note {
	var ns []watcher.Note
	for range 40 {
		ns = append(ns, watcher.Note{At: time.Now().UTC(), Kind: watcher.NoteQuiet, Text: strings.Repeat("x", 1500)})
	}
	return ns
}

// tryChange reports a change of a target with much history. What the store does
// not take is handed back.
func tryChange(t *testing.T, s *Store, seq uint64) error {
	t.Helper()
	cs, err := s.Claim(t.Context(), watcher.ClaimRequest{Refs: []string{testRef}, Max: 1, TTL: time.Minute})
	must(t, err)
	if len(cs) != 1 {
		t.Fatalf("%d claims", len(cs))
	}
	r := watcher.Result{Ref: testRef, Token: cs[0].Token, State: testState(seq, 2),
		Events: []watcher.Event{testChange(testRef, seq)}, Notes: many()}
	_, err = s.Report(t.Context(), []watcher.Result{r})
	if err != nil {
		back := watcher.Result{Ref: testRef, Token: cs[0].Token, Unlooked: true}
		if _, err := s.Report(t.Context(), []watcher.Result{back}); err != nil {
			t.Fatalf("a claim cannot be handed back: %v", err)
		}
	}
	return err
}

// deliverAll delivers what waits on a lane, row by row, and gives the changes.
func deliverAll(t *testing.T, s *Store, lane string) (told []string) {
	t.Helper()
	for {
		ds, err := s.Outbox().Claim(t.Context(), outbox.ClaimRequest{Lane: lane, Max: 1, TTL: time.Minute})
		must(t, err)
		if len(ds) == 0 {
			return told
		}
		told = append(told, string(ds[0].Event.Kind)+" "+ds[0].Event.Handle())
		step := outbox.Step{ID: ds[0].ID, Token: ds[0].Token, State: outbox.Delivered,
			Attempt: &outbox.Attempt{At: time.Now(), Outcome: outbox.Success, Answer: "200"}}
		for _, c := range ds[0].Covers {
			step.Covers = append(step.Covers, c.ID)
		}
		must(t, s.Outbox().Settle(t.Context(), outbox.Settlement{Steps: []outbox.Step{step}}))
	}
}

// fillUp reports changes until the store takes no more, and gives the last
// that it took.
func fillUp(t *testing.T, s *Store, seq uint64) uint64 {
	t.Helper()
	for range 1000 {
		if err := tryChange(t, s, seq+1); err != nil {
			return seq
		}
		seq++
	}
	t.Fatal("the store is never full")
	return 0
}

// smallDisk mounts a file system of so many bytes.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes))
	if err != nil {
		if os.Getuid() == 0 && os.Getenv("CI") == "true" {
			t.Fatalf("mount: %v", err)
		}
		t.Skipf("SKIPPED: a small disk cannot be mounted (%v); run as root", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fillDisk takes all room that a file system has left.
func fillDisk(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	must(t, err)
	for block := make([]byte, 64<<10); len(block) > 0; {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	must(t, f.Close())
	return func() { must(t, os.Remove(path)) }
}

// 20 times the disk is full for a while. Nothing that was accepted is lost,
// what is known is delivered meanwhile, people are told once each time, and a
// minute after there is room again the store takes what is new.
func TestTwentyFullDisksLoseNothingAndHealByThemselves(t *testing.T) {
	dir := smallDisk(t, 64<<20)
	synctest.Test(t, func(t *testing.T) {
		s := openAt(t, Options{Path: filepath.Join(dir, "basewatch.db"), Plan: testPlan})
		must(t, s.Watch(t.Context(), "config", []watcher.Target{testTarget(testRef)}))
		told := map[string]int{}
		deliver := func() {
			for _, one := range deliverAll(t, s, "hook") {
				told[one]++
			}
		}
		seq := uint64(0)
		for cycle := range 20 {
			free := fillDisk(t, dir)
			seq = fillUp(t, s, seq)
			if err := s.Writable(t.Context()); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("cycle %d: writable: %v", cycle, err)
			}
			deliver()
			time.Sleep(2 * time.Minute)
			deliver()
			if got := told["failing store"]; got != cycle+1 {
				t.Fatalf("cycle %d: told %d times that the disk is full", cycle, got)
			}
			if err := tryChange(t, s, seq+1); err == nil {
				t.Fatalf("cycle %d: a full disk took what is new", cycle)
			}
			free()
			time.Sleep(time.Minute)
			seq++
			must(t, tryChange(t, s, seq))
			deliver()
			if got := told["recovered store"]; got != cycle+1 {
				t.Fatalf("cycle %d: told %d times that it takes writes again", cycle, got)
			}
			must(t, s.Writable(t.Context()))
		}
		for n := uint64(1); n <= seq; n++ {
			if got := told[fmt.Sprintf("changed alpine:3.22@%d", n)]; got != 1 {
				t.Errorf("change %d was delivered %d times", n, got)
			}
		}
		t.Logf("%d changes", seq)
		must(t, s.Close())
		if found, err := Check(s.Path()); err != nil || found.Damaged > 0 {
			t.Errorf("%+v, %v", found, err)
		}
	})
}

func TestAStoreOnAFullDiskStartsAndStops(t *testing.T) {
	dir := smallDisk(t, 8<<20)
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(dir, "basewatch.db")
		s := openAt(t, Options{Path: path, Plan: testPlan})
		must(t, s.Watch(t.Context(), "config", []watcher.Target{testTarget(testRef)}))
		free := fillDisk(t, dir)
		seq := fillUp(t, s, 0)
		time.Sleep(2 * time.Minute) // people are told
		must(t, s.Close())

		s = openAt(t, Options{Path: path, Plan: testPlan})
		if told := deliverAll(t, s, "hook"); len(told) != int(seq)+1 {
			t.Errorf("told %d of %d changes and a failing", len(told), seq)
		}
		if err := tryChange(t, s, seq+1); err == nil {
			t.Error("a full disk took what is new")
		}
		free()
		time.Sleep(time.Minute)
		must(t, tryChange(t, s, seq+1))
		if told := deliverAll(t, s, "hook"); len(told) != 2 || told[0] != "recovered store" {
			t.Errorf("told %v", told)
		}
	})
}

func TestAtItsBoundTheStoreShortensThePastAndGoesOn(t *testing.T) {
	const bound = 8 << 20
	synctest.Test(t, func(t *testing.T) {
		limits := store.DefaultLimits()
		limits.HistoryLines *= 1000
		s := openNew(t, Options{Plan: testPlan, MaxSize: bound, Limits: limits})
		must(t, s.Watch(t.Context(), "config", []watcher.Target{testTarget(testRef)}))
		told, refused := map[string]int{}, 0
		const changes = 7 * 24
		for seq := uint64(1); seq <= changes; seq++ {
			for tryChange(t, s, seq) != nil {
				refused++
				time.Sleep(30 * time.Second)
			}
			for _, one := range deliverAll(t, s, "hook") {
				told[one]++
			}
			if info, err := os.Stat(s.Path()); err != nil || info.Size() > bound {
				t.Fatalf("%d bytes, %v", info.Size(), err)
			}
			time.Sleep(time.Hour)
		}
		for n := 1; n <= changes; n++ {
			if told[fmt.Sprintf("changed alpine:3.22@%d", n)] != 1 {
				t.Errorf("change %d was not delivered once", n)
			}
		}
		lines := 0
		must(t, s.backwards(t.Context(), scan{bucket: historyBucket, visit: func(*bbolt.Tx, []byte, []byte) (bool, error) {
			lines++
			return true, nil
		}}))
		if refused == 0 || lines < 100 || lines == 40*changes {
			t.Errorf("refused %d times, %d history lines left", refused, lines)
		}
		t.Logf("refused %d times, %d of %d history lines left", refused, lines, 40*changes)
	})
}

// A refusal that is over before anybody would care is nobody's news.
func TestAShortOutageIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openNew(t, Options{Plan: testPlan})
		s.refusedByDisk(syscall.EIO)
		if err := s.Writable(t.Context()); !errors.Is(err, syscall.EIO) {
			t.Errorf("writable: %v", err)
		}
		time.Sleep(2 * time.Minute)
		must(t, s.Writable(t.Context()))
		if told := deliverAll(t, s, "hook"); len(told) != 0 {
			t.Errorf("told %v", told)
		}
	})
}

// What fails again and again is one outage: told once, and its end once it
// holds.
func TestAnOutageThatComesAndGoesIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openNew(t, Options{Plan: testPlan})
		for range 10 {
			s.refusedByDisk(syscall.EIO)
			time.Sleep(15 * time.Second)
		}
		time.Sleep(5 * time.Minute)
		told := deliverAll(t, s, "hook")
		if fmt.Sprint(told) != "[failing store recovered store]" {
			t.Errorf("told %v", told)
		}
		ds, err := s.Deliveries(t.Context(), outbox.Query{Ref: watcher.StoreRef})
		must(t, err)
		if len(ds) != 4 || ds[0].Event.Problem != watcher.StoreUnwritable || ds[2].Event.Reason != "input/output error" {
			t.Errorf("deliveries %+v", ds)
		}
	})
}

func TestTheEndOfAnOutageIsToldAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openNew(t, Options{Plan: testPlan})
		s.write <- struct{}{}
		s.mu.Lock()
		o := outage{since: time.Now().UTC(), err: syscall.EIO, why: "broken"}
		s.outage = o
		s.mu.Unlock()
		if !s.tell(&o, watcher.Failing, time.Now().UTC()) {
			t.Fatal("not told")
		}
		<-s.write
		must(t, s.Close())
		s = openAt(t, Options{Path: s.Path(), Plan: testPlan})
		time.Sleep(5 * time.Minute)
		if told := deliverAll(t, s, "hook"); fmt.Sprint(told) != "[failing store recovered store]" {
			t.Errorf("told %v", told)
		}
	})
}

func TestAMistakeInAWriteIsNoOutage(t *testing.T) {
	s := openNew(t, Options{})
	s.write <- struct{}{}
	err := s.update(func(*bbolt.Tx) error { return bolterrors.ErrKeyTooLarge })
	<-s.write
	if err == nil || s.ailing() {
		t.Errorf("error %v, ailing %v", err, s.ailing())
	}
}
