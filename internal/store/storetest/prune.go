package storetest

import (
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/store"
	"basewatch/watcher"
)

func pruneTests() []promise {
	return []promise{
		{"old history goes, the newest line of a target stays", pruneOldHistory},
		{"history is bounded by number", pruneManyLines},
		{"settled deliveries go with their events and roots, what waits stays", pruneSettled},
		{"a thread with rows left keeps its root, a receiver what it last acted on", pruneKeepsRoots},
		{"what is young can be replayed, what is replayed stays", pruneReplay},
		{"a prune can be stopped", pruneStopped},
	}
}

const day = 24 * time.Hour

// sleep lets time go by while no store is open.
func (b *bench) sleep(d time.Duration) {
	b.Helper()
	b.ok(b.store.Close())
	b.pass(d)
	b.open()
}

func (b *bench) prune() store.Pruned {
	b.Helper()
	p, err := b.store.Prune(b.Context())
	b.ok(err)
	return p
}

func (b *bench) history(ref string) (handles []string) {
	b.Helper()
	notes, err := b.store.History(b.Context(), ref, time.Time{}, 0)
	b.ok(err)
	for _, n := range notes {
		handles = append(handles, n.Event.Handle())
	}
	return handles
}

func (b *bench) hasEvent(key string) bool {
	b.Helper()
	_, found, err := b.store.Event(b.Context(), key)
	b.ok(err)
	return found
}

func pruneOldHistory(b *bench) {
	limits := store.DefaultLimits()
	b.watch(alpine, python)
	b.change(alpine, 1, 2)
	b.change(alpine, 2, 3)
	b.change(python, 1, 2)
	b.sleep(limits.HistoryAge - day)
	b.change(python, 2, 3)
	b.equal("nothing is old", b.prune().Lines, 0)
	b.sleep(2 * day)
	b.equal("lines", b.prune().Lines, 2)
	b.equal("alpine", b.history(alpine), []string{"alpine:3.22@2"})
	b.equal("python", b.history(python), []string{"python:3.13-slim@2"})
	b.equal("numbers", b.stateOf(alpine).Seq, uint64(2))
}

func pruneManyLines(b *bench) {
	limits := store.DefaultLimits()
	b.watch(alpine)
	const lines = 1100
	for i := range lines {
		r := result(b.claimRef(alpine), state(0, i))
		r.Notes = []watcher.Note{{At: now(), Kind: watcher.NoteQuiet, Index: digest(i)}}
		b.report(watcher.Accepted, r)
	}
	b.equal("lines", b.prune().Lines, lines-limits.HistoryLines)
	notes, err := b.store.History(b.Context(), alpine, time.Time{}, 0)
	b.ok(err)
	b.equal("newest and oldest", []string{notes[0].Index, notes[len(notes)-1].Index},
		[]string{digest(lines - 1), digest(lines - limits.HistoryLines)})
	b.equal("again", b.prune(), store.Pruned{})
}

func pruneSettled(b *bench) {
	b.watch(alpine, python)
	old := b.change(alpine, 1, 2)
	b.deliver(b.claimRow(people), receipt("root"))
	b.deliver(b.claimRow(machine), outbox.Receipt{})
	waiting := b.change(python, 1, 2)
	b.sleep(store.DefaultLimits().SettledAge + day)
	young := b.change(python, 2, 3)

	b.equal("pruned", b.prune(), store.Pruned{Deliveries: 2, Events: 1, Roots: 1})
	b.equal("events", []bool{b.hasEvent(old.Key), b.hasEvent(waiting.Key), b.hasEvent(young.Key)}, []bool{false, true, true})
	ds, err := b.store.Deliveries(b.Context(), outbox.Query{})
	b.ok(err)
	b.equal("rows", len(ds), 4)
	c, err := b.store.Counts(b.Context())
	b.ok(err)
	b.equal("counts", []int{c.Waiting, c.Delivered}, []int{4, 0})
	d := b.claimRow(people)
	b.equal("the row that waits tells both", handles(append(d.Covers, d)), "python:3.13-slim@1 python:3.13-slim@2")
}

func pruneKeepsRoots(b *bench) {
	b.watch(alpine)
	first := b.change(alpine, 1, 2)
	b.deliver(b.claimRow(people), receipt("root"))
	b.deliver(b.claimRow(machine), outbox.Receipt{})
	reply := changed(alpine, 2, 3)
	reply.Thread = first.Key
	b.report(watcher.Accepted, result(b.claimRef(alpine), state(2, 3), reply))
	b.sleep(store.DefaultLimits().SettledAge + day)
	b.equal("deliveries", b.prune().Deliveries, 2)
	d := b.claimRow(people)
	if d.Root == nil || d.Root.Link != "root" {
		b.Fatalf("root %+v", d.Root)
	}
	if d.Acted == nil || d.Acted.Index != digest(2) {
		b.Fatalf("acted %+v", d.Acted)
	}
}

func pruneReplay(b *bench) {
	b.watch(alpine)
	b.change(alpine, 1, 2)
	told, machined := b.claimRow(people), b.claimRow(machine)
	b.deliver(told, receipt("m"))
	b.deliver(machined, outbox.Receipt{})
	b.sleep(store.DefaultLimits().SettledAge - day)
	b.prune()
	_, err := b.store.Replay(b.Context(), []string{told.ID})
	b.ok(err)
	b.sleep(2 * day)
	b.equal("only the other one is old", b.prune().Deliveries, 1)
	b.equal("replayed", b.claimRow(people).ID, told.ID)
}

func pruneStopped(b *bench) {
	_, err := b.store.Prune(cancelled(b))
	if err == nil {
		b.Fatal("no error")
	}
	b.equal("afterwards", b.prune(), store.Pruned{})
}
