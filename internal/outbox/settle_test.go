package outbox

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"basewatch/watcher"
)

var start = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

var errDown = errors.New("slack: 503 unavailable")

func one(id string, failures int) Delivery {
	return Delivery{ID: id, Receiver: "slack", State: Waiting, Token: 7, Failures: failures,
		CreatedAt: start.Add(-time.Hour), NextAt: start.Add(-time.Minute)}
}

func covering(d Delivery, ids ...string) Delivery {
	for _, id := range ids {
		d.Covers = append(d.Covers, Delivery{ID: id})
	}
	return d
}

// failing is a lane that began to fail some time before start.
func failing(ago time.Duration, first string, probes int) Lane {
	return Lane{Name: "slack", FailingSince: start.Add(-ago), FirstID: first, Probes: probes,
		ProbeAt: start, LastError: "before"}
}

// TestSettleMovesRowsAndLanes has one case for every arrow of the two state
// machines.
func TestSettleMovesRowsAndLanes(t *testing.T) {
	well := Lane{Name: "slack"}
	told := func(l Lane) Lane { l.Told, l.ToldSince = true, l.FailingSince; return l }
	broad := func(l Lane) Lane { l.Broad = true; return l }
	wellAgain := func(ago time.Duration) Lane {
		return Lane{Name: "slack", LastFrom: start.Add(-ago), LastTo: start, LastReason: "before"}
	}
	waits := func(id string, failures int, next time.Duration) Step {
		return Step{ID: id, Token: 7, State: Waiting, Failures: failures, NextAt: start.Add(next)}
	}
	ends := func(id string, s State, failures int, reason string, covers ...string) Step {
		return Step{ID: id, Token: 7, State: s, Failures: failures, Reason: reason, Covers: covers}
	}
	const spent = -time.Minute // NextAt as it was
	unavailable := errDown.Error()
	for name, c := range map[string]struct {
		lane    Lane
		rows    []Delivery
		err     error
		want    Lane
		release bool
		steps   []Step
		born    []watcher.Kind
	}{
		"a success delivers the row and what it covers": {
			lane: well, rows: []Delivery{covering(one("A", 2), "B", "C")}, want: well,
			steps: []Step{ends("A", Delivered, 2, "", "B", "C")},
		},
		"a digest delivers all its rows": {
			lane: well, rows: []Delivery{one("A", 0), covering(one("B", 1), "C")}, want: well,
			steps: []Step{ends("A", Delivered, 0, ""), ends("B", Delivered, 1, "", "C")},
		},
		"the first failure follows the schedule and makes the lane failing": {
			lane: well, rows: []Delivery{one("A", 0)}, err: errDown,
			want:  Lane{Name: "slack", FailingSince: start, FirstID: "A", ProbeAt: start.Add(5 * time.Second), LastError: unavailable},
			steps: []Step{waits("A", 1, 5*time.Second)},
		},
		"the fifth failure in a well lane waits 5 h": {
			lane: well, rows: []Delivery{one("A", 4)}, err: errDown,
			want:  Lane{Name: "slack", FailingSince: start, FirstID: "A", ProbeAt: start.Add(5 * time.Second), LastError: unavailable},
			steps: []Step{waits("A", 5, 5*time.Hour)},
		},
		"a panic is a failure like any other": {
			lane: well, rows: []Delivery{one("A", 0)}, err: &panicError{value: "boom"},
			want:  Lane{Name: "slack", FailingSince: start, FirstID: "A", ProbeAt: start.Add(5 * time.Second), LastError: "panic: boom"},
			steps: []Step{waits("A", 1, 5*time.Second)},
		},
		"retry-after holds back the row and the lane": {
			lane: well, rows: []Delivery{one("A", 0)}, err: RetryAfter(errDown, 42*time.Minute),
			want:  Lane{Name: "slack", FailingSince: start, FirstID: "A", ProbeAt: start.Add(42 * time.Minute), LastError: unavailable},
			steps: []Step{waits("A", 1, 42*time.Minute)},
		},
		"retry-after never shortens the row's own schedule": {
			lane: well, rows: []Delivery{one("A", 4)}, err: RetryAfter(errDown, time.Nanosecond),
			want:  Lane{Name: "slack", FailingSince: start, FirstID: "A", ProbeAt: start.Add(time.Second), LastError: unavailable},
			steps: []Step{waits("A", 5, 5*time.Hour)},
		},
		"the tenth failure is the last and is told": {
			lane: well, rows: []Delivery{covering(one("A", 9), "B")}, err: errDown,
			want: Lane{Name: "slack", FailingSince: start, FirstID: "A", ProbeAt: start.Add(5 * time.Second),
				LastError: unavailable, Told: true, ToldSince: start},
			steps: []Step{ends("A", Dead, 10, "gave up after 10 attempts: "+unavailable, "B")},
			born:  []watcher.Kind{watcher.ReceiverFailing},
		},
		"a failed digest costs its rows nothing": {
			lane: well, rows: []Delivery{one("A", 0), one("B", 3)}, err: errDown,
			want: Lane{Name: "slack", FailingSince: start, FirstID: "A", Broad: true,
				ProbeAt: start.Add(5 * time.Second), LastError: unavailable},
			steps: []Step{waits("A", 0, spent), waits("B", 3, spent)},
		},
		"a refused row is dead at once and leaves a well lane well": {
			lane: well, rows: []Delivery{covering(one("A", 0), "B")}, err: Permanent(errDown),
			want:  Lane{Name: "slack", LastError: unavailable, Told: true, ToldSince: start},
			steps: []Step{ends("A", Dead, 1, "refused: "+unavailable, "B")},
			born:  []watcher.Kind{watcher.ReceiverFailing},
		},
		"a second refused row is not told again": {
			lane: Lane{Name: "slack", Told: true, ToldSince: start.Add(-time.Hour)}, rows: []Delivery{one("A", 0)}, err: Permanent(errDown),
			want:  Lane{Name: "slack", LastError: unavailable, Told: true, ToldSince: start.Add(-time.Hour)},
			steps: []Step{ends("A", Dead, 1, "refused: "+unavailable)},
		},
		"a success after a refusal tells the recovery": {
			lane: Lane{Name: "slack", Told: true, ToldSince: start.Add(-time.Hour)}, rows: []Delivery{one("A", 0)},
			want:  well,
			steps: []Step{ends("A", Delivered, 0, "")},
			born:  []watcher.Kind{watcher.ReceiverRecovered},
		},
		"a refused digest kills nobody": {
			lane: well, rows: []Delivery{one("A", 0), one("B", 3)}, err: Permanent(errDown),
			want:  Lane{Name: "slack", LastError: unavailable},
			steps: []Step{waits("A", 0, 0), waits("B", 3, 0)},
		},
		"a refused probe says nothing of the lane: the next one goes at once": {
			lane: failing(time.Minute, "F", 1), rows: []Delivery{one("A", 0)}, err: Permanent(errDown),
			want: Lane{Name: "slack", FailingSince: start.Add(-time.Minute), FirstID: "F", Probes: 1, ProbeAt: start,
				LastError: unavailable, Told: true, ToldSince: start.Add(-time.Minute)},
			steps: []Step{ends("A", Dead, 1, "refused: "+unavailable)},
			born:  []watcher.Kind{watcher.ReceiverFailing},
		},
		"a snooze puts off the row and touches nothing else": {
			lane: well, rows: []Delivery{one("A", 3)}, err: Snooze(time.Hour, "not yet"), want: well,
			steps: []Step{{ID: "A", Token: 7, State: Waiting, Failures: 3, NextAt: start.Add(time.Hour), Reason: "not yet"}},
		},
		"a snooze leaves a failing lane failing": {
			lane: failing(time.Minute, "F", 1), rows: []Delivery{one("A", 0)}, err: Snooze(0, "not yet"),
			want:  failing(time.Minute, "F", 1),
			steps: []Step{{ID: "A", Token: 7, State: Waiting, NextAt: start.Add(time.Second), Reason: "not yet"}},
		},
		"a probe that fails spends nothing": {
			lane: failing(time.Minute, "A", 0), rows: []Delivery{one("A", 1)}, err: errDown,
			want: Lane{Name: "slack", FailingSince: start.Add(-time.Minute), FirstID: "A", Probes: 1,
				ProbeAt: start.Add(time.Minute), LastError: unavailable},
			steps: []Step{waits("A", 1, spent)},
		},
		"a failed probe by another row makes it the lane's trouble": {
			lane: failing(time.Minute, "F", 2), rows: []Delivery{one("A", 0)}, err: errDown,
			want: Lane{Name: "slack", FailingSince: start.Add(-time.Minute), FirstID: "F", Broad: true, Probes: 3,
				ProbeAt: start.Add(5 * time.Minute), LastError: unavailable},
			steps: []Step{waits("A", 0, spent)},
		},
		"retry-after replaces the wait for the next probe": {
			lane: failing(time.Minute, "A", 9), rows: []Delivery{one("A", 1)}, err: RetryAfter(errDown, 99*time.Hour),
			want: Lane{Name: "slack", FailingSince: start.Add(-time.Minute), FirstID: "A", Probes: 10,
				ProbeAt: start.Add(24 * time.Hour), LastError: unavailable},
			steps: []Step{waits("A", 1, spent)},
		},
		"an outage of an hour is told": {
			lane: failing(time.Hour, "A", 6), rows: []Delivery{one("A", 1)}, err: errDown,
			want: told(Lane{Name: "slack", FailingSince: start.Add(-time.Hour), FirstID: "A", Probes: 7,
				ProbeAt: start.Add(15 * time.Minute), LastError: unavailable}),
			steps: []Step{waits("A", 1, spent)},
			born:  []watcher.Kind{watcher.ReceiverFailing},
		},
		"an outage is told once": {
			lane: told(failing(2*time.Hour, "A", 6)), rows: []Delivery{one("A", 1)}, err: errDown,
			want: told(Lane{Name: "slack", FailingSince: start.Add(-2 * time.Hour), FirstID: "A", Probes: 7,
				ProbeAt: start.Add(15 * time.Minute), LastError: unavailable}),
			steps: []Step{waits("A", 1, spent)},
		},
		"the row that began it goes through: well, all released": {
			lane: failing(time.Minute, "A", 2), rows: []Delivery{one("A", 1)}, want: wellAgain(time.Minute), release: true,
			steps: []Step{ends("A", Delivered, 1, "")},
		},
		"any row goes through after a broad outage: well, all released": {
			lane: broad(failing(time.Minute, "F", 2)), rows: []Delivery{one("A", 1)}, want: wellAgain(time.Minute), release: true,
			steps: []Step{ends("A", Delivered, 1, "")},
		},
		"another row goes through where one alone failed: that one keeps its schedule": {
			lane: failing(time.Minute, "F", 2), rows: []Delivery{one("A", 0)}, want: wellAgain(time.Minute),
			steps: []Step{ends("A", Delivered, 0, "")},
		},
		"the end of an outage that was told is told": {
			lane: told(failing(2*time.Hour, "A", 8)), rows: []Delivery{one("A", 1)}, want: wellAgain(2 * time.Hour), release: true,
			steps: []Step{ends("A", Delivered, 1, "")},
			born:  []watcher.Kind{watcher.ReceiverRecovered},
		},
		"a row is dead after 76 h in a failing lane": {
			lane: failing(76*time.Hour, "F", 300), rows: []Delivery{func() Delivery {
				d := covering(one("A", 1), "B")
				d.CreatedAt = start.Add(-76 * time.Hour)
				return d
			}()}, err: errDown,
			want: told(Lane{Name: "slack", FailingSince: start.Add(-76 * time.Hour), FirstID: "F", Broad: true, Probes: 301,
				ProbeAt: start.Add(15 * time.Minute), LastError: unavailable}),
			steps: []Step{ends("A", Dead, 1, "gave up: the receiver was failing for 76 h: "+unavailable, "B")},
			born:  []watcher.Kind{watcher.ReceiverFailing},
		},
		"a younger row is not": {
			lane: told(failing(80*time.Hour, "F", 300)), rows: []Delivery{one("A", 0)}, err: errDown,
			want: told(Lane{Name: "slack", FailingSince: start.Add(-80 * time.Hour), FirstID: "F", Broad: true, Probes: 301,
				ProbeAt: start.Add(15 * time.Minute), LastError: unavailable}),
			steps: []Step{waits("A", 0, spent)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := attempt{rows: c.rows, at: start.Add(-time.Second), took: time.Second, err: c.err, receipt: Receipt{Link: "L"}}
			got := settle(c.lane, a, start, 0)
			var born []watcher.Kind
			for _, e := range got.Born {
				born = append(born, e.Kind)
			}
			if diff := cmp.Diff(c.want, got.Lane); diff != "" {
				t.Errorf("lane (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.steps, got.Steps, cmpopts.IgnoreFields(Step{}, "Attempt", "Receipt")); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.born, born); diff != "" {
				t.Errorf("born (-want +got):\n%s", diff)
			}
			if got.Release != c.release {
				t.Errorf("release = %v, want %v", got.Release, c.release)
			}
			outcome, _ := Classify(c.err)
			for _, step := range got.Steps {
				if step.Attempt == nil || step.Attempt.Outcome != outcome || step.Attempt.Took != time.Second || step.Receipt.Link != "L" {
					t.Errorf("step %s: attempt %+v, receipt %+v are not on record", step.ID, step.Attempt, step.Receipt)
				}
			}
		})
	}
}

func TestAReceiversEventNamesItsOutage(t *testing.T) {
	lane := Lane{Name: "slack:#shop", FailingSince: start.Add(-time.Hour), FirstID: "A", LastError: "before"}
	got := settle(lane, attempt{rows: []Delivery{one("A", 1)}, err: errDown}, start, 0)
	want := watcher.Event{
		Key: "receiver-failing|slack:#shop|1795334400", Thread: "receiver-failing|slack:#shop|1795334400",
		Kind: watcher.ReceiverFailing, Ref: "slack:#shop", Receiver: "slack",
		At: start, Since: start.Add(-time.Hour), Reason: errDown.Error(),
	}
	if diff := cmp.Diff([]watcher.Event{want}, got.Born); diff != "" {
		t.Fatalf("born (-want +got):\n%s", diff)
	}
	back := settle(got.Lane, attempt{rows: []Delivery{one("A", 1)}}, start.Add(time.Hour), 0)
	if len(back.Born) != 1 || back.Born[0].Key != "receiver-recovered|slack:#shop|1795334400" || !back.Born[0].Since.Equal(want.Since) {
		t.Errorf("born at recovery: %+v", back.Born)
	}
}

func TestWhatIsKeptOfAnAttemptIsBounded(t *testing.T) {
	long := errors.New(strings.Repeat("ü", 600))
	got := settle(Lane{Name: "slack"}, attempt{
		rows: []Delivery{one("A", 0)}, err: long,
		receipt: Receipt{Link: "L", State: json.RawMessage(`"` + strings.Repeat("x", 5000) + `"`)},
	}, start, 0)
	answer := got.Steps[0].Attempt.Answer
	if len(answer) > 512 || len(answer) < 500 || !utf8.ValidString(answer) {
		t.Errorf("answer of %d bytes, valid %v", len(answer), utf8.ValidString(answer))
	}
	if r := got.Steps[0].Receipt; r.State != nil || r.Link != "L" {
		t.Errorf("receipt kept: %d bytes of state, link %q", len(r.State), r.Link)
	}
	got = settle(Lane{Name: "slack"}, attempt{rows: []Delivery{one("A", 0)}, receipt: Receipt{State: json.RawMessage(`{`)}}, start, 0)
	if got.Steps[0].Receipt.State != nil {
		t.Error("a state that is no JSON would break the row's own encoding, and was kept")
	}
}

func TestEveryRowThatAlwaysFailsEndsAsADeadLetter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// alone: the lane has no other row that goes through and makes it well.
		alone, waits := rapid.Bool().Draw(t, "alone"), rapid.Bool().Draw(t, "waits")
		lane, now, row := Lane{Name: "slack"}, start, one("A", 0)
		row.CreatedAt = now
		for tries := 0; ; tries++ {
			if tries > 2000 {
				t.Fatal("still waiting after 2000 attempts")
			}
			err := errDown
			if waits {
				err = RetryAfter(err, time.Duration(rapid.Int64Range(0, int64(48*time.Hour)).Draw(t, "wait")))
			}
			s := settle(lane, attempt{rows: []Delivery{row}, err: err}, now, rapid.Float64Range(0, 0.99).Draw(t, "rnd"))
			if s.Steps[0].State == Dead {
				if took := now.Sub(start); alone && !waits && (took < 76*time.Hour || took > 76*time.Hour+15*time.Minute) {
					t.Fatalf("dead after %v alone in a failing lane, want 76 h", took)
				}
				return
			}
			lane, row.Failures, row.NextAt = s.Lane, s.Steps[0].Failures, s.Steps[0].NextAt
			if !alone && rapid.IntRange(0, 9).Draw(t, "other") == 0 {
				lane = settle(lane, attempt{rows: []Delivery{one("B", 0)}}, now, 0).Lane
			}
			now = latest(now.Add(time.Millisecond), latest(row.NextAt, lane.ProbeAt))
		}
	})
}

