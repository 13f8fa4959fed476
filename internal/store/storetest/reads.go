package storetest

import (
	"strings"
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

func readTests() []promise {
	return []promise{
		{"history is newest first, a page at a time, of one target", historyPages},
		{"records are sorted, whole, and as fresh as the last look", records},
		{"an unknown target has no state, an unknown key no event", unknown},
		{"deliveries are found by every part of a query, newest first", queries},
		{"counts follow what happens", counts},
		{"a store that can be written to says so", writable},
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

func historyPages(b *bench) {
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
}

func records(b *bench) {
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
}

func unknown(b *bench) {
	b.equal("state", b.stateOf("docker.io/library/unknown:1"), watcher.State{})
	for _, key := range []string{"", "changed|x|1|2"} {
		_, found, err := b.store.Event(b.Context(), key)
		b.ok(err)
		b.equal("found", found, false)
	}
}

func writable(b *bench) {
	b.ok(b.store.Writable(b.Context()))
	b.pass(time.Hour)
	b.ok(b.store.Writable(b.Context()))
	b.ok(b.store.Close())
	if err := b.store.Writable(b.Context()); err == nil {
		b.Fatal("a closed store is writable")
	}
}
