package storetest

import (
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

func holdTests() []promise {
	return []promise{
		{"held rows are counted, and are due when their hold ends", heldRows},
		{"a row of a wave waits as long as the wave's first row", waveEndsWithItsFirst},
		{"a wave belongs to its lane and group, and a new one begins after it", wavesAreApart},
		{"a step can hold a row, durably", stepHolds},
		{"group and windows come back with the row", gateIsKept},
		{"a hold that only a clock set back can have made is none", holdOfAnotherClock},
	}
}

// waving is a change that people hear of after a minute, with its group.
func waving(ref, group string) outbox.Settlement {
	e := changed(ref, 1, 2)
	e.Labels = map[string][]string{"group": {group}}
	return outbox.Settlement{Born: []watcher.Event{e}}
}

func heldRows(b *bench) {
	late := changed(alpine, 1, 2)
	late.CatchUp = true
	b.born(late, changed(python, 1, 2))
	w := b.work(people)
	b.equal("waiting, held, due", []int{w.Waiting, w.Held, w.DueCount}, []int{2, 1, 1})
	b.pass(10 * time.Minute)
	w = b.work(people)
	b.equal("waiting, held, due", []int{w.Waiting, w.Held, w.DueCount}, []int{2, 0, 2})
}

func waveEndsWithItsFirst(b *bench) {
	end := now().Add(time.Minute)
	b.settle(waving(python, "python"))
	b.pass(40 * time.Second)
	b.settle(waving(ruby, "python"))
	b.crash()
	b.pass(10 * time.Second)
	b.settle(waving(alpine, "python"))
	b.nothing(people)
	b.equal("end", b.work(people).NextDue, end)
	b.pass(10 * time.Second)
	ds := b.claimRows(outbox.ClaimRequest{Lane: people})
	b.equal("rows", handles(ds), "python:3.13-slim@1 ruby:3.4-slim@1 alpine:3.22@1")
	for _, d := range ds {
		b.equal("hold", d.Hold, end)
	}
}

func wavesAreApart(b *bench) {
	b.settle(waving(python, "python"))
	b.pass(30 * time.Second)
	b.settle(waving(ruby, "ruby"))
	b.pass(30 * time.Second)
	goes := func(handle string) {
		d := b.claimRow(people)
		b.equal("goes", d.Event.Handle(), handle)
		b.deliver(d, receipt("m"))
	}
	goes("python:3.13-slim@1")
	b.settle(waving(alpine, "python"))
	b.pass(30 * time.Second)
	goes("ruby:3.4-slim@1")
	b.pass(30 * time.Second)
	goes("alpine:3.22@1")
}

func stepHolds(b *bench) {
	b.born(changed(alpine, 1, 2))
	d := b.claimRow(machine)
	open := now().Add(14 * time.Hour)
	b.settle(outbox.Settlement{Steps: []outbox.Step{{ID: d.ID, Token: d.Token, State: outbox.Waiting, NextAt: d.NextAt,
		Hold: open, HoldFor: "window"}}})
	b.nothing(machine)
	b.crash()
	b.nothing(machine)
	w := b.work(machine)
	b.equal("held", w.Held, 1)
	b.equal("until", w.NextDue, open)
	b.pass(14 * time.Hour)
	d = b.claimRow(machine)
	b.equal("for", d.HoldFor, "window")
	b.settle(outbox.Settlement{Steps: []outbox.Step{{ID: d.ID, Token: d.Token, State: outbox.Waiting, NextAt: now()}}})
	b.equal("a step without one leaves it", b.row(d.ID).Hold, open)
}

func gateIsKept(b *bench) {
	b.settle(waving(python, "python"))
	b.crash()
	b.pass(time.Minute)
	d := b.claimRow(people)
	b.equal("group", d.Group, "wave:python")
	b.equal("windows", d.Window, []string{"Mon-Fri 08:00-19:00 UTC", "Sat 10:00-12:00 UTC"})
}

func holdOfAnotherClock(b *bench) {
	b.born(changed(alpine, 1, 2), changed(python, 1, 2))
	for _, d := range b.claimRows(outbox.ClaimRequest{Lane: machine}) {
		s := outbox.Step{ID: d.ID, Token: d.Token, State: outbox.Waiting}
		if d.Event.Ref == alpine {
			s.Hold, s.HoldFor = now().Add(365*24*time.Hour), "window"
		} else {
			s.NextAt = now().Add(365 * 24 * time.Hour)
		}
		b.settle(outbox.Settlement{Steps: []outbox.Step{s}})
	}
	b.crash()
	b.equal("held", b.work(machine).Held, 0)
	b.equal("rows", handles(b.claimRows(outbox.ClaimRequest{Lane: machine})), "alpine:3.22@1 python:3.13-slim@1")
}
