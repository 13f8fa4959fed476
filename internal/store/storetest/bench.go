package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

const (
	alpine = "docker.io/library/alpine:3.22"
	python = "docker.io/library/python:3.13-slim"
	ruby   = "docker.io/library/ruby:3.4-slim"
	quay   = "quay.io/acme/base:1"

	hub = watcher.DockerHub
	ttl = time.Minute
)

// bench is a test with its store, and the words that tests are written in.
type bench struct {
	*testing.T
	place Place
	store Store
}

func (b *bench) open() { b.store = b.place.Open(b.T, plan) }

func (b *bench) reopen() {
	b.Helper()
	b.ok(b.store.Close())
	b.open()
}

func (b *bench) crash() {
	b.Helper()
	b.place = b.place.Crash(b.T)
	b.open()
}

// pass lets virtual time go by.
func (b *bench) pass(d time.Duration) { <-time.After(d) }

func (b *bench) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatalf("unexpected error: %v", err)
	}
}

func (b *bench) equal(what string, got, want any) {
	b.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// plan tells people (one slot per image) and a machine (each event) of changes,
// and only the machine of all else. A change with a label app rebuilds that one
// alone, whatever the image; one with a label group joins that group's wave.
func plan(e watcher.Event) []outbox.Delivery {
	machine := outbox.Delivery{Receiver: "hook", Route: "default"}
	if e.Kind != watcher.Changed {
		return []outbox.Delivery{machine}
	}
	if apps := e.Labels["app"]; len(apps) == 1 {
		return []outbox.Delivery{{Receiver: "ci", Dependent: apps[0], Slot: "ci|" + apps[0]}}
	}
	if groups := e.Labels["group"]; len(groups) == 1 {
		return []outbox.Delivery{{Receiver: "slack", Address: "#shop", Route: "route[1]",
			Hold: e.At.Add(time.Minute), HoldFor: "wave", Group: "wave:" + groups[0],
			Window: []string{"Mon-Fri 08:00-19:00 UTC", "Sat 10:00-12:00 UTC"}}}
	}
	people := outbox.Delivery{Receiver: "slack", Address: "#shop", Route: "route[1]", Slot: "slack:#shop|" + e.Ref}
	if e.CatchUp {
		people.Hold, people.HoldFor = e.At.Add(10*time.Minute), "pass:"+hub
	}
	return []outbox.Delivery{people, machine}
}

const (
	people  = "slack:#shop"
	machine = "hook"
	ci      = "ci"
)

func target(ref string) watcher.Target {
	return watcher.Target{Ref: ref, Platforms: []string{"linux/amd64"}, Every: 15 * time.Minute,
		Labels: map[string][]string{"team": {"shop"}}}
}

func (b *bench) watch(refs ...string) {
	b.Helper()
	var ts []watcher.Target
	for _, ref := range refs {
		ts = append(ts, target(ref))
	}
	b.ok(b.store.Watch(b.Context(), "config", ts))
}

func digest(n int) string { return fmt.Sprintf("sha256:%064x", n) }

func snapshot(n int) *watcher.Snapshot {
	return &watcher.Snapshot{Index: digest(n), SeenAt: now(),
		Platforms: map[string]watcher.Manifest{"linux/amd64": {Digest: digest(1000 + n), Size: 7}}}
}

// now is the time as a store gives it back.
func now() time.Time { return time.Now().UTC().Round(0) }

// state is a healthy state that has seen digest n as change seq.
func state(seq uint64, n int) *watcher.State {
	return &watcher.State{Seq: seq, Seen: digest(n), Current: snapshot(n), NextAt: now().Add(15 * time.Minute),
		Health: watcher.Health{LastLook: now(), LastGood: now()}}
}

// changed is the event of change seq to digest n.
func changed(ref string, seq uint64, n int) watcher.Event {
	e := watcher.Event{Kind: watcher.Changed, Ref: ref, Seq: seq, At: now(), Old: snapshot(n - 1), New: snapshot(n),
		Platforms: []string{"linux/amd64"}}
	e.Identify()
	return e
}

// failing is an event, of a host, that only the machine hears of.
func failing() watcher.Event {
	e := watcher.Event{Kind: watcher.Failing, Ref: hub, At: now(), Since: now(), Problem: watcher.Unreachable, Reason: "no route"}
	e.Identify()
	return e
}

func (b *bench) claim(r watcher.ClaimRequest) []watcher.Claim {
	b.Helper()
	if r.Host == "" && len(r.Refs) == 0 {
		r.Host = hub
	}
	if r.Max == 0 {
		r.Max = 100
	}
	if r.TTL == 0 {
		r.TTL = ttl
	}
	cs, err := b.store.Claim(b.Context(), r)
	b.ok(err)
	return cs
}

// claimRef claims one target, due or not.
func (b *bench) claimRef(ref string) watcher.Claim {
	b.Helper()
	cs := b.claim(watcher.ClaimRequest{Refs: []string{ref}})
	if len(cs) != 1 {
		b.Fatalf("claim of %s: %d claims", ref, len(cs))
	}
	return cs[0]
}

func refsOf(cs []watcher.Claim) string {
	var refs []string
	for _, c := range cs {
		refs = append(refs, watcher.Short(c.Target.Ref))
	}
	return strings.Join(refs, " ")
}

func (b *bench) report(want watcher.Verdict, rs ...watcher.Result) {
	b.Helper()
	vs, err := b.store.Report(b.Context(), rs)
	b.ok(err)
	for i := range rs {
		if vs[i] != want {
			b.Fatalf("result %d (%s): verdict %s, want %s", i, rs[i].Ref, vs[i], want)
		}
	}
}

// result is a look's result with a state.
func result(c watcher.Claim, st *watcher.State, events ...watcher.Event) watcher.Result {
	r := watcher.Result{Ref: c.Target.Ref, Token: c.Token, NextAt: st.NextAt, State: st, Events: events}
	for i := range events {
		r.Notes = append(r.Notes, watcher.Note{At: now(), Kind: watcher.NoteKind(events[i].Kind), Index: st.Seen, Event: &events[i]})
	}
	return r
}

// change makes a target change to digest n, as change seq.
func (b *bench) change(ref string, seq uint64, n int) watcher.Event {
	b.Helper()
	e := changed(ref, seq, n)
	b.report(watcher.Accepted, result(b.claimRef(ref), state(seq, n), e))
	return e
}

// born plans deliveries of events that no look made.
func (b *bench) born(events ...watcher.Event) {
	b.Helper()
	b.ok(b.store.Outbox().Settle(b.Context(), outbox.Settlement{Born: events}))
}

func (b *bench) claimRows(r outbox.ClaimRequest) []outbox.Delivery {
	b.Helper()
	if r.Max == 0 {
		r.Max = 100
	}
	if r.TTL == 0 {
		r.TTL = ttl
	}
	ds, err := b.store.Outbox().Claim(b.Context(), r)
	b.ok(err)
	return ds
}

// claimRow claims the one row of a lane that may go now.
func (b *bench) claimRow(lane string) outbox.Delivery {
	b.Helper()
	ds := b.claimRows(outbox.ClaimRequest{Lane: lane})
	if len(ds) != 1 {
		b.Fatalf("claim on %s: %d rows (%s), want 1", lane, len(ds), handles(ds))
	}
	return ds[0]
}

func (b *bench) nothing(lane string) {
	b.Helper()
	if ds := b.claimRows(outbox.ClaimRequest{Lane: lane}); len(ds) != 0 {
		b.Fatalf("claim on %s: %s, want nothing", lane, handles(ds))
	}
}

func handles(ds []outbox.Delivery) string {
	var out []string
	for _, d := range ds {
		out = append(out, d.Event.Handle())
	}
	return strings.Join(out, " ")
}

// step is the outcome of an attempt just made.
func step(d outbox.Delivery, to outbox.State) outbox.Step {
	s := outbox.Step{ID: d.ID, Token: d.Token, State: to, Failures: d.Failures, NextAt: d.NextAt,
		Attempt: &outbox.Attempt{At: now(), Took: time.Second, Outcome: outbox.Success}}
	if to == outbox.Waiting {
		s.Failures++
		s.NextAt = now().Add(5 * time.Minute)
		s.Attempt.Outcome, s.Attempt.Answer = outbox.Retry, "503"
	}
	for _, c := range d.Covers {
		s.Covers = append(s.Covers, c.ID)
	}
	return s
}

func receipt(link string) outbox.Receipt {
	return outbox.Receipt{Link: link, State: []byte(`{"ts":"` + link + `"}`)}
}

func (b *bench) settle(s outbox.Settlement) {
	b.Helper()
	b.ok(b.store.Outbox().Settle(b.Context(), s))
}

func (b *bench) deliver(d outbox.Delivery, r outbox.Receipt) {
	b.Helper()
	s := step(d, outbox.Delivered)
	s.Receipt = r
	b.settle(outbox.Settlement{Lane: outbox.Lane{Name: d.Lane()}, Steps: []outbox.Step{s}})
}

func (b *bench) lost(err error, ids ...string) {
	b.Helper()
	var le *outbox.LostError
	if !errors.As(err, &le) {
		b.Fatalf("error %v, want a LostError", err)
	}
	b.equal("lost steps", le.IDs, ids)
}

// row reads a delivery by its ID.
func (b *bench) row(id string) outbox.Delivery {
	b.Helper()
	ds, err := b.store.Deliveries(b.Context(), outbox.Query{ID: id})
	b.ok(err)
	if len(ds) != 1 {
		b.Fatalf("delivery %s: %d found", id, len(ds))
	}
	return ds[0]
}

// work is what a lane has to do; the zero LaneWork when it is not listed.
func (b *bench) work(lane string) outbox.LaneWork {
	b.Helper()
	all, err := b.store.Outbox().Lanes(b.Context())
	b.ok(err)
	for _, w := range all {
		if w.Lane.Name == lane {
			return w
		}
	}
	return outbox.LaneWork{}
}

func (b *bench) stateOf(ref string) watcher.State {
	b.Helper()
	st, err := b.store.State(b.Context(), ref)
	b.ok(err)
	return st
}

func cancelled(b *bench) context.Context {
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	return ctx
}
