package outbox

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// digester is a receiver of people.
type digester struct{ Receiver }

func (digester) Digest(context.Context, []Delivery) (Receipt, error) { return Receipt{}, nil }

// rowsOf makes rows A, B, C … of groups; a space is none.
func rowsOf(groups string) []Delivery {
	var rows []Delivery
	for i, g := range groups {
		rows = append(rows, Delivery{ID: string(rune('A' + i)), Group: strings.TrimSpace(string(g))})
	}
	return rows
}

func shape(ms [][]Delivery) string {
	var out []string
	for _, m := range ms {
		ids := ""
		for _, row := range m {
			ids += row.ID
		}
		out = append(out, ids)
	}
	return strings.Join(out, " ")
}

func TestHowRowsBecomeMessages(t *testing.T) {
	people, program := turn{receiver: digester{}}, turn{}
	for name, c := range map[string]struct {
		turn turn
		lane lane
		rows string
		want string
	}{
		"one by one":                       {people, lane{}, "     ", "A B C D E"},
		"a group is one":                   {people, lane{}, "xxx", "ABC"},
		"groups and single ones, by age":   {people, lane{}, " xy x", "A BE C D"},
		"thirty rows may be few messages":  {people, lane{}, strings.Repeat("xy", 6), "ACEGIK BDFHJL"},
		"more than a minute allows":        {people, lane{}, "      ", "ABCDEF"},
		"more than is left of the minute":  {people, lane{sent: []time.Time{start, start, start, start}}, "xy", "AB"},
		"what is left is enough":           {people, lane{sent: []time.Time{start, start, start, start}}, "xx", "AB"},
		"a refused digest's smaller parts": {people, lane{most: 3}, "x y", "ABC"},
		"programs get each":                {program, lane{}, "xx      ", "A B C D E F G H"},
	} {
		c.turn.memory = &c.lane
		if got := shape(c.turn.messages(rowsOf(c.rows), start)); got != c.want {
			t.Errorf("%s: %q became %q, want %q", name, c.rows, got, c.want)
		}
	}
}

func TestEachRowIsInOneMessage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := rapid.StringMatching(`[ xyz]{0,20}`).Draw(t, "groups")
		m := &lane{}
		for range rapid.IntRange(0, peopleMessages-1).Draw(t, "sent") {
			m.sentAt(start)
		}
		one := turn{memory: m}
		if rapid.Bool().Draw(t, "people") {
			one.receiver = digester{}
		}
		ms := one.messages(rowsOf(groups), start)
		seen := map[string]int{}
		for _, message := range ms {
			for _, row := range message {
				seen[row.ID]++
			}
		}
		for _, row := range rowsOf(groups) {
			if seen[row.ID] != 1 {
				t.Fatalf("%s is in %d messages", row.ID, seen[row.ID])
			}
		}
		if one.people() && len(ms) > m.left(start) {
			t.Fatalf("%d messages, %d are left", len(ms), m.left(start))
		}
	})
}

// A clock that is set, a host that slept and a daemon that did not run must not
// use up the days that a row has to be delivered.
func TestTimeInWhichNobodyTriedDoesNotCountTowardsGivingUp(t *testing.T) {
	year := 365 * 24 * time.Hour
	row := one("A", 1)
	lane := failing(time.Hour, "A", 3)
	for name, gap := range map[string]time.Duration{"asleep for 5 days": 5 * 24 * time.Hour, "set forward by a year": year} {
		now := start.Add(gap)
		s := settle(lane, attempt{rows: []Delivery{row}, at: now, err: errDown}, now, 0)
		if s.Steps[0].State != Waiting {
			t.Errorf("%s: the row is %s", name, s.Steps[0].State)
		}
		again := restart(lane, now).Lane
		if buried := bury(again, []Delivery{row}, now); buried.Steps[0].State != Waiting {
			t.Errorf("%s, then a restart: the row is %s", name, buried.Steps[0].State)
		}
		// From there on it counts as ever.
		l := s.Lane
		for range 4 * 75 {
			now = now.Add(15 * time.Minute)
			l = settle(l, attempt{rows: []Delivery{row}, at: now, err: errDown}, now, 0).Lane
		}
		if l.outwaited(row, now.Add(-time.Second)) || !l.outwaited(row, now) {
			t.Errorf("%s: given up after %s of trying", name, l.tried(l.FailingSince, now))
		}
	}
}

func TestAClockSetBackLeavesNoLaneWaiting(t *testing.T) {
	for _, back := range []time.Duration{30 * time.Hour, 365 * 24 * time.Hour} {
		now := start.Add(-back)
		w := LaneWork{Lane: failing(time.Hour, "A", 3), Waiting: 1, DueCount: 1, NextDue: now}
		at, ok := turn{work: w, memory: &lane{}, receiver: digester{}}.ready(now)
		if !ok || at.After(now) {
			t.Errorf("set back by %s, the lane is probed in %s", back, at.Sub(now))
		}
		// And what had counted still does.
		l := settle(w.Lane, attempt{rows: []Delivery{one("A", 1)}, at: now, err: errDown}, now, 0).Lane
		if tried := l.tried(l.FailingSince, now); tried != time.Hour {
			t.Errorf("set back by %s, %s count", back, tried)
		}
	}
}

func TestARetryAfterOfADayIsNoClockSetBack(t *testing.T) {
	l := failing(time.Hour, "A", 0)
	l.ProbeAt = start.Add(longestWait)
	w := LaneWork{Lane: l, Waiting: 1, DueCount: 1, NextDue: start}
	if at, _ := (turn{work: w, memory: &lane{}, receiver: digester{}}).ready(start); !at.Equal(l.ProbeAt) {
		t.Errorf("probed at %s, before Retry-After", at)
	}
	if got := fmt.Sprint(l.probed(start).Untried); got != "0s" {
		t.Errorf("%s do not count", got)
	}
}
