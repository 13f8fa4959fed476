package outbox

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestAMessageSaysThatItIsLateOnlyWhenAnOutageMadeItSo(t *testing.T) {
	row := Delivery{CreatedAt: start.Add(-time.Hour)}
	held := row
	held.Hold = start.Add(-30 * time.Second)
	now := Lane{FailingSince: start.Add(-2 * time.Hour), LastError: "down"}
	past := Lane{LastFrom: start.Add(-3 * time.Hour), LastTo: start.Add(-time.Minute), LastReason: "was down"}
	before := Lane{LastFrom: start.Add(-3 * time.Hour), LastTo: start.Add(-2 * time.Hour), LastReason: "was down"}
	for name, c := range map[string]struct {
		lane Lane
		row  Delivery
		want *Outage
	}{
		"the lane is failing":            {now, row, &Outage{From: now.FailingSince, To: start, Reason: "down", Late: time.Hour}},
		"the lane was failing meanwhile": {past, row, &Outage{From: past.LastFrom, To: past.LastTo, Reason: "was down", Late: time.Hour}},
		"the outage ended before":        {before, row, nil},
		"the lane is well":               {Lane{}, row, nil},
		"a hold is not lateness":         {now, held, nil},
		"less than a minute":             {now, Delivery{CreatedAt: start.Add(-time.Minute)}, nil},
	} {
		if diff := cmp.Diff(c.want, lateness(c.lane, c.row, start)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTheWindowNeverLetsASixthMessageThroughWithinAMinute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l lane
		var all []time.Time
		now := start
		for range 50 {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(30*time.Second)).Draw(t, "gap")))
			if free := l.free(now); free.After(now) {
				if l.left(now) != 0 || free.Sub(now) > time.Minute {
					t.Fatalf("%d left, yet free only in %v", l.left(now), free.Sub(now))
				}
				now = free
			}
			if l.left(now) < 1 {
				t.Fatal("nothing is left when it is free")
			}
			l.sentAt(now)
			all = append(all, now)
			if n := len(all); n > 5 && now.Sub(all[n-6]) < time.Minute {
				t.Fatalf("6 messages within %v", now.Sub(all[n-6]))
			}
		}
	})
}
