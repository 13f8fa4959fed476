package storetest

import (
	"slices"
	"strings"
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

func deliveryTests() []promise {
	return []promise{
		{"from planned over a retry to delivered, with every attempt kept", deliveryLife},
		{"a claim is exclusive until the TTL, then somebody else's with a higher token", func(b *bench) {
			b.born(changed(alpine, 1, 2))
			first := b.claimRow(machine)
			b.pass(ttl - time.Second)
			b.nothing(machine)
			b.pass(time.Second)
			second := b.claimRow(machine)
			if second.Token <= first.Token {
				b.Fatalf("token %d after %d", second.Token, first.Token)
			}
			err := b.store.Outbox().Settle(b.Context(), outbox.Settlement{Steps: []outbox.Step{step(first, outbox.Dead)}})
			b.lost(err, first.ID)
			b.deliver(second, outbox.Receipt{})
			b.equal("state", b.row(second.ID).State, outbox.Delivered)
		}},
		{"an expired claim that nobody took can be settled, once", func(b *bench) {
			b.born(changed(alpine, 1, 2))
			d := b.claimRow(machine)
			b.pass(2 * ttl)
			b.deliver(d, outbox.Receipt{})
			err := b.store.Outbox().Settle(b.Context(), outbox.Settlement{Steps: []outbox.Step{step(d, outbox.Dead)}})
			b.lost(err, d.ID)
			b.equal("state", b.row(d.ID).State, outbox.Delivered)
		}},
		{"a lost step harms no other: steps, lane and born events are committed", lostStep},
		{"dead is final until a replay, which keeps ID and attempts", replayDead},
		{"a replay of what waits makes it due now", func(b *bench) {
			b.born(changed(alpine, 1, 2))
			d := b.claimRow(machine)
			b.settle(outbox.Settlement{Steps: []outbox.Step{step(d, outbox.Waiting)}})
			b.nothing(machine)
			n, err := b.store.Replay(b.Context(), []string{d.ID, d.ID})
			b.ok(err)
			b.equal("replayed", n, 1)
			b.equal("row", b.claimRow(machine).ID, d.ID)
		}},
		{"a replay with an unknown ID does nothing and names it", func(b *bench) {
			b.born(changed(alpine, 1, 2))
			d := b.claimRow(machine)
			b.deliver(d, outbox.Receipt{})
			_, err := b.store.Replay(b.Context(), []string{d.ID, "NOSUCHID"})
			if err == nil || !strings.Contains(err.Error(), "NOSUCHID") {
				b.Fatalf("error %v, want one that names NOSUCHID", err)
			}
			b.nothing(machine)
		}},
		{"the last 50 attempts are kept", func(b *bench) {
			b.born(changed(alpine, 1, 2))
			for range 60 {
				d := b.claimRow(machine)
				s := step(d, outbox.Waiting)
				b.settle(outbox.Settlement{Steps: []outbox.Step{s}})
				b.pass(5 * time.Minute)
			}
			b.equal("attempts", len(b.claimRow(machine).Attempts), 50)
		}},
		{"a step without an attempt adds none", func(b *bench) {
			b.born(changed(alpine, 1, 2))
			d := b.claimRow(machine)
			b.settle(outbox.Settlement{Steps: []outbox.Step{{ID: d.ID, Token: d.Token, State: outbox.Waiting}}})
			b.equal("attempts", len(b.claimRow(machine).Attempts), 0)
		}},
		{"a receipt is kept after any outcome and comes back", func(b *bench) {
			b.born(changed(alpine, 1, 2))
			d := b.claimRow(machine)
			s := step(d, outbox.Waiting)
			s.Receipt = receipt("half-done")
			b.settle(outbox.Settlement{Steps: []outbox.Step{s}})
			b.pass(5 * time.Minute)
			d = b.claimRow(machine)
			b.equal("receipt", d.Receipt, receipt("half-done"))
			if d.Root != nil {
				b.Fatal("a failed attempt made a root")
			}
			b.deliver(d, outbox.Receipt{})
			b.equal("kept", b.row(d.ID).Receipt, receipt("half-done"))
		}},
		{"events born of a settlement are planned with it", func(b *bench) {
			e := failing()
			b.born(e, e)
			b.crash()
			b.equal("row", b.claimRow(machine).Event, e)
			b.equal("rows", b.work(machine).Waiting, 1)
		}},
		{"a cancelled settlement does nothing and can be made again", func(b *bench) {
			b.born(changed(alpine, 1, 2))
			d := b.claimRow(machine)
			s := outbox.Settlement{Steps: []outbox.Step{step(d, outbox.Delivered)}}
			if err := b.store.Outbox().Settle(cancelled(b), s); err == nil {
				b.Fatal("no error")
			}
			b.equal("state", b.row(d.ID).State, outbox.Waiting)
			b.settle(s)
		}},
		{"what was acted on last is joined, and a replay of old does not bring old back", actedOn},
	}
}

func deliveryLife(b *bench) {
	b.born(changed(alpine, 1, 2))
	d := b.claimRow(machine)
	b.settle(outbox.Settlement{Lane: outbox.Lane{Name: machine}, Steps: []outbox.Step{step(d, outbox.Waiting)}})
	b.pass(5*time.Minute - time.Second)
	b.nothing(machine)
	b.equal("next due", b.work(machine).NextDue, now().Add(time.Second))
	b.pass(time.Second)
	d = b.claimRow(machine)
	b.equal("failures", d.Failures, 1)
	s := step(d, outbox.Delivered)
	s.Reason = "ok"
	b.settle(outbox.Settlement{Steps: []outbox.Step{s}})
	b.nothing(machine)
	got := b.row(d.ID)
	b.equal("state", got.State, outbox.Delivered)
	b.equal("settled", got.SettledAt.Equal(now()), true)
	var outcomes []outbox.Outcome
	for _, a := range got.Attempts {
		outcomes = append(outcomes, a.Outcome)
	}
	b.equal("attempts", outcomes, []outbox.Outcome{outbox.Retry, outbox.Success})
	b.equal("the first answer", got.Attempts[0].Answer, "503")
}

func lostStep(b *bench) {
	b.born(changed(alpine, 1, 2), changed(python, 1, 3))
	ds := b.claimRows(outbox.ClaimRequest{Lane: machine})
	stale := step(ds[0], outbox.Delivered)
	stale.Token--
	born := failing()
	err := b.store.Outbox().Settle(b.Context(), outbox.Settlement{
		Lane:  outbox.Lane{Name: machine, LastError: "said so"},
		Steps: []outbox.Step{stale, step(ds[1], outbox.Delivered)},
		Born:  []watcher.Event{born},
	})
	b.lost(err, ds[0].ID)
	b.equal("lost", b.row(ds[0].ID).State, outbox.Waiting)
	b.equal("other", b.row(ds[1].ID).State, outbox.Delivered)
	b.equal("lane", b.work(machine).Lane.LastError, "said so")
	b.equal("born", b.claimRow(machine).Event, born)
}

func replayDead(b *bench) {
	b.born(changed(alpine, 1, 2))
	d := b.claimRow(machine)
	s := step(d, outbox.Dead)
	s.Reason, s.Failures = "410 Gone", 9
	b.settle(outbox.Settlement{Steps: []outbox.Step{s}})
	b.pass(100 * time.Hour)
	b.nothing(machine)
	b.equal("reason", b.row(d.ID).Reason, "410 Gone")
	n, err := b.store.Replay(b.Context(), []string{d.ID})
	b.ok(err)
	b.equal("replayed", n, 1)
	b.crash()
	again := b.claimRow(machine)
	b.equal("ID", again.ID, d.ID)
	b.equal("attempts", len(again.Attempts), 1)
	b.equal("failures", again.Failures, 0)
	b.equal("reason gone", again.Reason, "")
	if again.Token <= d.Token {
		b.Fatalf("token %d after %d", again.Token, d.Token)
	}
}

func actedOn(b *bench) {
	first, second, third := changed(alpine, 1, 2), changed(alpine, 2, 3), changed(alpine, 3, 4)
	b.born(first)
	d := b.claimRow(machine)
	if d.Acted != nil {
		b.Fatal("acted on something before the first delivery")
	}
	b.deliver(d, outbox.Receipt{})
	b.born(second)
	d2 := b.claimRow(machine)
	b.equal("acted", d2.Acted, first.New)
	b.deliver(d2, outbox.Receipt{})
	_, err := b.store.Replay(b.Context(), []string{d.ID})
	b.ok(err)
	b.deliver(b.claimRow(machine), outbox.Receipt{})
	b.born(third)
	d3 := b.claimRow(machine)
	b.equal("acted after a replay", d3.Acted, second.New)
	b.settle(outbox.Settlement{Steps: []outbox.Step{step(d3, outbox.Dead)}})
	b.born(changed(alpine, 4, 5), changed(python, 1, 9))
	for _, d := range b.claimRows(outbox.ClaimRequest{Lane: machine}) {
		if d.Event.Ref == python && d.Acted != nil {
			b.Fatal("acted of another target")
		}
		if d.Event.Ref == alpine {
			b.equal("a dead row acted on nothing", d.Acted, second.New)
		}
	}
}

func slotTests() []promise {
	return []promise{
		{"the newest due row goes and covers all older ones, which it supersedes", func(b *bench) {
			b.born(changed(alpine, 1, 2), changed(python, 1, 2))
			b.born(changed(alpine, 2, 3))
			b.born(changed(alpine, 3, 4))
			ds := b.claimRows(outbox.ClaimRequest{Lane: people})
			b.equal("rows", handles(ds), "python:3.13-slim@1 alpine:3.22@3")
			d := ds[1]
			b.equal("covers", handles(d.Covers), "alpine:3.22@1 alpine:3.22@2")
			b.nothing(people)
			b.deliver(d, receipt("m1"))
			for _, c := range d.Covers {
				r := b.row(c.ID)
				b.equal("state", r.State, outbox.Superseded)
				b.equal("by", r.By, d.ID)
				b.equal("settled", r.SettledAt.Equal(now()), true)
			}
			b.crash()
			b.equal("left", b.work(people).Waiting, 1)
		}},
		{"a dead row takes what it covers with it", func(b *bench) {
			b.born(changed(alpine, 1, 2), changed(alpine, 2, 3))
			d := b.claimRow(people)
			b.settle(outbox.Settlement{Steps: []outbox.Step{step(d, outbox.Dead)}})
			b.equal("cover", b.row(d.Covers[0].ID).State, outbox.Superseded)
			b.equal("lane", b.work(people).Waiting, 0)
		}},
		{"a row that fails or is skipped frees what it covers", func(b *bench) {
			b.born(changed(alpine, 1, 2), changed(alpine, 2, 3))
			d := b.claimRow(people)
			b.settle(outbox.Settlement{Steps: []outbox.Step{step(d, outbox.Waiting)}})
			older := b.claimRow(people)
			b.equal("older", handles([]outbox.Delivery{older}), "alpine:3.22@1")
			b.settle(outbox.Settlement{Steps: []outbox.Step{{ID: older.ID, Token: older.Token, State: outbox.Waiting}}})
			b.pass(5 * time.Minute)
			d = b.claimRow(people)
			b.equal("covers", handles(d.Covers), "alpine:3.22@1")
			b.settle(outbox.Settlement{Steps: []outbox.Step{step(d, outbox.Skipped)}})
			b.equal("row", b.row(d.ID).State, outbox.Skipped)
			b.equal("left", handles([]outbox.Delivery{b.claimRow(people)}), "alpine:3.22@1")
		}},
		{"a newer row that is not due waits, an older one that is not due is covered", func(b *bench) {
			late := changed(alpine, 3, 4)
			late.CatchUp = true // held for 10 minutes
			held := changed(alpine, 1, 2)
			held.CatchUp = true
			b.born(held, changed(alpine, 2, 3), late)
			d := b.claimRow(people)
			b.equal("row", d.Event.Seq, uint64(2))
			b.equal("covers", handles(d.Covers), "alpine:3.22@1")
			b.deliver(d, receipt("m1"))
			b.nothing(people)
			b.pass(10 * time.Minute)
			b.equal("later", b.claimRow(people).Event.Seq, uint64(3))
		}},
		{"what somebody has is not covered", func(b *bench) {
			b.born(changed(alpine, 1, 2))
			first := b.claimRow(people)
			b.born(changed(alpine, 2, 3))
			second := b.claimRow(people)
			b.equal("covers", len(second.Covers), 0)
			b.deliver(first, receipt("m1"))
			b.deliver(second, receipt("m2"))
			b.equal("first", b.row(first.ID).State, outbox.Delivered)
		}},
		{"a claim that another one covers now is lost", func(b *bench) {
			b.born(changed(alpine, 1, 2))
			first := b.claimRow(people)
			b.pass(ttl)
			b.born(changed(alpine, 2, 3))
			second := b.claimRow(people)
			b.equal("covers", handles(second.Covers), "alpine:3.22@1")
			err := b.store.Outbox().Settle(b.Context(), outbox.Settlement{Steps: []outbox.Step{step(first, outbox.Dead)}})
			b.lost(err, first.ID)
			b.deliver(second, receipt("m2"))
			b.equal("first", b.row(first.ID).By, second.ID)
		}},
		{"rows without a slot all go, oldest first", func(b *bench) {
			b.born(changed(alpine, 1, 2), changed(alpine, 2, 3), changed(alpine, 3, 4))
			ds := b.claimRows(outbox.ClaimRequest{Lane: machine, Max: 2})
			b.equal("rows", handles(ds), "alpine:3.22@1 alpine:3.22@2")
		}},
		{"what acted covers the newest of all that were told", func(b *bench) {
			b.born(changed(alpine, 1, 2), changed(alpine, 2, 3))
			b.deliver(b.claimRow(people), receipt("m1"))
			b.born(changed(alpine, 3, 4))
			b.equal("acted", b.claimRow(people).Acted.Index, digest(3))
		}},
	}
}

func threadTests() []promise {
	return []promise{
		{"a row waits for the earlier ones of its thread, not for other threads", func(b *bench) {
			first := changed(alpine, 1, 2)
			follow := changed(alpine, 2, 3)
			follow.Thread = first.Thread
			b.born(first, follow, changed(python, 1, 2))
			ds := b.claimRows(outbox.ClaimRequest{Lane: machine})
			b.equal("rows", handles(ds), "alpine:3.22@1 python:3.13-slim@1")
			b.equal("due", b.work(machine).DueCount, 0)
			b.settle(outbox.Settlement{Steps: []outbox.Step{step(ds[0], outbox.Waiting), step(ds[1], outbox.Delivered)}})
			b.nothing(machine)
			b.pass(5 * time.Minute)
			b.deliver(b.claimRow(machine), receipt("root"))
			d := b.claimRow(machine)
			b.equal("next", d.Event.Seq, uint64(2))
			b.equal("root", *d.Root, receipt("root"))
		}},
		{"a row that covers the earlier one of its thread need not wait", func(b *bench) {
			first := changed(alpine, 1, 2)
			follow := changed(alpine, 2, 3)
			follow.Thread = first.Thread
			b.born(first, follow)
			d := b.claimRow(people)
			b.equal("row", d.Event.Seq, uint64(2))
			b.equal("covers", handles(d.Covers), "alpine:3.22@1")
		}},
		{"the first receipt delivered is the root, until one reroots", func(b *bench) {
			thread := changed(alpine, 1, 2)
			b.born(thread)
			b.deliver(b.claimRow(machine), receipt("one"))
			next := func(seq uint64) outbox.Delivery {
				e := changed(alpine, seq, int(seq))
				e.Thread = thread.Thread
				b.born(e)
				return b.claimRow(machine)
			}
			b.deliver(next(2), receipt("two"))
			d := next(3)
			b.equal("root", d.Root.Link, "one")
			anew := receipt("three")
			anew.Reroot = true
			b.deliver(d, anew)
			d = next(4)
			b.equal("root", *d.Root, receipt("three"))
			b.deliver(d, receipt("four"))
			b.equal("root stays", next(5).Root.Link, "three")
		}},
		{"a thread whose root died begins with the next receipt", func(b *bench) {
			first := changed(alpine, 1, 2)
			follow := changed(alpine, 2, 3)
			follow.Thread = first.Thread
			b.born(first, follow)
			s := step(b.claimRow(machine), outbox.Dead)
			s.Receipt = receipt("refused")
			b.settle(outbox.Settlement{Steps: []outbox.Step{s}})
			d := b.claimRow(machine)
			if d.Root != nil {
				b.Fatalf("root %+v of a dead row", d.Root)
			}
		}},
		{"a superseded row's thread has the root of what superseded it", func(b *bench) {
			first, second := changed(alpine, 1, 2), changed(alpine, 2, 3)
			b.born(first, second)
			b.deliver(b.claimRow(people), receipt("m1"))
			follow := changed(alpine, 3, 4)
			follow.Thread = first.Thread
			b.born(follow)
			b.equal("root", b.claimRow(people).Root.Link, "m1")
		}},
		{"a digest's receipt is the root of each thread in it", func(b *bench) {
			events := []watcher.Event{changed(alpine, 1, 2), changed(python, 1, 2)}
			b.born(events...)
			var steps []outbox.Step
			for _, d := range b.claimRows(outbox.ClaimRequest{Lane: people}) {
				s := step(d, outbox.Delivered)
				s.Receipt = receipt("digest")
				steps = append(steps, s)
			}
			b.settle(outbox.Settlement{Steps: steps})
			for i, ref := range []string{alpine, python} {
				e := changed(ref, 2, 3)
				e.Thread = events[i].Thread
				b.born(e)
				b.equal("root", b.claimRow(people).Root.Link, "digest")
			}
		}},
		{"a root belongs to its lane", func(b *bench) {
			e := changed(alpine, 1, 2)
			b.born(e)
			b.deliver(b.claimRow(people), receipt("slack"))
			if d := b.claimRow(machine); d.Root != nil {
				b.Fatalf("root %+v of another lane", d.Root)
			}
		}},
		{"order and roots survive a crash", func(b *bench) {
			first := changed(alpine, 1, 2)
			b.born(first)
			b.deliver(b.claimRow(machine), receipt("root"))
			var events []watcher.Event
			for seq := range uint64(12) {
				e := changed(alpine, seq+2, 3)
				e.Thread = first.Thread
				events = append(events, e)
			}
			b.born(events...)
			b.crash()
			var seqs []uint64
			for range events {
				d := b.claimRow(machine)
				b.equal("root", d.Root.Link, "root")
				seqs = append(seqs, d.Event.Seq)
				b.deliver(d, outbox.Receipt{})
			}
			if !slices.IsSorted(seqs) {
				b.Fatalf("order %v", seqs)
			}
		}},
	}
}