func TestNoStepEverHurriesOrForgetsItsToken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lane := Lane{Name: "slack"}
		if rapid.Bool().Draw(t, "failing") {
			lane = failing(time.Duration(rapid.Int64Range(0, int64(100*time.Hour)).Draw(t, "ago")), "A", rapid.IntRange(0, 400).Draw(t, "probes"))
			lane.Broad, lane.Told = rapid.Bool().Draw(t, "broad"), rapid.Bool().Draw(t, "told")
		}
		var rows []Delivery
		for i := range rapid.IntRange(1, 4).Draw(t, "rows") {
			d := one(string(rune('A'+i)), rapid.IntRange(0, 12).Draw(t, "failures"))
			d.Token = rapid.Uint64().Draw(t, "token")
			rows = append(rows, d)
		}
		wait := time.Duration(rapid.Int64().Draw(t, "wait"))
		err := rapid.SampledFrom([]error{nil, errDown, Permanent(errDown), RetryAfter(errDown, wait),
			Snooze(wait, "later"), &panicError{value: "boom"}}).Draw(t, "err")
		s := settle(lane, attempt{rows: rows, err: err}, start, rapid.Float64Range(0, 0.99).Draw(t, "rnd"))
		if len(s.Steps) != len(rows) {
			t.Fatalf("%d steps for %d rows", len(s.Steps), len(rows))
		}
		for i, step := range s.Steps {
			if step.ID != rows[i].ID || step.Token != rows[i].Token || step.Failures < rows[i].Failures {
				t.Fatalf("step %+v is not row %+v", step, rows[i])
			}
			if step.State == Waiting && step.NextAt.Before(rows[i].NextAt) {
				t.Fatalf("step hurries the row from %v to %v", rows[i].NextAt, step.NextAt)
			}
			if step.State != Waiting && step.State != Delivered && step.State != Dead {
				t.Fatalf("step to %q", step.State)
			}
		}
		outcome, after := Classify(err)
		if s.Lane.Failing() && outcome == Retry && s.Lane.ProbeAt.Before(start.Add(min(after, 24*time.Hour))) {
			t.Fatalf("probe at %v, before the %v that was asked for", s.Lane.ProbeAt, after)
		}
		if len(s.Born) > 1 {
			t.Fatalf("%d events born of one attempt", len(s.Born))
		}
	})
}
