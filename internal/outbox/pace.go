package outbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"basewatch/watcher"
)

// longestGroupWait bounds group_wait: a wave that takes longer is a daily one.
const longestGroupWait = time.Hour

// What a row may be held for, beside "pass:HOST". A hold ends by itself.
const (
	forWave   = "wave"
	forWindow = "window"
	forDaily  = "daily"
)

// PaceConfig says when a receiver may be told. Its fields are keys of each
// [notify.NAME]; a zero field means at once.
type PaceConfig struct {
	// GroupWait is how long the first change of a wave waits for others, at
	// most an hour.
	GroupWait time.Duration
	// Window holds windows as in [ParseWindows]; outside all of them rows wait.
	Window []string
	// Pass holds events that wait neither for Window nor for Daily.
	Pass []string
	// Daily is a time of day as in [ParseDaily]: what came since the last goes
	// then, as one message.
	Daily string
}

// Pace is a [PaceConfig] that was checked. The zero Pace holds nothing back.
type Pace struct {
	groupWait time.Duration
	windows   Windows
	daily     Daily
	pass      map[watcher.Kind]bool
}

// NewPace checks a configuration. All mistakes come joined, each a
// *[ConfigError] about one key.
func NewPace(c PaceConfig) (Pace, error) {
	var errs []error
	wrong := func(key string, err error) {
		if err != nil {
			errs = append(errs, &ConfigError{Key: key, Problem: err.Error()})
		}
	}
	p := Pace{groupWait: c.GroupWait}
	if c.GroupWait > longestGroupWait {
		wrong("group_wait", errors.New("the most is 1h; for one message a day set daily"))
	}
	var err error
	p.windows, err = ParseWindows(c.Window)
	wrong("window", err)
	p.pass, err = parsePass(c.Pass)
	wrong("pass", err)
	if c.Daily != "" {
		p.daily, err = ParseDaily(c.Daily)
		wrong("daily", err)
	}
	if len(errs) == 0 && !p.daily.IsZero() && !p.dailyFits() {
		wrong("daily", fmt.Errorf("%q is never within window; take one of them out, or make the window hold it", c.Daily))
	}
	if err := errors.Join(errs...); err != nil {
		return Pace{}, err
	}
	return p, nil
}

// dailyFits reports whether the daily time meets an open window within a week.
// The week is any one; a clock change may move single days.
func (p Pace) dailyFits() bool {
	at := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	for range 8 {
		at = p.daily.Next(at)
		if p.windows.Open(at).Equal(at) {
			return true
		}
	}
	return false
}

// parsePass reads the events that do not wait.
func parsePass(words []string) (map[watcher.Kind]bool, error) {
	for _, w := range words {
		switch gate, _, _ := strings.Cut(w, ">"); gate {
		case "security":
			return nil, fmt.Errorf("%q: advisories are off, so nothing is known to be about security; take it out", w)
		case "content-changed", "packages-changed":
			return nil, fmt.Errorf("%q: contents are not inspected in this version; take it out", w)
		}
	}
	return parseEvents(words)
}

// replacedBy gives the pace with what a route sets instead.
func (p Pace) replacedBy(windows *Windows, pass map[watcher.Kind]bool) Pace {
	if windows != nil {
		p.windows = *windows
	}
	if pass != nil {
		p.pass = pass
	}
	return p
}

// hold sets what keeps a new row back. Each wait is counted from the event's
// own time, so that planning is pure.
func (p Pace) hold(d *Delivery, e watcher.Event, people bool) {
	if e.Receiver != "" && !aboutReceiver(e) {
		return // a test
	}
	if people {
		p.gather(d, e)
	}
	if p.pass[e.Kind] {
		return
	}
	if !p.daily.IsZero() {
		d.Hold, d.HoldFor, d.Group = p.daily.Next(e.At), forDaily, forDaily
	}
	d.Window = slices.Clone(p.windows.text)
	at := latest(e.At, d.Hold)
	if opens := p.windows.Open(at); opens.After(at) {
		d.Hold, d.HoldFor = opens, forWindow
	}
}

// gather makes people wait for what belongs together, to hear of it in one
// message.
func (p Pace) gather(d *Delivery, e watcher.Event) {
	host, _, _ := strings.Cut(e.Ref, "/")
	switch {
	case e.Kind == watcher.Baseline:
		// No news, so it has time: all first sights of one pass share one
		// message, however long the pass takes.
		d.Hold, d.HoldFor = e.At.Add(firstSightHold), "first:"+host
		d.Group = d.HoldFor
	case e.CatchUp:
		d.Hold, d.HoldFor = e.At.Add(catchUpHold), "pass:"+host
		d.Group = d.HoldFor
	case e.Kind == watcher.Changed && e.Thread == e.Key && p.groupWait > 0:
		// What follows in a thread is told there, by itself.
		d.Hold, d.HoldFor = e.At.Add(p.groupWait), forWave
		d.Group = forWave + ":" + repository(e.Ref)
	}
}

// repository is a reference without its tag.
func repository(ref string) string {
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		return ref[:i]
	}
	return ref
}
