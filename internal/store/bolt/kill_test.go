package bolt_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/store/bolt"
	"basewatch/watcher"
)

const (
	childVariable = "BASEWATCH_TEST_STORE_TO_WRITE"
	killRef       = "docker.io/library/alpine:3.22"
)

// writeForEver is the child: it reports one change after the other, delivers
// each to one of its two lanes, and says each number once both are durable.
func writeForEver(path string) error {
	ctx := context.Background()
	s, err := bolt.Open(ctx, bolt.Options{Path: path, LockWait: 10 * time.Second, Plan: killPlan})
	if err != nil {
		return err
	}
	t := watcher.Target{Ref: killRef, Platforms: []string{"linux/amd64"}, Every: time.Minute}
	if err := s.Watch(ctx, "config", []watcher.Target{t}); err != nil {
		return err
	}
	for {
		seq, err := changeOnce(ctx, s)
		if err != nil {
			return err
		}
		if err := deliverOnce(ctx, s); err != nil {
			return err
		}
		fmt.Println(seq)
	}
}

func killPlan(watcher.Event) []outbox.Delivery {
	return []outbox.Delivery{{Receiver: "told"}, {Receiver: "waiting"}}
}

func changeOnce(ctx context.Context, s *bolt.Store) (seq uint64, err error) {
	cs, err := s.Claim(ctx, watcher.ClaimRequest{Refs: []string{killRef}, Max: 1, TTL: time.Minute})
	if err != nil || len(cs) != 1 {
		return 0, fmt.Errorf("%d claims, %w", len(cs), err)
	}
	seq = cs[0].Seq + 1
	now := &watcher.Snapshot{Index: fmt.Sprintf("sha256:%064x", seq)}
	e := watcher.Event{Kind: watcher.Changed, Ref: killRef, Seq: seq, At: time.Now(), New: now}
	e.Identify()
	_, err = s.Report(ctx, []watcher.Result{{Ref: killRef, Token: cs[0].Token,
		State: &watcher.State{Seq: seq, Seen: now.Index, Current: now}, Events: []watcher.Event{e},
		Notes: []watcher.Note{{At: e.At, Kind: watcher.NoteChanged, Event: &e}}}})
	return seq, err
}

func deliverOnce(ctx context.Context, s *bolt.Store) error {
	ds, err := s.Outbox().Claim(ctx, outbox.ClaimRequest{Lane: "told", Max: 100, TTL: time.Minute})
	if err != nil || len(ds) == 0 {
		return fmt.Errorf("%d rows, %w", len(ds), err)
	}
	var steps []outbox.Step
	for _, d := range ds {
		steps = append(steps, outbox.Step{ID: d.ID, Token: d.Token, State: outbox.Delivered})
	}
	return s.Outbox().Settle(ctx, outbox.Settlement{Steps: steps})
}

// killAfter runs the child until it has said so many numbers, kills it in the
// middle of its work, and gives the last number that it said.
func killAfter(t *testing.T, path string, numbers int) (last uint64) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for i := 0; lines.Scan(); i++ {
		if i == numbers {
			_ = child.Process.Kill()
		}
		if n, err := strconv.ParseUint(lines.Text(), 10, 64); err == nil {
			last = n
		}
	}
	_ = child.Wait()
	return last
}

func TestAKilledProcessLosesNothingThatItWasToldIsDurable(t *testing.T) {
	path := newPath(t)
	for round := range 5 {
		said := killAfter(t, path, 20+7*round)
		if said == 0 {
			t.Fatal("the child did nothing")
		}
		checkWhole(t, path, said)
	}
}

// checkWhole opens what a killed process left: all that it said is there, and
// each change is there with its history and its deliveries or not at all.
func checkWhole(t *testing.T, path string, said uint64) {
	t.Helper()
	s := open(t, bolt.Options{Path: path, LockWait: 10 * time.Second})
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	st, err := s.State(t.Context(), killRef)
	if err != nil {
		t.Fatal(err)
	}
	notes, err := s.History(t.Context(), killRef, time.Time{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Seq < said || st.Seq > said+1 {
		t.Errorf("number %d, the process said %d", st.Seq, said)
	}
	if uint64(len(notes)) != st.Seq || notes[0].Event.Seq != st.Seq {
		t.Errorf("%d history lines of %d changes", len(notes), st.Seq)
	}
	if rows := uint64(c.Waiting + c.Delivered); rows != 2*st.Seq {
		t.Errorf("%d rows of %d changes", rows, st.Seq)
	}
	if uint64(c.Delivered) < said {
		t.Errorf("%d delivered, the process said %d", c.Delivered, said)
	}
}
