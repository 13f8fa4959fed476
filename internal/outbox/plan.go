package outbox

import (
	"slices"
	"strings"
	"time"

	"basewatch/watcher"
)

// catchUpHold is how long people wait at most for the end of a host's first
// pass; what the pass found then comes as one message.
const catchUpHold = 10 * time.Minute

// firstSightHold is the same for first sights, which are no news.
const firstSightHold = 24 * time.Hour

// Decision is why a route did or did not tell somebody about an event.
type Decision struct {
	// Route is the place of the route, such as route[1]; default where no route
	// is configured or none could match, test for an event meant for one
	// receiver.
	Route   string `json:"route"`
	Matched bool   `json:"matched"`
	// Why says what did not match: "events", "images", "labels team=ops",
	// "stopped by route[0]".
	Why string `json:"why,omitempty"`
	// Lanes are those that this route tells; Already, those it names that an
	// earlier route told.
	Lanes   []string `json:"lanes,omitempty"`
	Already []string `json:"already,omitempty"`
	// Stopped: later routes were not asked.
	Stopped bool `json:"stopped,omitempty"`

	targets []target
}

// Plan makes the deliveries that an event means, in the order of the routes;
// CreatedAt and Token are the store's. It is pure, does no I/O and gives the
// same IDs for the same event for ever.
func (r *Router) Plan(e watcher.Event) []Delivery {
	var ds []Delivery
	for _, decision := range r.Explain(e) {
		for _, t := range decision.targets {
			ds = append(ds, plan(e, t, decision.Route))
		}
	}
	return ds
}

func plan(e watcher.Event, t target, route string) Delivery {
	d := Delivery{
		ID:       DeliveryID(e.Key, t.lane(), ""),
		EventKey: e.Key,
		Receiver: t.info.Name,
		Address:  t.address,
		Thread:   e.Thread,
		Route:    route,
		State:    Waiting,
	}
	if t.info.People && e.Kind == watcher.Changed {
		d.Slot = t.lane() + "|" + e.Ref
	}
	t.info.Pace.hold(&d, e, t.info.People)
	return d
}

// Explain says what each route makes of an event. [Router.Plan] is made from
// the same decisions.
//
// Events that are not about an image (of a receiver, a configuration, a host
// or the store) match only routes without images and labels. An alarm must not
// vanish because every route is about some images: when no route is without
// such a filter, or the only one told would be the very receiver that fails,
// it goes to every receiver. A receiver is never told about its own failing.
func (r *Router) Explain(e watcher.Event) []Decision {
	switch {
	case e.Receiver != "" && !aboutReceiver(e):
		return r.direct(e)
	case len(r.routes) == 0:
		return []Decision{r.fallback(e)}
	}
	decisions, stopped := make([]Decision, 0, len(r.routes)), ""
	told := map[string]bool{}
	for _, one := range r.routes {
		d := Decision{Route: one.key}
		switch {
		case stopped != "":
			d.Why = "stopped by " + stopped
		default:
			d.Why = one.mismatch(e)
			d.Matched = d.Why == ""
		}
		if d.Matched {
			d.choose(e, one, told)
			if one.stop {
				d.Stopped, stopped = true, one.key
			}
		}
		decisions = append(decisions, d)
	}
	if len(told) == 0 && r.needsFallback(e, decisions) {
		decisions = append(decisions, r.fallback(e))
	}
	return decisions
}

// choose fills in whom a matching route tells.
func (d *Decision) choose(e watcher.Event, one route, told map[string]bool) {
	for _, t := range one.to {
		lane := t.lane()
		switch {
		case concerns(e, t), one.events == nil && !byDefault(e.Kind, t.info):
		case slices.Contains(d.Lanes, lane):
		case told[lane]:
			d.Already = append(d.Already, lane)
		default:
			told[lane] = true
			d.Lanes, d.targets = append(d.Lanes, lane), append(d.targets, t)
		}
	}
}

// direct sends a test where it is meant to go, past every route.
func (r *Router) direct(e watcher.Event) []Decision {
	d := Decision{Route: "test"}
	t, err := parseTarget(e.Receiver, r.receivers)
	if err != nil {
		d.Why = err.Error()
		return []Decision{d}
	}
	d.Matched, d.Lanes, d.targets = true, []string{t.lane()}, []target{t}
	return []Decision{d}
}

// fallback tells every receiver of what nobody wants to miss.
func (r *Router) fallback(e watcher.Event) Decision {
	d := Decision{Route: "default"}
	if !shortList(e.Kind) {
		d.Why = "events"
		return d
	}
	d.Matched = true
	d.choose(e, route{to: r.defaults}, map[string]bool{})
	return d
}

func (r *Router) needsFallback(e watcher.Event, decisions []Decision) bool {
	if aboutImage(e) {
		return false
	}
	// A route that matched and yet told nobody named only the receiver that
	// fails, unless it was there to stop.
	matched := slices.ContainsFunc(decisions, func(d Decision) bool { return d.Matched })
	stopped := slices.ContainsFunc(decisions, func(d Decision) bool { return d.Stopped })
	if matched {
		return aboutReceiver(e) && !stopped
	}
	return !slices.ContainsFunc(r.routes, func(one route) bool { return !one.filters() })
}

func (one route) filters() bool { return len(one.images.globs) > 0 || len(one.labels) > 0 }

// mismatch says why a route does not match; empty: it does. Whether one of its
// receivers gets the kind by default is the receiver's affair, not the route's.
func (one route) mismatch(e watcher.Event) string {
	if one.events != nil && !one.events[e.Kind] || one.events == nil && !one.anyByDefault(e.Kind) {
		return "events"
	}
	if len(one.images.globs) > 0 && (!aboutImage(e) || !one.images.Match(e.Ref)) {
		return "images"
	}
	for _, l := range one.labels {
		has := slices.ContainsFunc(e.Labels[l.key], func(v string) bool { return matchText(l.value, v) })
		if !has || !aboutImage(e) {
			return "labels " + l.key + "=" + l.value
		}
	}
	return ""
}

func (one route) anyByDefault(k watcher.Kind) bool {
	return len(one.to) == 0 && byDefault(k, ReceiverInfo{}) ||
		slices.ContainsFunc(one.to, func(t target) bool { return byDefault(k, t.info) })
}

// byDefault reports whether a route without events means a kind, for one of
// its receivers.
func byDefault(k watcher.Kind, to ReceiverInfo) bool {
	switch k {
	case watcher.Report:
		return !to.People
	case watcher.Appeared, watcher.Triggered, watcher.Rebuilt, watcher.Baseline, watcher.Test:
		return false
	}
	return true
}

// shortList is what goes to everybody when there is no route at all.
func shortList(k watcher.Kind) bool {
	switch k {
	case watcher.Changed, watcher.Failing, watcher.Recovered, watcher.Gone, watcher.Overdue,
		watcher.ReceiverFailing, watcher.ReceiverRecovered, watcher.ConfigRefused:
		return true
	}
	return false
}

func aboutReceiver(e watcher.Event) bool {
	return e.Kind == watcher.ReceiverFailing || e.Kind == watcher.ReceiverRecovered
}

// aboutImage tells an image's reference from a host's name, which has no slash.
func aboutImage(e watcher.Event) bool {
	return !aboutReceiver(e) && e.Kind != watcher.ConfigRefused && strings.Contains(e.Ref, "/")
}

// concerns keeps a receiver from being told that it fails itself.
func concerns(e watcher.Event, t target) bool {
	return aboutReceiver(e) && e.Receiver == t.info.Name
}
