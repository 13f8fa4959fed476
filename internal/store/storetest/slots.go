package storetest

import (
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

func slotTests() []promise {
	return []promise{
		{"the newest due row goes and covers all older ones, which it supersedes", newestCovers},
		{"a dead row takes what it covers with it", deadCovers},
		{"a row that fails or is skipped frees what it covers", failedFreesCovers},
		{"a newer row that is not due waits, an older one that is not due is covered", newestDueGoes},
		{"what somebody has is not covered", claimedIsNotCovered},
		{"a claim that another one covers now is lost", coveredClaimIsLost},
		{"rows without a slot all go, oldest first", withoutSlot},
		{"what acted covers the newest of all that were told", actedOfCovers},
		{"what acted covers is remembered of each target and dependent apart", actedOfDependents},
	}
}

func newestCovers(b *bench) {
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
}

func deadCovers(b *bench) {
	b.born(changed(alpine, 1, 2), changed(alpine, 2, 3))
	d := b.claimRow(people)
	b.settle(outbox.Settlement{Steps: []outbox.Step{step(d, outbox.Dead)}})
	b.equal("cover", b.row(d.Covers[0].ID).State, outbox.Superseded)
	b.equal("lane", b.work(people).Waiting, 0)
}

func failedFreesCovers(b *bench) {
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
}

func newestDueGoes(b *bench) {
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
}

func claimedIsNotCovered(b *bench) {
	b.born(changed(alpine, 1, 2))
	first := b.claimRow(people)
	b.born(changed(alpine, 2, 3))
	second := b.claimRow(people)
	b.equal("covers", len(second.Covers), 0)
	b.deliver(first, receipt("m1"))
	b.deliver(second, receipt("m2"))
	b.equal("first", b.row(first.ID).State, outbox.Delivered)
}

func coveredClaimIsLost(b *bench) {
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
}

func actedOfDependents(b *bench) {
	rebuild := func(ref string, seq uint64, n int, app string) watcher.Event {
		e := changed(ref, seq, n)
		e.Labels = map[string][]string{"app": {app}}
		return e
	}
	b.born(rebuild(alpine, 1, 2, "shop"), rebuild(python, 1, 3, "shop"), rebuild(alpine, 2, 4, "shop"), rebuild(ruby, 1, 5, "shop"))
	d := b.claimRow(ci)
	b.equal("covers", handles(d.Covers), "alpine:3.22@1 python:3.13-slim@1 alpine:3.22@2")
	b.deliver(d, outbox.Receipt{})
	for ref, n := range map[string]int{alpine: 4, python: 3, ruby: 5} {
		b.born(rebuild(ref, 9, 9, "shop"))
		d := b.claimRow(ci)
		b.equal("acted for "+ref, d.Acted.Index, digest(n))
		b.settle(outbox.Settlement{Steps: []outbox.Step{step(d, outbox.Skipped)}})
	}
	b.born(rebuild(ruby, 10, 9, "batch"))
	if d := b.claimRow(ci); d.Acted != nil {
		b.Fatal("acted for another dependent")
	}
}

func withoutSlot(b *bench) {
	b.born(changed(alpine, 1, 2), changed(alpine, 2, 3), changed(alpine, 3, 4))
	ds := b.claimRows(outbox.ClaimRequest{Lane: machine, Max: 2})
	b.equal("rows", handles(ds), "alpine:3.22@1 alpine:3.22@2")
}

func actedOfCovers(b *bench) {
	b.born(changed(alpine, 1, 2), changed(alpine, 2, 3))
	b.deliver(b.claimRow(people), receipt("m1"))
	b.born(changed(alpine, 3, 4))
	b.equal("acted", b.claimRow(people).Acted.Index, digest(3))
}
