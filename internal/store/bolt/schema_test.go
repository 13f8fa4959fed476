package bolt

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// must stops a test at an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const testRef = "docker.io/library/alpine:3.22"

func testTarget(ref string) watcher.Target {
	return watcher.Target{Ref: ref, Platforms: []string{"linux/amd64"}, Every: 15 * time.Minute,
		Labels: map[string][]string{"team": {"shop"}}}
}

func testSnapshot(n int) *watcher.Snapshot {
	return &watcher.Snapshot{Index: fmt.Sprintf("sha256:%064x", n), SeenAt: time.Now().UTC(),
		Platforms: map[string]watcher.Manifest{"linux/amd64": {Digest: fmt.Sprintf("sha256:%064x", 1000+n), Size: 7}}}
}

func testState(seq uint64, n int) *watcher.State {
	now := time.Now().UTC()
	return &watcher.State{Seq: seq, Seen: testSnapshot(n).Index, Current: testSnapshot(n),
		Health: watcher.Health{LastLook: now, LastGood: now}, NextAt: now.Add(15 * time.Minute)}
}

func testChange(ref string, seq uint64) watcher.Event {
	e := watcher.Event{Kind: watcher.Changed, Ref: ref, Seq: seq, At: time.Now().UTC(), Old: testSnapshot(1), New: testSnapshot(2)}
	e.Identify()
	return e
}

func testPlan(e watcher.Event) []outbox.Delivery {
	return []outbox.Delivery{{Receiver: "hook", Route: "default"}, {Receiver: "slack", Address: "#shop", Slot: "slack:#shop|" + e.Ref}}
}

func openAt(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func openNew(t *testing.T, o Options) *Store {
	t.Helper()
	o.Path = filepath.Join(t.TempDir(), "basewatch.db")
	return openAt(t, o)
}

// change reports one change of a target, due or not.
func change(t *testing.T, s *Store, ref string, seq uint64) {
	t.Helper()
	cs, err := s.Claim(t.Context(), watcher.ClaimRequest{Refs: []string{ref}, Max: 1, TTL: time.Minute})
	must(t, err)
	e := testChange(ref, seq)
	vs, err := s.Report(t.Context(), []watcher.Result{{Ref: ref, Token: cs[0].Token, State: testState(seq, 2),
		Events: []watcher.Event{e}, Notes: []watcher.Note{{At: e.At, Kind: watcher.NoteChanged, Event: &e}}}})
	must(t, err)
	if vs[0] != watcher.Accepted {
		t.Fatal(vs[0])
	}
}

// dump writes out all values of a file, in the order of their keys.
func dump(t *testing.T, s *Store) string {
	var out strings.Builder
	must(t, s.view(t.Context(), func(tx *bbolt.Tx) error {
		for _, b := range buckets() {
			fmt.Fprintf(&out, "[%s]\n", b)
			err := tx.Bucket([]byte(b)).ForEach(func(key, value []byte) error {
				payload, err := unseal(b, key, value)
				if err != nil {
					return err
				}
				text := string(payload)
				if b == looksBucket {
					text = fmt.Sprintf("%x", payload)
				}
				_, err = fmt.Fprintf(&out, "%q = %s\n", key, text)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
	return out.String()
}

// A change that this test finds is a new schema: raise schemaVersion, migrate,
// and keep the old file. UPDATE_GOLDEN=1 writes it anew.
func TestTheLayoutOfSchema1IsFrozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openNew(t, Options{Plan: testPlan})
		fillSchema(t, s)
		got := dump(t, s)
		path := filepath.Join("testdata", "schema1.txt")
		if os.Getenv("UPDATE_GOLDEN") != "" {
			must(t, os.WriteFile(path, []byte(got), 0o600))
		}
		want, err := os.ReadFile(path)
		must(t, err)
		if diff := cmp.Diff(string(bytes.TrimSpace(want)), strings.TrimSpace(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	})
}

// fillSchema puts something into each bucket.
func fillSchema(t *testing.T, s *Store) {
	t.Helper()
	must(t, s.Watch(t.Context(), "config", []watcher.Target{testTarget(testRef)}))
	change(t, s, testRef, 1)
	change(t, s, testRef, 2)
	ds, err := s.Outbox().Claim(t.Context(), outbox.ClaimRequest{Lane: "slack:#shop", Max: 1, TTL: time.Minute})
	must(t, err)
	now := time.Now().UTC()
	must(t, s.Outbox().Settle(t.Context(), outbox.Settlement{
		Lane: outbox.Lane{Name: "slack:#shop", LastFrom: now, LastTo: now, LastReason: "503"},
		Steps: []outbox.Step{{ID: ds[0].ID, Token: ds[0].Token, State: outbox.Delivered, Covers: []string{ds[0].Covers[0].ID},
			Attempt: &outbox.Attempt{At: now, Took: time.Second, Outcome: outbox.Success, Answer: "200"},
			Receipt: outbox.Receipt{Link: "https://example.com/1", State: []byte(`{"ts":"1"}`)}}},
	}))
	time.Sleep(2 * time.Minute)
	must(t, s.Writable(t.Context()))
}
