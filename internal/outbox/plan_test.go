package outbox

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"basewatch/watcher"
)

func receivers() []ReceiverInfo {
	return []ReceiverInfo{
		{Name: "slack", Kind: "slack", People: true, Threads: true, Addressable: true, DefaultAddress: "#base-images"},
		{Name: "audit", Kind: "webhook"},
		{Name: "log", Kind: "log"},
	}
}

func router(t *testing.T, routes ...RouteConfig) *Router {
	t.Helper()
	r, err := NewRouter(routes, receivers())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func event(kind watcher.Kind, ref string, labels ...string) watcher.Event {
	e := watcher.Event{Kind: kind, Ref: ref, Seq: 42, At: start, New: &watcher.Snapshot{Index: "sha256:c3a17be01f55aa"}}
	for _, l := range labels {
		k, v, _ := strings.Cut(l, "=")
		e.Labels = map[string][]string{k: strings.Split(v, ",")}
	}
	switch kind {
	case watcher.ReceiverFailing, watcher.ReceiverRecovered:
		e.Receiver, _ = SplitLane(ref)
	}
	e.Identify()
	return e
}

// lanes is who is told, in order: lane by the route that planned it.
func lanes(r *Router, e watcher.Event) string {
	var out []string
	for _, d := range r.Plan(e) {
		out = append(out, d.Lane()+" by "+d.Route)
	}
	return strings.Join(out, ", ")
}

const (
	alpineRef = "docker.io/library/alpine:3.22"
	pythonRef = "docker.io/library/python:3.13-slim"
)

func TestWhoIsTold(t *testing.T) {
	all := RouteConfig{To: []string{"slack", "audit", "log"}}
	alpine := RouteConfig{Images: []string{"alpine"}, To: []string{"slack"}}
	shop := RouteConfig{Labels: map[string]string{"team": "sh*"}, To: []string{"slack:#shop", "audit"}}
	everybody := "audit by default, log by default, slack by default"
	for name, c := range map[string]struct {
		routes []RouteConfig
		event  watcher.Event
		want   string
	}{
		"no route, a change":           {nil, event(watcher.Changed, alpineRef), everybody},
		"no route, a failing image":    {nil, event(watcher.Failing, alpineRef), everybody},
		"no route, a refused config":   {nil, event(watcher.ConfigRefused, "basewatch.toml"), everybody},
		"no route, an overdue rebuild": {nil, event(watcher.Overdue, alpineRef), everybody},
		"no route, not on the list":    {nil, event(watcher.Incomplete, alpineRef), ""},
		"no route, a baseline":         {nil, event(watcher.Baseline, alpineRef), ""},
		"no route, a receiver fails":   {nil, event(watcher.ReceiverFailing, "slack:#shop"), "audit by default, log by default"},
		"no route, and is back":        {nil, event(watcher.ReceiverRecovered, "slack"), "audit by default, log by default"},

		"a route without filters":                                   {[]RouteConfig{all}, event(watcher.Changed, alpineRef), "slack by route[0], audit by route[0], log by route[0]"},
		"default events: held":                                      {[]RouteConfig{all}, event(watcher.Held, alpineRef), "slack by route[0], audit by route[0], log by route[0]"},
		"default events: a report":                                  {[]RouteConfig{all}, event(watcher.Report, alpineRef), "audit by route[0], log by route[0]"},
		"default events: no baseline, triggered, rebuilt, appeared": {[]RouteConfig{all}, event(watcher.Baseline, alpineRef), ""},
		"images match":                                              {[]RouteConfig{alpine}, event(watcher.Changed, alpineRef), "slack by route[0]"},
		"images do not":                                             {[]RouteConfig{alpine}, event(watcher.Changed, pythonRef), ""},
		"labels match":                                              {[]RouteConfig{shop}, event(watcher.Changed, pythonRef, "team=ops,shop"), "slack:#shop by route[0], audit by route[0]"},
		"labels do not":                                             {[]RouteConfig{shop}, event(watcher.Changed, pythonRef, "team=ops"), ""},
		"no such label":                                             {[]RouteConfig{shop}, event(watcher.Changed, pythonRef), ""},
		"every route counts":                                        {[]RouteConfig{alpine, shop}, event(watcher.Changed, alpineRef, "team=shop"), "slack by route[0], slack:#shop by route[1], audit by route[1]"},
		"a lane gets it once, by the first route": {[]RouteConfig{all, shop}, event(watcher.Changed, alpineRef, "team=shop"),
			"slack by route[0], audit by route[0], log by route[0], slack:#shop by route[1]"},
		"the default address is the same lane": {[]RouteConfig{{To: []string{"slack:#base-images", "slack"}}}, event(watcher.Changed, alpineRef), "slack by route[0]"},
		"stop ends the search": {[]RouteConfig{{Images: []string{"alpine"}, To: []string{"log"}, Stop: true}, all},
			event(watcher.Changed, alpineRef), "log by route[0]"},
		"stop of a route that does not match": {[]RouteConfig{{Images: []string{"alpine"}, Stop: true}, {To: []string{"log"}}},
			event(watcher.Changed, pythonRef), "log by route[1]"},
		"stop without anybody silences": {[]RouteConfig{{Images: []string{"alpine"}, Stop: true}, all}, event(watcher.Changed, alpineRef), ""},

		"failing brings its recovery": {[]RouteConfig{{Events: []string{"failing"}, To: []string{"log"}}},
			event(watcher.Recovered, alpineRef), "log by route[0]"},
		"receiver-failing brings its recovery": {[]RouteConfig{{Events: []string{"receiver-failing"}, To: []string{"log"}}},
			event(watcher.ReceiverRecovered, "slack"), "log by route[0]"},
		"recovered alone brings no failing": {[]RouteConfig{{Events: []string{"recovered"}, To: []string{"log"}}}, event(watcher.Failing, alpineRef), ""},
		"a kind that is named": {[]RouteConfig{{Events: []string{"baseline"}, To: []string{"slack"}}},
			event(watcher.Baseline, alpineRef), "slack by route[0]"},

		"a host's trouble passes image filters by": {[]RouteConfig{alpine, {To: []string{"audit"}}}, event(watcher.Failing, "docker.io"), "audit by route[1]"},
		"a host's trouble where all filter":        {[]RouteConfig{alpine, shop}, event(watcher.Failing, "docker.io"), everybody},
		"a refused config where all filter":        {[]RouteConfig{alpine}, event(watcher.ConfigRefused, "teams/shop.toml"), everybody},
		"an operator who did not ask": {[]RouteConfig{{Events: []string{"changed"}, To: []string{"slack"}}},
			event(watcher.Failing, "docker.io"), ""},
		"a failing receiver where all filter": {[]RouteConfig{alpine}, event(watcher.ReceiverFailing, "slack"), "audit by default, log by default"},
		"a failing receiver that is the only one told": {[]RouteConfig{{To: []string{"slack", "slack:#ops"}}, shop},
			event(watcher.ReceiverFailing, "slack"), "audit by default, log by default"},
		"a failing receiver among others": {[]RouteConfig{all}, event(watcher.ReceiverFailing, "audit"), "slack by route[0], log by route[0]"},
		"a failing receiver kept quiet on purpose": {[]RouteConfig{{Events: []string{"receiver-failing"}, Stop: true}, all},
			event(watcher.ReceiverFailing, "slack"), ""},
	} {
		if got := lanes(router(t, c.routes...), c.event); got != c.want {
			t.Errorf("%s: told %q, want %q", name, got, c.want)
		}
	}
}

func TestATestGoesOnlyWhereItIsMeantToGo(t *testing.T) {
	r := router(t, RouteConfig{To: []string{"audit", "slack"}})
	for receiver, want := range map[string]string{
		"slack": "slack by test", "slack:#shop": "slack:#shop by test", "log": "log by test", "nobody": "", "audit:x": "",
	} {
		e := watcher.Event{Kind: watcher.Test, Ref: receiver, At: start, Receiver: receiver}
		e.Identify()
		if got := lanes(r, e); got != want {
			t.Errorf("test of %s told %q, want %q", receiver, got, want)
		}
	}
}

func TestPlanFillsInTheWholeRow(t *testing.T) {
	r := router(t, RouteConfig{To: []string{"slack:#shop", "audit"}})
	e := event(watcher.Changed, pythonRef)
	want := []Delivery{
		{ID: DeliveryID(e.Key, "slack:#shop", ""), EventKey: e.Key, Receiver: "slack", Address: "#shop", Thread: e.Key,
			Slot: "slack:#shop|" + pythonRef, Route: "route[0]", State: Waiting},
		{ID: DeliveryID(e.Key, "audit", ""), EventKey: e.Key, Receiver: "audit", Thread: e.Key, Route: "route[0]", State: Waiting},
	}
	if diff := cmp.Diff(want, r.Plan(e)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(r.Plan(e), r.Plan(e)); diff != "" {
		t.Errorf("planning twice differs:\n%s", diff)
	}
}

func TestOnlyChangesToPeopleHaveSlots(t *testing.T) {
	r := router(t, RouteConfig{Events: []string{"changed", "failing", "baseline"}, To: []string{"slack", "audit", "log"}})
	for _, kind := range []watcher.Kind{watcher.Changed, watcher.Failing, watcher.Baseline} {
		for _, d := range r.Plan(event(kind, pythonRef)) {
			want := ""
			if kind == watcher.Changed && d.Receiver == "slack" {
				want = "slack|" + pythonRef
			}
			if d.Slot != want {
				t.Errorf("%s to %s: slot %q, want %q", kind, d.Receiver, d.Slot, want)
			}
		}
	}
}

func TestPeopleHearOfAFirstPassWhenItHasEnded(t *testing.T) {
	r := router(t, RouteConfig{Events: []string{"changed", "baseline"}, To: []string{"slack", "audit"}})
	late, base, now := event(watcher.Changed, "ghcr.io/acme/base:main"), event(watcher.Baseline, "ghcr.io/acme/base:main"), event(watcher.Changed, pythonRef)
	late.CatchUp = true
	type hold struct {
		Hold    time.Time
		HoldFor string
	}
	got := map[string]hold{}
	for name, e := range map[string]watcher.Event{"late": late, "base": base, "now": now} {
		for _, d := range r.Plan(e) {
			got[name+" "+d.Receiver] = hold{d.Hold, d.HoldFor}
		}
	}
	want := map[string]hold{
		"late slack": {start.Add(10 * time.Minute), "pass:ghcr.io"}, "late audit": {},
		"base slack": {start.Add(24 * time.Hour), "first:ghcr.io"}, "base audit": {},
		"now slack": {}, "now audit": {},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("holds (-want +got):\n%s", diff)
	}
}

func TestExplainSaysWhyOfEachRoute(t *testing.T) {
	r := router(t,
		RouteConfig{Images: []string{"alpine"}, To: []string{"log"}},
		RouteConfig{Labels: map[string]string{"team": "ops"}, To: []string{"log"}},
		RouteConfig{Events: []string{"gone"}, To: []string{"log"}},
		RouteConfig{To: []string{"slack", "audit"}},
		RouteConfig{Labels: map[string]string{"team": "shop"}, To: []string{"audit", "slack:#shop"}, Stop: true},
		RouteConfig{To: []string{"log"}},
	)
	want := []Decision{
		{Route: "route[0]", Why: "images"},
		{Route: "route[1]", Why: "labels team=ops"},
		{Route: "route[2]", Why: "events"},
		{Route: "route[3]", Matched: true, Lanes: []string{"slack", "audit"}},
		{Route: "route[4]", Matched: true, Lanes: []string{"slack:#shop"}, Already: []string{"audit"}, Stopped: true},
		{Route: "route[5]", Why: "stopped by route[4]"},
	}
	got := r.Explain(event(watcher.Changed, pythonRef, "team=shop"))
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Decision{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMistakesInRoutesNameTheirKeyAndTheRemedy(t *testing.T) {
	for name, c := range map[string]struct {
		route RouteConfig
		want  string
	}{
		"unknown receiver":  {RouteConfig{To: []string{"slak:#shop"}}, `route[1].to: "slak:#shop": no receiver "slak"; did you mean "slack"?`},
		"nothing near":      {RouteConfig{To: []string{"pagerduty"}}, `route[1].to: "pagerduty": no receiver "pagerduty"; there are slack, audit, log`},
		"nobody":            {RouteConfig{}, `route[1].to: names nobody; there are slack, audit, log`},
		"address not taken": {RouteConfig{To: []string{"audit:x"}}, `route[1].to: "audit:x": webhook receivers take no address; write "audit" alone`},
		"address empty":     {RouteConfig{To: []string{"slack:"}}, `route[1].to: "slack:": no address after the colon; write "slack" alone for its default`},
		"unknown event":     {RouteConfig{Events: []string{"chnged"}, To: []string{"log"}}, `route[1].events: "chnged": no such event; did you mean "changed"?`},
		"bad image":         {RouteConfig{Images: []string{"alpine:["}, To: []string{"log"}}, `route[1].images: "alpine:[": not a pattern; [ and { need their closing bracket`},
		"bad label":         {RouteConfig{Labels: map[string]string{"team": "{a"}, To: []string{"log"}}, `route[1].labels: team = "{a": not a pattern; [ and { need their closing bracket`},
	} {
		err := c.route.Validate("route[1]", receivers())
		if err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", name, err, c.want)
		}
	}
	_, err := NewRouter([]RouteConfig{{To: []string{"slak"}}, {To: []string{"log"}}, {To: []string{"lug"}}}, receivers())
	if err == nil || !strings.Contains(err.Error(), "route[0].to") || !strings.Contains(err.Error(), "route[2].to") {
		t.Errorf("not all mistakes are told: %v", err)
	}
	if err := (RouteConfig{To: []string{"log"}, Events: []string{"test"}}).Validate("route[0]", receivers()); err != nil {
		t.Errorf("a good route is refused: %v", err)
	}
}
