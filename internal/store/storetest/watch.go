package storetest

import (
	"time"

	"basewatch/watcher"
)

func watchTests() []promise {
	return []promise{
		{"a target taken out sleeps and keeps number and history", takenOutSleeps},
		{"the claim of a target taken out is lost", takenOutLosesClaim},
		{"the same image of two sources unites, and each can leave", sourcesUnite},
		{"a shorter interval brings the next look nearer, also over a crash", shorterInterval},
		{"a longer interval leaves the next look where it is", longerInterval},
		{"other platforms end the quiet and the claim under way, also over a crash", otherPlatforms},
		{"other labels change nothing else", otherLabels},
		{"what a family found goes with it, and never comes without it", familySourceGoesWithIt},
		{"what somebody names is more than a family's find", namedIsNoMember},
		{"a census is of all that is awake, in order", censusInOrder},
		{"a target that nothing can be looked at of is refused", refusedTargets},
	}
}

func takenOutSleeps(b *bench) {
	b.watch(alpine, python)
	b.change(alpine, 7, 3)
	b.watch(python)
	b.pass(time.Hour)
	b.equal("claims", refsOf(b.claim(watcher.ClaimRequest{})), "python:3.13-slim")
	b.equal("by name", len(b.claim(watcher.ClaimRequest{Refs: []string{alpine}})), 0)
	rs, err := b.store.Records(b.Context(), alpine)
	b.ok(err)
	b.equal("asleep", rs[0].Asleep, true)
	b.reopen()
	notes, err := b.store.History(b.Context(), alpine, time.Time{}, 0)
	b.ok(err)
	b.equal("history", len(notes), 1)
	b.watch(alpine, python)
	c := b.claimRef(alpine)
	b.equal("number", c.Seq, uint64(7))
	b.equal("seen", c.Seen, digest(3))
}

func takenOutLosesClaim(b *bench) {
	b.watch(alpine, python)
	c := b.claimRef(alpine)
	b.watch(python)
	b.report(watcher.Stale, result(c, state(1, 2), changed(alpine, 1, 2)))
	b.nothing(machine)
}

func sourcesUnite(b *bench) {
	b.watch(alpine)
	other := watcher.Target{Ref: alpine, Platforms: []string{"linux/arm64"}, Every: 5 * time.Minute,
		Labels: map[string][]string{"team": {"data"}, "tier": {"1"}}}
	b.ok(b.store.Watch(b.Context(), "dependents", []watcher.Target{other}))
	both := watcher.Target{Ref: alpine, Platforms: []string{"linux/amd64", "linux/arm64"}, Every: 5 * time.Minute,
		Labels: map[string][]string{"team": {"data", "shop"}, "tier": {"1"}}}
	b.equal("united", b.claimRef(alpine).Target, both)
	b.reopen()
	b.equal("united after a restart", b.claimRef(alpine).Target, both)
	b.watch()
	b.equal("one left", b.claimRef(alpine).Target, other)
	b.ok(b.store.Watch(b.Context(), "dependents", nil))
	b.equal("none left", len(b.claim(watcher.ClaimRequest{Refs: []string{alpine}})), 0)
}

func shorterInterval(b *bench) {
	b.watch(alpine)
	b.report(watcher.Accepted, result(b.claimRef(alpine), state(0, 1)))
	t := target(alpine)
	t.Every = time.Minute
	b.ok(b.store.Watch(b.Context(), "config", []watcher.Target{t}))
	b.crash()
	b.pass(time.Minute)
	b.equal("due", len(b.claim(watcher.ClaimRequest{})), 1)
}

func longerInterval(b *bench) {
	b.watch(alpine)
	b.report(watcher.Accepted, result(b.claimRef(alpine), state(0, 1)))
	t := target(alpine)
	t.Every = time.Hour
	b.ok(b.store.Watch(b.Context(), "config", []watcher.Target{t}))
	b.pass(15 * time.Minute)
	b.equal("due", len(b.claim(watcher.ClaimRequest{})), 1)
}

func otherPlatforms(b *bench) {
	b.watch(alpine)
	b.report(watcher.Accepted, result(b.claimRef(alpine), state(0, 1)))
	before := b.claimRef(alpine)
	b.equal("quiet before", before.Quiet, true)
	t := target(alpine)
	t.Platforms = []string{"linux/amd64", "linux/arm64"}
	b.ok(b.store.Watch(b.Context(), "config", []watcher.Target{t}))
	b.report(watcher.Stale, result(before, state(0, 1)))
	b.crash()
	b.equal("quiet after", b.claimRef(alpine).Quiet, false)
}

func otherLabels(b *bench) {
	b.watch(alpine)
	b.report(watcher.Accepted, result(b.claimRef(alpine), state(0, 1)))
	before := b.claimRef(alpine)
	t := target(alpine)
	t.Labels = map[string][]string{"team": {"data"}}
	b.ok(b.store.Watch(b.Context(), "config", []watcher.Target{t}))
	b.report(watcher.Accepted, result(before, state(0, 1)))
	c := b.claimRef(alpine)
	b.equal("labels", c.Target.Labels, t.Labels)
	b.equal("quiet", c.Quiet, true)
}

func refusedTargets(b *bench) {
	for _, t := range []watcher.Target{
		{Platforms: []string{"linux/amd64"}, Every: time.Minute},
		{Ref: alpine, Every: time.Minute},
		{Ref: alpine, Platforms: []string{"linux/amd64"}},
	} {
		if err := b.store.Watch(b.Context(), "config", []watcher.Target{t}); err == nil {
			b.Fatalf("%+v: no error", t)
		}
	}
}
