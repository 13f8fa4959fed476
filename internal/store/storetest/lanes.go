package storetest

import (
	"strings"
	"time"

	"basewatch/internal/outbox"
)

func laneTests() []promise {
	return []promise{
		{"a lane says what waits, what is due, and since when", laneWork},
		{"a lane that is well and empty is not listed, one that is not well is", laneHealth},
		{"lanes are listed by name", lanesByName},
		{"lanes do not touch each other", lanesAreApart},
		{"a probe goes round the rows, the least recently tried first", probesGoRound},
		{"all rows can be claimed before they are due, in their order", claimAll},
		{"a release makes rows due that wait after failures, no others", releases},
		{"the end of a host's first pass ends the holds for it, durably", endPass},
		{"retry by receiver, lane or ID: due now, probed now", retries},
	}
}

func releases(b *bench) {
	b.born(changed(alpine, 1, 2), changed(python, 1, 2), changed(ruby, 1, 2))
	ds := b.claimRows(outbox.ClaimRequest{Lane: machine})
	snoozed := step(ds[1], outbox.Waiting)
	snoozed.Failures = 0
	b.settle(outbox.Settlement{Steps: []outbox.Step{step(ds[0], outbox.Waiting), snoozed}})
	own := step(ds[2], outbox.Waiting)
	b.settle(outbox.Settlement{Lane: outbox.Lane{Name: machine}, Release: true, Steps: []outbox.Step{own}})
	b.crash()
	b.equal("released", handles(b.claimRows(outbox.ClaimRequest{Lane: machine})), "alpine:3.22@1")
	b.pass(5 * time.Minute)
	b.equal("on their own time", handles(b.claimRows(outbox.ClaimRequest{Lane: machine})),
		"alpine:3.22@1 python:3.13-slim@1 ruby:3.4-slim@1")
}

func endPass(b *bench) {
	held := changed(alpine, 1, 2)
	held.CatchUp = true
	b.born(held)
	b.nothing(people)
	b.equal("until", b.work(people).NextDue, now().Add(10*time.Minute))
	b.ok(b.store.EndPass(b.Context(), "quay.io", true))
	b.nothing(people)
	b.pass(time.Second)
	b.ok(b.store.EndPass(b.Context(), hub, false))
	b.crash()
	d := b.claimRow(people)
	b.equal("hold", d.Hold, now())
}

func retries(b *bench) {
	b.born(changed(alpine, 1, 2), changed(python, 1, 2))
	held := changed(ruby, 1, 2)
	held.CatchUp = true
	b.born(held)
	sick := outbox.Lane{Name: people, FailingSince: now(), ProbeAt: now().Add(time.Hour)}
	put := func() []outbox.Delivery {
		var steps []outbox.Step
		ds := b.claimRows(outbox.ClaimRequest{Lane: people})
		for _, d := range ds {
			steps = append(steps, step(d, outbox.Waiting))
		}
		b.settle(outbox.Settlement{Lane: sick, Steps: steps})
		b.nothing(people)
		return ds
	}
	put()
	for _, name := range []string{"slack", people} {
		n, err := b.store.Retry(b.Context(), name, nil)
		b.ok(err)
		b.equal("rows", n, 3)
		b.equal("probe", b.work(people).Lane.ProbeAt, now())
		b.equal("but for its hold", len(put()), 2)
	}
	ds, err := b.store.Deliveries(b.Context(), outbox.Query{Receiver: people, Ref: python})
	b.ok(err)
	n, err := b.store.Retry(b.Context(), "", []string{ds[0].ID})
	b.ok(err)
	b.equal("rows", n, 1)
	b.crash()
	b.equal("row", b.claimRow(people).Event.Ref, python)
	n, err = b.store.Retry(b.Context(), "nobody", nil)
	b.ok(err)
	b.equal("rows of nobody", n, 0)
	if _, err = b.store.Retry(b.Context(), "", []string{"NOSUCHID"}); err == nil || !strings.Contains(err.Error(), "NOSUCHID") {
		b.Fatalf("error %v, want one that names NOSUCHID", err)
	}
	done := b.claimRows(outbox.ClaimRequest{Lane: machine, Max: 1})[0]
	b.deliver(done, outbox.Receipt{})
	if _, err = b.store.Retry(b.Context(), "", []string{done.ID}); err == nil {
		b.Fatal("a delivered row was retried")
	}
	if _, err = b.store.Retry(b.Context(), "", nil); err == nil {
		b.Fatal("nothing was named")
	}
}

