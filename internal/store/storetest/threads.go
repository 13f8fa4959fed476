package storetest

import (
	"slices"
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

func threadTests() []promise {
	return []promise{
		{"a row waits for the earlier ones of its thread, not for other threads", threadOrder},
		{"a row that covers the earlier one of its thread need not wait", coverInThread},
		{"the first receipt delivered is the root, until one reroots", firstReceiptIsRoot},
		{"a thread whose root died begins with the next receipt", deadRoot},
		{"a superseded row's thread has the root of what superseded it", supersededRoot},
		{"a digest's receipt is the root of each thread in it", digestRoots},
		{"a root belongs to its lane", rootPerLane},
		{"order and roots survive a crash", orderSurvivesCrash},
	}
}

func threadOrder(b *bench) {
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
}

func coverInThread(b *bench) {
	first := changed(alpine, 1, 2)
	follow := changed(alpine, 2, 3)
	follow.Thread = first.Thread
	b.born(first, follow)
	d := b.claimRow(people)
	b.equal("row", d.Event.Seq, uint64(2))
	b.equal("covers", handles(d.Covers), "alpine:3.22@1")
}

func firstReceiptIsRoot(b *bench) {
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
}

func deadRoot(b *bench) {
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
}

func supersededRoot(b *bench) {
	first, second := changed(alpine, 1, 2), changed(alpine, 2, 3)
	b.born(first, second)
	b.deliver(b.claimRow(people), receipt("m1"))
	follow := changed(alpine, 3, 4)
	follow.Thread = first.Thread
	b.born(follow)
	b.equal("root", b.claimRow(people).Root.Link, "m1")
}

func digestRoots(b *bench) {
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
}

func rootPerLane(b *bench) {
	e := changed(alpine, 1, 2)
	b.born(e)
	b.deliver(b.claimRow(people), receipt("slack"))
	if d := b.claimRow(machine); d.Root != nil {
		b.Fatalf("root %+v of another lane", d.Root)
	}
}

func orderSurvivesCrash(b *bench) {
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
}
