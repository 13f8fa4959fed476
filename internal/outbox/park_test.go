package outbox

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"basewatch/watcher"
)

func TestMovesWithoutAnAttempt(t *testing.T) {
	outage := Lane{Name: "slack", FailingSince: start.Add(-100 * time.Hour), FirstID: "A", Probes: 9,
		ProbeAt: start.Add(time.Hour), LastError: "down"}
	parked := Lane{Name: "slack", ParkedSince: start.Add(-7 * 24 * time.Hour)}
	old, young := one("A", 1), one("B", 0)
	old.CreatedAt = start.Add(-90 * time.Hour)
	dead := func(id, reason string, failures int) Step {
		return Step{ID: id, Token: 7, State: Dead, Failures: failures, Reason: reason}
	}
	tolled := outage
	tolled.Told, tolled.ToldSince = true, outage.FailingSince
	failingEvent := watcher.Event{Kind: watcher.ReceiverFailing, Ref: "slack", Receiver: "slack",
		At: start, Since: outage.FailingSince, Problem: watcher.GivenUp, Reason: "  (delivery A): down"}
	failingEvent.Identify()
	for name, c := range map[string]struct{ got, want Settlement }{
		"handing back leaves the lane alone and spends nothing": {
			handBack([]Delivery{one("A", 2)}),
			Settlement{Steps: []Step{{ID: "A", Token: 7, State: Waiting, Failures: 2, NextAt: start.Add(-time.Minute)}}},
		},
		"a start probes at once and remembers the outage": {
			restart(outage, start),
			Settlement{Release: true, Lane: Lane{Name: "slack", FailingSince: outage.FailingSince, FirstID: "A",
				ProbeAt: start, LastError: "down"}},
		},
		"a removed receiver's lane is parked": {
			park(Lane{Name: "slack"}, start), Settlement{Lane: Lane{Name: "slack", ParkedSince: start}},
		},
		"a receiver that is back goes on, and the gap is its outage": {
			unpark(parked, start), Settlement{Release: true, Lane: Lane{Name: "slack", LastFrom: parked.ParkedSince,
				LastTo: start, LastReason: "the receiver was not configured"}},
		},
		"a lane without receiver and rows is forgotten": {
			forget(parked), Settlement{Lane: Lane{Name: "slack"}},
		},
		"a removed receiver's rows are dead after 7 days, untold": {
			bury(parked, []Delivery{old, young}, start),
			Settlement{Lane: parked, Steps: []Step{dead("A", "receiver removed", 1), dead("B", "receiver removed", 0)}},
		},
		"and not a moment earlier": {
			bury(parked, []Delivery{young}, start.Add(-time.Second)),
			Settlement{Lane: parked, Steps: []Step{stay(young)}},
		},
		"rows that outwaited a failing lane are dead and told, younger ones stay": {
			bury(outage, []Delivery{old, young}, start),
			Settlement{Lane: tolled, Born: []watcher.Event{failingEvent},
				Steps: []Step{dead("A", "gave up: the receiver was failing for 76 h: down", 1), stay(young)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