func laneWork(b *bench) {
	born := now()
	b.born(changed(alpine, 1, 2), changed(python, 1, 2))
	b.pass(time.Second)
	b.equal("two due", b.work(machine), outbox.LaneWork{Lane: outbox.Lane{Name: machine}, Waiting: 2, DueCount: 2,
		NextDue: born, Oldest: born})
	ds := b.claimRows(outbox.ClaimRequest{Lane: machine})
	b.deliver(ds[0], outbox.Receipt{})
	b.settle(outbox.Settlement{Steps: []outbox.Step{step(ds[1], outbox.Waiting)}})
	b.equal("one later", b.work(machine), outbox.LaneWork{Lane: outbox.Lane{Name: machine}, Waiting: 1,
		NextDue: now().Add(5 * time.Minute), Oldest: born})
	b.equal("covers are not counted", func() int {
		b.born(changed(alpine, 2, 3))
		return b.work(people).DueCount
	}(), 2)
}

func laneHealth(b *bench) {
	b.equal("unknown", b.work(machine), outbox.LaneWork{})
	sick := outbox.Lane{Name: machine, FailingSince: now(), Probes: 3, ProbeAt: now(), LastError: "503", Told: true}
	b.settle(outbox.Settlement{Lane: sick})
	b.equal("failing", b.work(machine).Lane, sick)
	b.crash()
	b.equal("failing after a crash", b.work(machine).Lane, sick)
	b.settle(outbox.Settlement{Lane: outbox.Lane{Name: machine, ParkedSince: now()}})
	b.equal("parked", b.work(machine).Lane.ParkedSince, now())
	well := outbox.Lane{Name: machine, LastFrom: now().Add(-time.Hour), LastTo: now(), LastReason: "503"}
	b.settle(outbox.Settlement{Lane: well})
	b.equal("well", b.work(machine), outbox.LaneWork{})
	b.reopen()
	b.born(failing())
	b.equal("its last outage is known", b.work(machine).Lane, well)
}

func lanesByName(b *bench) {
	for _, name := range []string{"slack:#b", "audit", "slack:#a"} {
		b.settle(outbox.Settlement{Lane: outbox.Lane{Name: name, FailingSince: now()}})
	}
	all, err := b.store.Outbox().Lanes(b.Context())
	b.ok(err)
	var names []string
	for _, w := range all {
		names = append(names, w.Lane.Name)
	}
	b.equal("names", names, []string{"audit", "slack:#a", "slack:#b"})
}

func lanesAreApart(b *bench) {
	b.born(changed(alpine, 1, 2))
	b.claimRow(people)
	d := b.claimRow(machine)
	b.deliver(d, outbox.Receipt{})
	b.equal("people's row", b.work(people).Waiting, 1)
	b.nothing("nobody")
}

func probesGoRound(b *bench) {
	b.born(changed(alpine, 1, 2), changed(python, 1, 2), changed(ruby, 1, 2))
	var tried []string
	for i := range 6 {
		if i == 4 {
			b.crash()
		}
		ds := b.claimRows(outbox.ClaimRequest{Lane: machine, Max: 1, Probe: true})
		tried = append(tried, handles(ds))
		s := step(ds[0], outbox.Waiting)
		s.NextAt, s.Failures = ds[0].NextAt, ds[0].Failures
		b.settle(outbox.Settlement{Steps: []outbox.Step{s}})
		b.pass(time.Minute)
	}
	b.equal("tried", strings.Join(tried, " "), strings.TrimSpace(strings.Repeat("alpine:3.22@1 python:3.13-slim@1 ruby:3.4-slim@1 ", 2)))
}

func claimAll(b *bench) {
	e := changed(alpine, 1, 2)
	e.CatchUp = true
	b.born(e)
	b.nothing(people)
	ds := b.claimRows(outbox.ClaimRequest{Lane: people, All: true})
	b.equal("rows", handles(ds), "alpine:3.22@1")
}
