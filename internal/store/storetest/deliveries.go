package storetest

import (
	"strings"
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

func deliveryTests() []promise {
	return []promise{
		{"from planned over a retry to delivered, with every attempt kept", deliveryLife},
		{"a claim is exclusive until the TTL, then somebody else's with a higher token", rowClaimIsExclusive},
		{"an expired claim that nobody took can be settled, once", expiredRowClaim},
		{"a claim is settled once, also within one settlement", settledOnce},
		{"a lost step harms no other: steps, lane and born events are committed", lostStep},
		{"dead is final until a replay, which keeps ID and attempts", replayDead},
		{"a replay of what waits makes it due now", replayWaiting},
		{"a replay with an unknown ID does nothing and names it", replayUnknown},
		{"the last 50 attempts are kept", attemptsAreBounded},
		{"a step without an attempt adds none", stepWithoutAttempt},
		{"a receipt is kept after any outcome and comes back", receiptIsKept},
		{"events born of a settlement are planned with it", bornEvents},
		{"a cancelled settlement does nothing and can be made again", cancelledSettlement},
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

func rowClaimIsExclusive(b *bench) {
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
}

func expiredRowClaim(b *bench) {
	b.born(changed(alpine, 1, 2))
	d := b.claimRow(machine)
	b.pass(2 * ttl)
	b.deliver(d, outbox.Receipt{})
	err := b.store.Outbox().Settle(b.Context(), outbox.Settlement{Steps: []outbox.Step{step(d, outbox.Dead)}})
	b.lost(err, d.ID)
	b.equal("state", b.row(d.ID).State, outbox.Delivered)
}

func settledOnce(b *bench) {
	b.born(changed(alpine, 1, 2))
	d := b.claimRow(machine)
	again := step(d, outbox.Dead)
	err := b.store.Outbox().Settle(b.Context(), outbox.Settlement{Steps: []outbox.Step{step(d, outbox.Waiting), again}})
	b.lost(err, d.ID)
	err = b.store.Outbox().Settle(b.Context(), outbox.Settlement{Steps: []outbox.Step{again}})
	b.lost(err, d.ID)
	b.equal("state", b.row(d.ID).State, outbox.Waiting)
	b.equal("attempts", len(b.row(d.ID).Attempts), 1)
}

func replayWaiting(b *bench) {
	b.born(changed(alpine, 1, 2))
	d := b.claimRow(machine)
	b.settle(outbox.Settlement{Steps: []outbox.Step{step(d, outbox.Waiting)}})
	b.nothing(machine)
	n, err := b.store.Replay(b.Context(), []string{d.ID, d.ID})
	b.ok(err)
	b.equal("replayed", n, 1)
	b.equal("row", b.claimRow(machine).ID, d.ID)
}

func replayUnknown(b *bench) {
	b.born(changed(alpine, 1, 2))
	d := b.claimRow(machine)
	b.deliver(d, outbox.Receipt{})
	_, err := b.store.Replay(b.Context(), []string{d.ID, "NOSUCHID"})
	if err == nil || !strings.Contains(err.Error(), "NOSUCHID") {
		b.Fatalf("error %v, want one that names NOSUCHID", err)
	}
	b.nothing(machine)
}

func attemptsAreBounded(b *bench) {
	b.born(changed(alpine, 1, 2))
	for range 60 {
		d := b.claimRow(machine)
		s := step(d, outbox.Waiting)
		b.settle(outbox.Settlement{Steps: []outbox.Step{s}})
		b.pass(5 * time.Minute)
	}
	b.equal("attempts", len(b.claimRow(machine).Attempts), 50)
}

func stepWithoutAttempt(b *bench) {
	b.born(changed(alpine, 1, 2))
	d := b.claimRow(machine)
	b.settle(outbox.Settlement{Steps: []outbox.Step{{ID: d.ID, Token: d.Token, State: outbox.Waiting}}})
	b.equal("attempts", len(b.claimRow(machine).Attempts), 0)
}

func receiptIsKept(b *bench) {
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
}

func bornEvents(b *bench) {
	e := failing()
	b.born(e, e)
	b.crash()
	b.equal("row", b.claimRow(machine).Event, e)
	b.equal("rows", b.work(machine).Waiting, 1)
}

func cancelledSettlement(b *bench) {
	b.born(changed(alpine, 1, 2))
	d := b.claimRow(machine)
	s := outbox.Settlement{Steps: []outbox.Step{step(d, outbox.Delivered)}}
	if err := b.store.Outbox().Settle(cancelled(b), s); err == nil {
		b.Fatal("no error")
	}
	b.equal("state", b.row(d.ID).State, outbox.Waiting)
	b.settle(s)
}
