package storetest

import (
	"fmt"
	"sync"
	"time"

	"basewatch/watcher"
)

func claimTests() []promise {
	return []promise{
		{"exclusive until the TTL, then somebody else's with a higher token", claimIsExclusive},
		{"a claim brings the target and what was last known", claimBringsWhatIsKnown},
		{"a digest that is no sha256 comes back whole", oddDigest},
		{"the earliest first, at most Max, of that host alone", earliestFirst},
		{"by name also before due, but not what somebody has, nor what nobody watches", claimByName},
		{"an expired claim by name does not make the target due", expiredClaimByName},
		{"concurrent claims never overlap and leave nothing out", concurrentClaims},
		{"hosts sum up what there is to do", hostLoads},
		{"a cancelled context claims nothing", cancelledClaim},
	}
}

func concurrentClaims(b *bench) {
	const targets, claimers = 400, 8
	var refs []string
	for i := range targets {
		refs = append(refs, fmt.Sprintf("%s/acme/app%d:1", hub, i))
	}
	b.watch(refs...)
	var mu sync.Mutex
	seen := make(map[string]int)
	var all sync.WaitGroup
	for range claimers {
		all.Go(func() {
			for {
				cs, err := b.store.Claim(b.Context(), watcher.ClaimRequest{Host: hub, Max: 7, TTL: ttl})
				if err != nil {
					b.Errorf("claim: %v", err)
				}
				if len(cs) == 0 {
					return
				}
				mu.Lock()
				for _, c := range cs {
					seen[c.Target.Ref]++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for _, ref := range refs {
		if seen[ref] != 1 {
			b.Errorf("%s was claimed %d times", ref, seen[ref])
		}
	}
}

func hostLoads(b *bench) {
	b.watch(alpine, python, quay)
	start := now()
	c := b.claimRef(quay)
	b.report(watcher.Accepted, result(c, state(0, 1)))
	perMinute := 1.0 / 15
	want := []watcher.HostLoad{
		{Host: hub, Targets: 2, PerMinute: 2 * perMinute, NextAt: start, Unseen: 2},
		{Host: "quay.io", Targets: 1, PerMinute: perMinute, NextAt: start.Add(15 * time.Minute)},
	}
	got, err := b.store.Hosts(b.Context())
	b.ok(err)
	b.equal("hosts", got, want)
	b.ok(b.store.Watch(b.Context(), "config", nil))
	got, err = b.store.Hosts(b.Context())
	b.ok(err)
	b.equal("hosts without targets", len(got), 0)
}

func claimIsExclusive(b *bench) {
	b.watch(alpine)
	first := b.claim(watcher.ClaimRequest{})
	if len(first) != 1 {
		b.Fatalf("a new target is due at once; got %d claims", len(first))
	}
	b.pass(ttl - time.Second)
	if again := b.claim(watcher.ClaimRequest{}); len(again) != 0 {
		b.Fatal("claimed twice within the TTL")
	}
	b.pass(time.Second)
	second := b.claim(watcher.ClaimRequest{})
	if len(second) != 1 || second[0].Token <= first[0].Token {
		b.Fatalf("after the TTL: %+v, want one claim with a token over %d", second, first[0].Token)
	}
}

func claimBringsWhatIsKnown(b *bench) {
	b.watch(alpine)
	c := b.claimRef(alpine)
	b.equal("first claim", c, watcher.Claim{Target: target(alpine), Token: c.Token})
	b.report(watcher.Accepted, result(c, state(3, 7)))
	good := now()
	b.pass(time.Hour)
	c = b.claimRef(alpine)
	b.equal("second claim", c, watcher.Claim{Target: target(alpine), Token: c.Token,
		Seq: 3, Seen: digest(7), Quiet: true, LastGood: good})
}

func oddDigest(b *bench) {
	b.watch(alpine)
	st := state(0, 1)
	st.Seen = "sha512:" + fmt.Sprintf("%0128x", 9)
	b.report(watcher.Accepted, result(b.claimRef(alpine), st))
	b.reopen()
	b.equal("seen", b.claimRef(alpine).Seen, st.Seen)
}

func earliestFirst(b *bench) {
	b.watch(alpine, python, ruby, quay)
	for i, ref := range []string{ruby, alpine, python} {
		c := b.claimRef(ref)
		b.report(watcher.Accepted, watcher.Result{Ref: ref, Token: c.Token, Unlooked: true,
			NextAt: now().Add(time.Duration(i+1) * time.Second)})
	}
	if cs := b.claim(watcher.ClaimRequest{}); len(cs) != 0 {
		b.Fatalf("claimed before due: %s", refsOf(cs))
	}
	b.pass(time.Minute)
	b.equal("two", refsOf(b.claim(watcher.ClaimRequest{Max: 2})), "ruby:3.4-slim alpine:3.22")
	b.equal("the rest", refsOf(b.claim(watcher.ClaimRequest{})), "python:3.13-slim")
}

func claimByName(b *bench) {
	b.watch(alpine, python)
	c := b.claimRef(alpine)
	b.report(watcher.Accepted, result(c, state(0, 1)))
	b.claimRef(python)
	cs := b.claim(watcher.ClaimRequest{Refs: []string{ruby, python, alpine}})
	b.equal("claims", refsOf(cs), "alpine:3.22")
}

func expiredClaimByName(b *bench) {
	b.watch(alpine)
	b.report(watcher.Accepted, result(b.claimRef(alpine), state(0, 1)))
	b.claimRef(alpine)
	b.pass(2 * ttl)
	if cs := b.claim(watcher.ClaimRequest{}); len(cs) != 0 {
		b.Fatal("claimed before due")
	}
}

func cancelledClaim(b *bench) {
	b.watch(alpine)
	if _, err := b.store.Claim(cancelled(b), watcher.ClaimRequest{Host: hub, Max: 1, TTL: ttl}); err == nil {
		b.Fatal("no error")
	}
	b.equal("left", len(b.claim(watcher.ClaimRequest{})), 1)
}
