package storetest

import (
	"strings"
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

func laneTests() []promise {
	return []promise{
		{"a lane says what waits, what is due, and since when", func(b *bench) {
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
		}},
		{"a lane that is well and empty is not listed, one that is not well is", func(b *bench) {
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
		}},
		{"lanes are listed by name", func(b *bench) {
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
		}},
		{"lanes do not touch each other", func(b *bench) {
			b.born(changed(alpine, 1, 2))
			b.claimRow(people)
			d := b.claimRow(machine)
			b.deliver(d, outbox.Receipt{})
			b.equal("people's row", b.work(people).Waiting, 1)
			b.nothing("nobody")
		}},
		{"a probe goes round the rows, the least recently tried first", func(b *bench) {
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
		}},
		{"all rows can be claimed before they are due, in their order", func(b *bench) {
			e := changed(alpine, 1, 2)
			e.CatchUp = true
			b.born(e)
			b.nothing(people)
			ds := b.claimRows(outbox.ClaimRequest{Lane: people, All: true})
			b.equal("rows", handles(ds), "alpine:3.22@1")
		}},
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
	b.ok(b.store.EndPass(b.Context(), "quay.io"))
	b.nothing(people)
	b.pass(time.Second)
	b.ok(b.store.EndPass(b.Context(), hub))
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

func readTests() []promise {
	return []promise{
		{"history is newest first, a page at a time, of one target", func(b *bench) {
			b.watch(alpine, python)
			start := now()
			for i := range 1200 {
				c := b.claimRef(alpine)
				r := result(c, state(0, i))
				r.Notes = []watcher.Note{{At: now(), Kind: watcher.NoteQuiet, Index: digest(i)}}
				b.report(watcher.Accepted, r)
				b.pass(time.Minute)
			}
			b.change(python, 1, 2)
			notes, err := b.store.History(b.Context(), alpine, time.Time{}, 0)
			b.ok(err)
			b.equal("bounded", len(notes), 1000)
			b.equal("newest", notes[0].Index, digest(1199))
			b.equal("oldest", notes[999].Index, digest(200))
			notes, err = b.store.History(b.Context(), alpine, start.Add(1190*time.Minute), 0)
			b.ok(err)
			b.equal("since", len(notes), 10)
			notes, err = b.store.History(b.Context(), alpine, time.Time{}, 3)
			b.ok(err)
			b.equal("limited", len(notes), 3)
			notes, err = b.store.History(b.Context(), "docker.io/library/alpine:3", time.Time{}, 0)
			b.ok(err)
			b.equal("a name that is the beginning of another", len(notes), 0)
		}},
		{"records are sorted, whole, and as fresh as the last look", func(b *bench) {
			b.watch(python, alpine)
			st := state(1, 2)
			b.report(watcher.Accepted, result(b.claimRef(alpine), st))
			b.pass(time.Hour)
			c := b.claimRef(alpine)
			b.report(watcher.Accepted, watcher.Result{Ref: alpine, Token: c.Token, NextAt: now().Add(time.Minute)})
			st.NextAt, st.Health.LastLook, st.Health.LastGood = now().Add(time.Minute), now(), now()
			rs, err := b.store.Records(b.Context())
			b.ok(err)
			b.equal("refs", []string{rs[0].Target.Ref, rs[1].Target.Ref}, []string{alpine, python})
			b.equal("record", rs[0], watcher.Record{Target: target(alpine), State: *st})
			rs, err = b.store.Records(b.Context(), python, "docker.io/library/unknown:1")
			b.ok(err)
			b.equal("named", len(rs), 1)
		}},
		{"an unknown target has no state, an unknown key no event", func(b *bench) {
			b.equal("state", b.stateOf("docker.io/library/unknown:1"), watcher.State{})
			for _, key := range []string{"", "changed|x|1|2"} {
				_, found, err := b.store.Event(b.Context(), key)
				b.ok(err)
				b.equal("found", found, false)
			}
		}},
		{"deliveries are found by every part of a query, newest first", queries},
		{"counts follow what happens", counts},
		{"a store that can be written to says so", func(b *bench) {
			b.ok(b.store.Writable(b.Context()))
			b.pass(time.Hour)
			b.ok(b.store.Writable(b.Context()))
			b.ok(b.store.Close())
			if err := b.store.Writable(b.Context()); err == nil {
				b.Fatal("a closed store is writable")
			}
		}},
	}
}

func queries(b *bench) {
	e := changed(alpine, 1, 2)
	b.born(e)
	b.pass(time.Hour)
	b.born(changed(python, 1, 2))
	b.deliver(b.claimRows(outbox.ClaimRequest{Lane: machine, Max: 1})[0], outbox.Receipt{})
	for _, q := range []struct {
		name  string
		query outbox.Query
		want  string
	}{
		{"all", outbox.Query{}, "hook python, slack python, hook alpine, slack alpine"},
		{"limit", outbox.Query{Limit: 2}, "hook python, slack python"},
		{"receiver", outbox.Query{Receiver: "slack"}, "slack python, slack alpine"},
		{"lane", outbox.Query{Receiver: people}, "slack python, slack alpine"},
		{"another lane of it", outbox.Query{Receiver: "slack:#other"}, ""},
		{"state", outbox.Query{State: outbox.Delivered}, "hook alpine"},
		{"since", outbox.Query{Since: now()}, "hook python, slack python"},
		{"image", outbox.Query{Ref: alpine}, "hook alpine, slack alpine"},
		{"event", outbox.Query{EventKey: e.Key, Receiver: "hook"}, "hook alpine"},
		{"id", outbox.Query{ID: outbox.DeliveryID(e.Key, machine, "")[:8]}, "hook alpine"},
		{"id of another state", outbox.Query{ID: outbox.DeliveryID(e.Key, machine, "")[:8], State: outbox.Dead}, ""},
	} {
		ds, err := b.store.Deliveries(b.Context(), q.query)
		b.ok(err)
		var got []string
		for _, d := range ds {
			image, _, _ := strings.Cut(watcher.Short(d.Event.Ref), ":")
			got = append(got, d.Receiver+" "+image)
		}
		b.equal(q.name, strings.Join(got, ", "), q.want)
	}
}

func counts(b *bench) {
	get := func() outbox.Counts {
		c, err := b.store.Counts(b.Context())
		b.ok(err)
		if c.Bytes <= 0 {
			b.Fatal("the store has no size")
		}
		c.Bytes = 0
		return c
	}
	b.equal("empty", get(), outbox.Counts{})
	born := now()
	b.born(changed(alpine, 1, 2), changed(alpine, 2, 3))
	b.pass(time.Second)
	b.equal("planned", get(), outbox.Counts{Waiting: 4, Oldest: born})
	b.deliver(b.claimRow(people), receipt("m"))
	ds := b.claimRows(outbox.ClaimRequest{Lane: machine})
	b.settle(outbox.Settlement{Steps: []outbox.Step{step(ds[0], outbox.Dead), step(ds[1], outbox.Skipped)}})
	b.equal("settled", get(), outbox.Counts{Delivered: 1, Superseded: 1, Dead: 1, Skipped: 1})
	_, err := b.store.Replay(b.Context(), []string{ds[0].ID})
	b.ok(err)
	b.crash()
	b.equal("replayed", get(), outbox.Counts{Waiting: 1, Delivered: 1, Superseded: 1, Skipped: 1, Oldest: born})
}
