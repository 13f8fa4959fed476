package notify

import (
	"fmt"
	"slices"
	"strings"

	"basewatch/internal/outbox"
	"basewatch/internal/text"
	"basewatch/watcher"
)

const (
	// rowLimit is how many events a digest shows with a row each, rowRoom how
	// many characters these may take.
	rowLimit = 45
	rowRoom  = 6000
	// digestRoom is how many characters rows and the others' names may take
	// together; what is beyond is counted. It leaves room for what closes a
	// digest (see slackBody).
	digestRoom = 9500
	// reasonLimit is how much of a reason a row shows, in runes.
	reasonLimit = 100
)

// tellAll makes one story of several deliveries: changes first, then the rest,
// each as old as it is.
func tellAll(ds []outbox.Delivery, instance string) story {
	ds = slices.Clone(ds)
	slices.SortStableFunc(ds, func(a, b outbox.Delivery) int { return weight(a.Event.Kind) - weight(b.Event.Kind) })
	s := story{Title: digestTitle(ds)}
	short, long := late(longest(ds), ds[0].Lane())
	s.Late = short
	s.Body = list(ds)
	s.add(closing(ds))
	s.Foot = append(s.Foot, joined(long, why(routes(ds)...), line{fact(instance)}))
	return s
}

// weight puts what people act on before what they only note.
func weight(k watcher.Kind) int {
	order := []watcher.Kind{watcher.Changed, watcher.Gone, watcher.Failing, watcher.ReceiverFailing, watcher.ConfigRefused,
		watcher.Frozen, watcher.Incomplete, watcher.Recovered, watcher.ReceiverRecovered, watcher.Appeared, watcher.Baseline, watcher.Test}
	if i := slices.Index(order, k); i >= 0 {
		return i
	}
	return len(order)
}

func digestTitle(ds []outbox.Delivery) string {
	counts := countKinds(ds)
	if len(counts) > 1 {
		parts := make([]string, len(counts))
		for i, c := range counts {
			parts[i] = fmt.Sprintf("%d %s", c.n, c.kind)
		}
		return fmt.Sprintf("%d events: %s", len(ds), strings.Join(parts, ", "))
	}
	switch kind := counts[0].kind; kind {
	case watcher.Changed:
		n := len(distinct(ds, func(d outbox.Delivery) string { return d.Event.Ref }))
		return fmt.Sprintf("%d of your bases changed", n)
	case watcher.Baseline:
		return fmt.Sprintf("First sight of %d images on %s: baseline", len(ds), where(ds))
	default:
		return fmt.Sprintf("%d times %s", len(ds), kind)
	}
}

type kindCount struct {
	kind watcher.Kind
	n    int
}

// countKinds counts sorted deliveries, in their order.
func countKinds(ds []outbox.Delivery) []kindCount {
	var cs []kindCount
	for _, d := range ds {
		if len(cs) == 0 || cs[len(cs)-1].kind != d.Event.Kind {
			cs = append(cs, kindCount{kind: d.Event.Kind})
		}
		cs[len(cs)-1].n++
	}
	return cs
}

// where names the registry, or counts them.
func where(ds []outbox.Delivery) string {
	hosts := distinct(ds, func(d outbox.Delivery) string {
		host, _, _ := strings.Cut(d.Event.Ref, "/")
		return host
	})
	if len(hosts) == 1 {
		return hosts[0]
	}
	return fmt.Sprintf("%d registries", len(hosts))
}

// row tells one delivery in one line.
func row(d outbox.Delivery) line {
	e := d.Event
	l := line{fact(e.Handle())}
	switch e.Kind {
	case watcher.Changed:
		l = append(l, say("  "), fact(short(e.Old)), say(" → "), fact(short(e.New)))
		if e.Rollback {
			l = append(l, say(" rolled back"))
		}
		if e.Partial {
			l = append(l, say(" partial"))
		}
	case watcher.Baseline:
		if e.New == nil { // a family's
			return append(l, say("  "), fact(text.Cut(e.Reason, reasonLimit)))
		}
		l = append(l, say("  "), fact(short(e.New)))
	default:
		l = append(l, say("  %s", e.Kind))
		if e.Reason != "" {
			l = append(l, say(": "), fact(text.Cut(e.Reason, reasonLimit)))
		}
	}
	if len(d.Covers) > 0 {
		l = append(append(l, say(", also ")), listed(coverHandles(d), coverLimit)...)
	}
	return l
}

// coverHandles are the numbers of the changes that a row covers, newest first.
func coverHandles(d outbox.Delivery) []string {
	var hs []string
	for _, c := range slices.Backward(d.Covers) {
		hs = append(hs, fmt.Sprintf("@%d", c.Event.Seq))
	}
	return hs
}

// list gives each delivery a row, then names those that have none as far as
// there is room, and counts what is left.
func list(ds []outbox.Delivery) []line {
	var ls []line
	used := 0
	for i, d := range ds {
		r := row(d)
		used += r.size() + 1
		if i == rowLimit || used > rowRoom {
			used -= r.size()
			return append(ls, rest(ds[i:], digestRoom-used)...)
		}
		ls = append(ls, r)
	}
	return ls
}

func rest(ds []outbox.Delivery, room int) []line {
	var names line
	for i, d := range ds {
		next := fact(d.Event.Handle())
		if room -= (line{next}).size() + 2; room < 0 {
			return []line{{say("And %d more:", len(ds))}, names, {say("and %d that are not named here", len(ds)-i)}}
		}
		if i > 0 {
			names = append(names, say(", "))
		}
		names = append(names, next)
	}
	return []line{{say("And %d more:", len(ds))}, names}
}

func closing(ds []outbox.Delivery) line {
	switch countKinds(ds)[0].kind {
	case watcher.Changed:
		return line{say("Whether they matter is not known: contents are not inspected. No rebuild was set off.")}
	case watcher.Baseline:
		return line{say("A first sight is a baseline, not a change.")}
	}
	return nil
}

// longest is the worst outage of all.
func longest(ds []outbox.Delivery) *outbox.Outage {
	var worst *outbox.Outage
	for _, d := range ds {
		if d.Outage != nil && (worst == nil || d.Outage.Late > worst.Late) {
			worst = d.Outage
		}
	}
	return worst
}

func routes(ds []outbox.Delivery) []string {
	return distinct(ds, func(d outbox.Delivery) string { return d.Route })
}

// distinct lists the values of f, sorted, each once.
func distinct(ds []outbox.Delivery, f func(outbox.Delivery) string) []string {
	var vs []string
	for _, d := range ds {
		vs = append(vs, f(d))
	}
	slices.Sort(vs)
	return slices.Compact(vs)
}
