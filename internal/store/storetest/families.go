package storetest

import (
	"errors"

	"basewatch/watcher"
)

const slim = "docker.io/library/python#3.x-slim"

func family(keep int) watcher.Target {
	t := target(slim)
	t.Keep = keep
	return t
}

func member(ref string) watcher.Target {
	t := target(ref)
	t.Member = true
	return t
}

// found makes these what the family found.
func (b *bench) found(refs ...string) {
	b.Helper()
	var ts []watcher.Target
	for _, ref := range refs {
		ts = append(ts, member(ref))
	}
	b.ok(b.store.Watch(b.Context(), watcher.FamilySource(slim), ts))
}

func (b *bench) config(ts ...watcher.Target) {
	b.Helper()
	b.ok(b.store.Watch(b.Context(), "config", ts))
}

// awake are the references of a census.
func (b *bench) awake() (refs []string) {
	b.Helper()
	b.ok(b.store.Each(b.Context(), func(r watcher.Record) error {
		refs = append(refs, r.Target.Ref)
		return nil
	}))
	return refs
}

func familySourceGoesWithIt(b *bench) {
	b.found(python)
	b.equal("before the family", len(b.awake()), 0)
	b.config(target(alpine), family(3))
	b.found(python)
	b.equal("with it", b.awake(), []string{alpine, slim, python})
	b.reopen()
	b.equal("after a restart", b.awake(), []string{alpine, slim, python})
	b.config(target(alpine))
	b.equal("without it", b.awake(), []string{alpine})
	b.found(python)
	b.equal("a late look", b.awake(), []string{alpine})
	b.config(family(3))
	b.equal("the family again", b.awake(), []string{slim})
	b.crash()
	b.found(python)
	b.equal("and a look", b.awake(), []string{slim, python})
}

func namedIsNoMember(b *bench) {
	b.config(family(3))
	b.found(python)
	b.equal("found", b.claimRef(python).Target, member(python))
	b.config(family(5), target(python))
	b.reopen()
	b.equal("named too", b.claimRef(python).Target, target(python))
	b.equal("kept", b.claimRef(slim).Target, family(5))
	b.config(family(5))
	b.reopen()
	b.equal("found alone", b.claimRef(python).Target, member(python))
}

func censusInOrder(b *bench) {
	b.watch(python, alpine)
	b.change(alpine, 7, 3)
	b.watch(alpine)
	b.equal("awake", b.awake(), []string{alpine})
	b.ok(b.store.Each(b.Context(), func(r watcher.Record) error {
		b.equal("number", r.State.Seq, uint64(7))
		return nil
	}))
	stop := errors.New("enough")
	if err := b.store.Each(b.Context(), func(watcher.Record) error { return stop }); !errors.Is(err, stop) {
		b.Errorf("Each: %v", err)
	}
}
