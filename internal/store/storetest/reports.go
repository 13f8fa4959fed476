package storetest

import (
	"strings"
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

func reportTests() []promise {
	return []promise{
		{"a lost claim is stale and changes nothing, the others are taken", lostClaim},
		{"an expired claim that nobody took is accepted, once", expiredClaim},
		{"the same claim twice in one report is accepted once", claimTwiceInReport},
		{"an unchanged look moves its times alone", unchangedMovesTimes},
		{"a look not made hands the claim back", handedBack},
		{"a failure keeps digest and number", failureKeepsDigest},
		{"the health of a host needs no claim and is no target", hostHealth},
		{"a change is state, history, event and deliveries at once", atomicChange},
		{"an event whose key exists is ignored with all it would plan", duplicateEvent},
		{"a cancelled report does nothing and can be made again", cancelledReport},
		{"a report that cannot be stored changes nothing and says why", oversizedReport},
	}
}

func atomicChange(b *bench) {
	b.watch(alpine)
	st, e := state(1, 2), changed(alpine, 1, 2)
	b.report(watcher.Accepted, result(b.claimRef(alpine), st, e))
	b.crash()
	b.equal("state", b.stateOf(alpine), *st)
	stored, found, err := b.store.Event(b.Context(), e.Key)
	b.ok(err)
	if !found {
		b.Fatal("no event")
	}
	b.equal("event", stored, e)
	notes, err := b.store.History(b.Context(), alpine, time.Time{}, 0)
	b.ok(err)
	b.equal("history", notes, []watcher.Note{{At: e.At, Kind: watcher.NoteChanged, Index: digest(2), Event: &e}})
	for _, lane := range []string{machine, people} {
		d := b.claimRow(lane)
		b.equal("joined event", d.Event, e)
		receiver, address := outbox.SplitLane(lane)
		want := outbox.Delivery{ID: outbox.DeliveryID(e.Key, lane, ""), EventKey: e.Key, Receiver: receiver,
			Address: address, Thread: e.Key, Slot: d.Slot, Route: d.Route, State: outbox.Waiting,
			CreatedAt: e.At, Token: d.Token, Event: e}
		b.equal("delivery", d, want)
	}
}

func oversizedReport(b *bench) {
	b.watch(alpine)
	c := b.claimRef(alpine)
	e := changed(alpine, 1, 2)
	e.Reason = strings.Repeat("x", 10<<20)
	_, err := b.store.Report(b.Context(), []watcher.Result{result(c, state(1, 2), e)})
	if err == nil || !strings.Contains(err.Error(), "limit") {
		b.Fatalf("error %v, want one that names the limit", err)
	}
	b.equal("state", b.stateOf(alpine), watcher.State{})
	b.nothing(machine)
	b.report(watcher.Accepted, result(c, state(1, 2), changed(alpine, 1, 2)))
}

func lostClaim(b *bench) {
	b.watch(alpine, python)
	late, good := b.claimRef(alpine), b.claimRef(python)
	b.pass(ttl)
	newer := b.claimRef(alpine)
	vs, err := b.store.Report(b.Context(), []watcher.Result{
		result(late, state(1, 2), changed(alpine, 1, 2)),
		result(good, state(1, 3), changed(python, 1, 3)),
		{Ref: "docker.io/library/unknown:1", Token: 1},
	})
	b.ok(err)
	b.equal("verdicts", vs, []watcher.Verdict{watcher.Stale, watcher.Accepted, watcher.Stale})
	b.equal("stale state", b.stateOf(alpine), watcher.State{})
	b.equal("planned", b.work(machine).Waiting, 1)
	b.report(watcher.Accepted, result(newer, state(1, 2), changed(alpine, 1, 2)))
}

func expiredClaim(b *bench) {
	b.watch(alpine)
	c := b.claimRef(alpine)
	b.pass(2 * ttl)
	b.report(watcher.Accepted, result(c, state(0, 1)))
	b.report(watcher.Stale, result(c, state(0, 1)))
	b.report(watcher.Stale, watcher.Result{Ref: alpine, Token: c.Token, NextAt: now()})
}

func claimTwiceInReport(b *bench) {
	b.watch(alpine)
	c := b.claimRef(alpine)
	vs, err := b.store.Report(b.Context(), []watcher.Result{result(c, state(0, 1)), result(c, state(0, 2))})
	b.ok(err)
	b.equal("verdicts", vs, []watcher.Verdict{watcher.Accepted, watcher.Stale})
	b.equal("seen", b.stateOf(alpine).Seen, digest(1))
}

func unchangedMovesTimes(b *bench) {
	b.watch(alpine)
	st := state(4, 1)
	b.report(watcher.Accepted, result(b.claimRef(alpine), st))
	b.pass(15 * time.Minute)
	c := b.claimRef(alpine)
	due := now().Add(14 * time.Minute)
	b.report(watcher.Accepted, watcher.Result{Ref: alpine, Token: c.Token, NextAt: due})
	want := *st
	want.NextAt, want.Health.LastLook, want.Health.LastGood = due, now(), now()
	b.equal("state", b.stateOf(alpine), want)
}

func handedBack(b *bench) {
	b.watch(alpine)
	c := b.claimRef(alpine)
	b.report(watcher.Accepted, watcher.Result{Ref: alpine, Token: c.Token, Unlooked: true, NextAt: now().Add(time.Second)})
	b.equal("state", b.stateOf(alpine), watcher.State{})
	b.pass(time.Second)
	hosts, err := b.store.Hosts(b.Context())
	b.ok(err)
	b.equal("still unseen", hosts[0].Unseen, 1)
	b.equal("due again", len(b.claim(watcher.ClaimRequest{})), 1)
}

func failureKeepsDigest(b *bench) {
	b.watch(alpine)
	b.change(alpine, 2, 5)
	st := b.stateOf(alpine)
	st.Health = watcher.Health{LastLook: now(), LastGood: st.Health.LastGood, Failures: 2, Since: now(),
		Problem: watcher.Unreachable, Reason: "503"}
	b.report(watcher.Accepted, result(b.claimRef(alpine), &st))
	c := b.claimRef(alpine)
	b.equal("claim", c, watcher.Claim{Target: target(alpine), Token: c.Token, Seq: 2, Seen: digest(5),
		LastGood: st.Health.LastGood, Failures: 2})
}

func hostHealth(b *bench) {
	b.watch(alpine)
	st := watcher.State{Health: watcher.Health{Failures: 3, Since: now(), Problem: watcher.Unreachable}}
	b.report(watcher.Accepted, watcher.Result{Ref: hub, Health: true, State: &st, Events: []watcher.Event{failing()}})
	b.equal("health", b.stateOf(hub), st)
	b.equal("planned", b.claimRow(machine).Event.Ref, hub)
	rs, err := b.store.Records(b.Context())
	b.ok(err)
	b.equal("records", len(rs), 1)
}

func duplicateEvent(b *bench) {
	b.watch(alpine)
	e := b.change(alpine, 1, 2)
	b.deliver(b.claimRow(machine), outbox.Receipt{})
	twin := e
	twin.Reason = "another text"
	b.report(watcher.Accepted, result(b.claimRef(alpine), state(1, 2), twin))
	b.nothing(machine)
	b.equal("people's rows", b.work(people).Waiting, 1)
	stored, _, err := b.store.Event(b.Context(), e.Key)
	b.ok(err)
	b.equal("the first copy stays", stored, e)
}

func cancelledReport(b *bench) {
	b.watch(alpine)
	r := result(b.claimRef(alpine), state(1, 2), changed(alpine, 1, 2))
	if _, err := b.store.Report(cancelled(b), []watcher.Result{r}); err == nil {
		b.Fatal("no error")
	}
	b.nothing(machine)
	b.report(watcher.Accepted, r)
}
