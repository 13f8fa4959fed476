package storetest

import (
	"fmt"
	"sync"
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

func durableTests() []promise {
	return []promise{
		{"unchanged looks survive a stop", looksSurviveClose},
		{"unchanged looks are kept after a few minutes, a crash before costs only these", looksAreFlushed},
		{"a crash frees claims at once, and tokens go on growing", crashFreesClaims},
		{"targets survive a crash", targetsSurviveCrash},
		{"reports and settlements that meet are each whole", concurrentWrites},
		{"close can be called again, and what comes after is refused", closed},
	}
}

// unchangedLook has alpine known and then looked at an hour later, and gives
// the state stored and when it is due.
func unchangedLook(b *bench) (watcher.State, time.Time) {
	b.Helper()
	b.watch(alpine)
	b.pass(time.Hour)
	st := state(0, 1)
	b.report(watcher.Accepted, result(b.claimRef(alpine), st))
	b.pass(time.Hour)
	c := b.claimRef(alpine)
	due := now().Add(12 * time.Minute)
	b.report(watcher.Accepted, watcher.Result{Ref: alpine, Token: c.Token, NextAt: due})
	return *st, due
}

func concurrentWrites(b *bench) {
	const writers, changes = 8, 12
	var refs []string
	for i := range writers {
		refs = append(refs, fmt.Sprintf("%s/acme/app%d:1", hub, i))
	}
	b.watch(refs...)
	var all sync.WaitGroup
	for _, ref := range refs {
		all.Go(func() {
			for seq := uint64(1); seq <= changes; seq++ {
				if err := changeAndTell(b, ref, seq); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	b.crash()
	for _, ref := range refs {
		b.equal("number", b.stateOf(ref).Seq, uint64(changes))
		notes, err := b.store.History(b.Context(), ref, time.Time{}, 0)
		b.ok(err)
		b.equal("history", len(notes), changes)
	}
	c, err := b.store.Counts(b.Context())
	b.ok(err)
	b.equal("rows", []int{c.Waiting, c.Delivered}, []int{writers * changes, writers * changes})
}

// changeAndTell reports one change and delivers one row of the machine's lane,
// whosever it is.
func changeAndTell(b *bench, ref string, seq uint64) error {
	ctx := b.Context()
	cs, err := b.store.Claim(ctx, watcher.ClaimRequest{Refs: []string{ref}, Max: 1, TTL: ttl})
	if err != nil || len(cs) != 1 {
		return fmt.Errorf("claim %s: %d claims, %w", ref, len(cs), err)
	}
	vs, err := b.store.Report(ctx, []watcher.Result{result(cs[0], state(seq, int(seq)), changed(ref, seq, int(seq)))})
	if err != nil || vs[0] != watcher.Accepted {
		return fmt.Errorf("report %s: %v, %w", ref, vs, err)
	}
	ds, err := b.store.Outbox().Claim(ctx, outbox.ClaimRequest{Lane: machine, Max: 1, TTL: ttl})
	if err != nil || len(ds) != 1 {
		return fmt.Errorf("claim a row: %d rows, %w", len(ds), err)
	}
	return b.store.Outbox().Settle(ctx, outbox.Settlement{Steps: []outbox.Step{step(ds[0], outbox.Delivered)}})
}

func looksSurviveClose(b *bench) {
	st, due := unchangedLook(b)
	b.reopen()
	st.NextAt, st.Health.LastLook, st.Health.LastGood = due, now(), now()
	b.equal("state", b.stateOf(alpine), st)
}

func looksAreFlushed(b *bench) {
	st, _ := unchangedLook(b)
	b.crash()
	b.equal("state", b.stateOf(alpine), st)
	c := b.claimRef(alpine)
	b.equal("quiet and seen", []any{c.Quiet, c.Seen}, []any{true, digest(1)})

	st, due := unchangedLook(b)
	look := now()
	b.pass(5 * time.Minute)
	b.crash()
	st.NextAt, st.Health.LastLook, st.Health.LastGood = due, look, look
	b.equal("state", b.stateOf(alpine), st)
}

func crashFreesClaims(b *bench) {
	b.watch(alpine)
	b.born(changed(python, 1, 2))
	look, row := b.claimRef(alpine), b.claimRow(machine)
	b.crash()
	again, rowAgain := b.claimRef(alpine), b.claimRow(machine)
	if again.Token <= look.Token || rowAgain.Token <= row.Token {
		b.Fatalf("tokens %d and %d after %d and %d", again.Token, rowAgain.Token, look.Token, row.Token)
	}
	b.report(watcher.Stale, watcher.Result{Ref: alpine, Token: look.Token})
}

func targetsSurviveCrash(b *bench) {
	b.watch(alpine, quay)
	b.crash()
	b.equal("claims", b.claimRef(alpine).Target, target(alpine))
	hosts, err := b.store.Hosts(b.Context())
	b.ok(err)
	b.equal("hosts", len(hosts), 2)
}

func closed(b *bench) {
	b.watch(alpine)
	b.ok(b.store.Close())
	b.ok(b.store.Close())
	if _, err := b.store.Claim(b.Context(), watcher.ClaimRequest{Host: hub, Max: 1, TTL: ttl}); err == nil {
		b.Error("a claim")
	}
	if err := b.store.Outbox().Settle(b.Context(), outbox.Settlement{Lane: outbox.Lane{Name: machine}}); err == nil {
		b.Error("a settlement")
	}
	if _, err := b.store.State(b.Context(), alpine); err == nil {
		b.Error("a state")
	}
}
