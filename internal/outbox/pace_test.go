package outbox

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"basewatch/watcher"
)

func pace(t testing.TB, c PaceConfig) Pace {
	t.Helper()
	p, err := NewPace(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// held is what keeps a planned row back.
type held struct {
	Until  time.Time
	For    string
	Group  string
	Window string
}

func holdOf(d Delivery) held {
	return held{d.Hold, d.HoldFor, d.Group, strings.Join(d.Window, "; ")}
}

// start is a Sunday, 09:00 UTC.
func TestWhatARowIsHeldFor(t *testing.T) {
	const office = "Mon-Fri 08:00-19:00 UTC"
	monday := start.Add(23 * time.Hour)
	sundays := []string{"Sun 08:00-09:05 UTC"}
	catchUp := event(watcher.Changed, pythonRef)
	catchUp.CatchUp = true
	changed, failing := event(watcher.Changed, pythonRef), event(watcher.Failing, pythonRef)
	followUp := changed
	followUp.Thread = "changed|earlier"
	test := watcher.Event{Kind: watcher.Test, Ref: pythonRef, At: start, Receiver: "slack"}
	test.Identify()
	for name, c := range map[string]struct {
		pace  PaceConfig
		route RouteConfig
		event watcher.Event
		want  held
	}{
		"nothing":                 {event: changed},
		"a wave":                  {pace: PaceConfig{GroupWait: time.Minute}, event: changed, want: held{start.Add(time.Minute), "wave", "wave:docker.io/library/python", ""}},
		"no wave in a thread":     {pace: PaceConfig{GroupWait: time.Minute}, event: followUp},
		"no wave of other events": {pace: PaceConfig{GroupWait: time.Minute}, event: failing},
		"a first pass, whatever group_wait says": {pace: PaceConfig{GroupWait: time.Minute}, event: catchUp,
			want: held{start.Add(10 * time.Minute), "pass:docker.io", "pass:docker.io", ""}},

		"a closed window":           {pace: PaceConfig{Window: []string{office}}, event: failing, want: held{monday, "window", "", office}},
		"an open window":            {pace: PaceConfig{Window: []string{"Sun 09:00-10:00 UTC"}}, event: changed, want: held{Window: "Sun 09:00-10:00 UTC"}},
		"an event that passes":      {pace: PaceConfig{Window: []string{office}, Pass: []string{"failing"}}, event: failing},
		"its recovery passes too":   {pace: PaceConfig{Window: []string{office}, Pass: []string{"failing"}}, event: event(watcher.Recovered, pythonRef)},
		"another does not":          {pace: PaceConfig{Window: []string{office}, Pass: []string{"failing"}}, event: changed, want: held{monday, "window", "", office}},
		"a wave in a closed window": {pace: PaceConfig{GroupWait: time.Minute, Window: []string{office}}, event: changed, want: held{monday, "window", "wave:docker.io/library/python", office}},
		"a wave over the window's end": {pace: PaceConfig{GroupWait: 5 * time.Minute, Window: sundays}, event: changed,
			want: held{start.Add(7*24*time.Hour - time.Hour), "window", "wave:docker.io/library/python", sundays[0]}},
		"a first pass within a window": {pace: PaceConfig{Window: []string{"Sun 09:00-10:00 UTC"}}, event: catchUp,
			want: held{start.Add(10 * time.Minute), "pass:docker.io", "pass:docker.io", "Sun 09:00-10:00 UTC"}},
		"what passes still joins its wave": {pace: PaceConfig{GroupWait: time.Minute, Window: []string{office}, Pass: []string{"changed"}}, event: changed,
			want: held{start.Add(time.Minute), "wave", "wave:docker.io/library/python", ""}},

		"daily":                   {pace: PaceConfig{Daily: "10:00 UTC"}, event: changed, want: held{start.Add(time.Hour), "daily", "daily", ""}},
		"daily, for all events":   {pace: PaceConfig{Daily: "10:00 UTC"}, event: failing, want: held{start.Add(time.Hour), "daily", "daily", ""}},
		"daily, and one passes":   {pace: PaceConfig{Daily: "10:00 UTC", Pass: []string{"failing"}}, event: failing},
		"daily and no group":      {pace: PaceConfig{Daily: "10:00 UTC", GroupWait: time.Minute}, event: changed, want: held{start.Add(time.Hour), "daily", "daily", ""}},
		"daily in a later one":    {pace: PaceConfig{Daily: "10:00 UTC", Window: []string{office}}, event: changed, want: held{monday, "window", "daily", office}},
		"daily, a first sight":    {pace: PaceConfig{Daily: "08:00 UTC"}, event: event(watcher.Baseline, pythonRef), want: held{start.Add(23 * time.Hour), "daily", "daily", ""}},
		"a test waits for naught": {pace: PaceConfig{Daily: "10:00 UTC", Window: []string{office}, GroupWait: time.Minute}, event: test},

		"a route's window replaces it": {pace: PaceConfig{Window: []string{office}}, route: RouteConfig{Window: []string{"Sun 12:00-13:00 UTC"}},
			event: changed, want: held{start.Add(3 * time.Hour), "window", "", "Sun 12:00-13:00 UTC"}},
		"a route's pass replaces it": {pace: PaceConfig{Window: []string{office}, Pass: []string{"failing"}}, route: RouteConfig{Pass: []string{"changed"}}, event: changed},
		"and leaves the others waiting": {pace: PaceConfig{Window: []string{office}, Pass: []string{"failing"}}, route: RouteConfig{Pass: []string{"changed"}},
			event: failing, want: held{monday, "window", "", office}},
	} {
		c.route.To, c.route.Events = []string{"slack"}, []string{"changed", "failing", "baseline"}
		r, err := NewRouter([]RouteConfig{c.route}, []ReceiverInfo{{Name: "slack", People: true, Pace: pace(t, c.pace)}})
		if err != nil {
			t.Fatal(err)
		}
		ds := r.Plan(c.event)
		if len(ds) != 1 {
			t.Fatalf("%s: %d rows", name, len(ds))
		}
		if diff := cmp.Diff(c.want, holdOf(ds[0])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestProgramsWaitForAWindowButGatherNothing(t *testing.T) {
	p := pace(t, PaceConfig{GroupWait: time.Minute, Window: []string{"Mon 08:00-09:00 UTC"}})
	r, err := NewRouter(nil, []ReceiverInfo{{Name: "hook", Pace: p}})
	if err != nil {
		t.Fatal(err)
	}
	e := event(watcher.Changed, pythonRef)
	e.CatchUp = true
	want := held{start.Add(23 * time.Hour), "window", "", "Mon 08:00-09:00 UTC"}
	if diff := cmp.Diff(want, holdOf(r.Plan(e)[0])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAPaceThatCannotBeIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		pace PaceConfig
		want string
	}{
		"group_wait":    {PaceConfig{GroupWait: time.Hour + time.Second}, "group_wait: the most is 1h; for one message a day set daily"},
		"window":        {PaceConfig{Window: []string{"noon"}}, `window: "noon": not a window; write it like "Mon-Fri 08:00-19:00 Europe/Berlin"`},
		"daily":         {PaceConfig{Daily: "9 UTC"}, `daily: "9 UTC": "9" is no time of day; write it like 08:00`},
		"security":      {PaceConfig{Pass: []string{"security>=high"}}, `pass: "security>=high": advisories are off, so nothing is known to be about security; take it out`},
		"packages":      {PaceConfig{Pass: []string{"packages-changed"}}, `pass: "packages-changed": contents are not inspected in this version; take it out`},
		"no such event": {PaceConfig{Pass: []string{"chaged"}}, `pass: "chaged": no such event; did you mean "changed"?`},
		"daily outside": {PaceConfig{Daily: "20:00 Europe/Berlin", Window: []string{"08:00-19:00 Europe/Berlin"}}, `daily: "20:00 Europe/Berlin" is never within window; take one of them out, or make the window hold it`},
		"all at once":   {PaceConfig{Daily: "x", Pass: []string{"y"}}, "pass: \"y\": no such event; there are changed, report, appeared, gone, failing, recovered, frozen, incomplete, baseline, triggered, rebuilt, stale-rebuild, overdue, held, receiver-failing, receiver-recovered, config-refused, test\ndaily: \"x\": \"x\" is no time of day; write it like 08:00"},
	} {
		if _, err := NewPace(c.pace); err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", name, err, c.want)
		}
	}
	if _, err := NewPace(PaceConfig{Daily: "09:00 Europe/Berlin", Window: []string{"Sat 08:00-19:00 Europe/Berlin"}}); err != nil {
		t.Errorf("a daily that fits once a week is refused: %v", err)
	}
}

// Whatever the pace says: a row waits at most about two weeks and a day, goes
// within its windows, and is planned the same twice.
func TestARowIsNeverHeldForEver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := drawZone(t)
		var p Pace
		if rapid.Bool().Draw(t, "window") {
			p.windows.list = []window{drawWindow(t, zone)}
		}
		if rapid.Bool().Draw(t, "daily") {
			p.daily = Daily{minute: rapid.IntRange(0, 1439).Draw(t, "time"), zone: zone}
		}
		p.groupWait = time.Duration(rapid.IntRange(0, 60).Draw(t, "wait")) * time.Minute
		e := event(watcher.Changed, pythonRef)
		e.At, e.CatchUp = drawMoment(t, zone), rapid.Bool().Draw(t, "catch up")
		var d, again Delivery
		p.hold(&d, e, true)
		p.hold(&again, e, true)
		if diff := cmp.Diff(d, again); diff != "" {
			t.Fatalf("planned twice:\n%s", diff)
		}
		goes := latest(e.At, d.Hold)
		if goes.Sub(e.At) > 17*24*time.Hour {
			t.Fatalf("held from %s to %s", e.At, d.Hold)
		}
		if !p.windows.Open(goes).Equal(goes) {
			t.Fatalf("goes at %s, outside its window", goes.In(zone))
		}
	})
}

func TestRowsOutsideTheirWindowsArePutOffAndTheOthersGo(t *testing.T) {
	in, out, free, odd := one("A", 0), one("B", 3), one("C", 0), one("D", 0)
	in.Window, out.Window = []string{"Sun 09:00-10:00 UTC"}, []string{"Mon 09:00-10:00 UTC", "Tue 09:00-10:00 UTC"}
	odd.Window = []string{"not a window any more"}
	open, closed := judge([]Delivery{in, out, free, odd}, start)
	if diff := cmp.Diff([]Delivery{in, free, odd}, open); diff != "" {
		t.Errorf("open (-want +got):\n%s", diff)
	}
	want := Settlement{Steps: []Step{{ID: "B", Token: 7, State: Waiting, Failures: 3, NextAt: out.NextAt,
		Hold: start.Add(24 * time.Hour), HoldFor: "window"}}}
	if diff := cmp.Diff(want, closed); diff != "" {
		t.Errorf("put off (-want +got):\n%s", diff)
	}
}
