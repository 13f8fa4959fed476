package outbox

import (
	"slices"
	"time"
)

// Windows are the weekly times in which something may be done: it may when any
// of them is open. They follow the clock on the wall of their own time zones:
// a window that holds 02:30 is open twice in the night that has it twice, and
// not at all, or later, in the one that has not. The zero Windows are always
// open.
type Windows struct {
	list []window
	text []string // as they were written
}

// window is one of [Windows]. Minutes count from midnight; one that ends before
// it starts goes on into the next day.
type window struct {
	days       [7]bool // on which it starts; indexed by time.Weekday
	start, end int
	zone       *time.Location
}

// Open gives the first moment from t on at which a window is open: t itself
// when one is. Not even in a year of clock changes is that more than two weeks
// away.
func (w Windows) Open(t time.Time) time.Time {
	if len(w.list) == 0 {
		return t
	}
	first := time.Time{}
	for _, one := range w.list {
		if at := one.open(t); first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first
}

// open is [Windows.Open] of one window.
func (w window) open(t time.Time) time.Time {
	if w.holds(t) {
		return t
	}
	for days := range 15 {
		for _, at := range moments(noon(t.In(w.zone), days), w.start) {
			if !at.Before(t) && w.holds(at) {
				return at
			}
		}
	}
	return t // not reached; to wait for ever would be worse
}

// holds reports whether the window is open at t.
func (w window) holds(t time.Time) bool {
	t = t.In(w.zone)
	minute, day := minuteOf(t), t.Weekday()
	if w.start < w.end {
		return w.days[day] && w.start <= minute && minute < w.end
	}
	yesterday := (day + 6) % 7
	return w.days[day] && w.start <= minute || w.days[yesterday] && minute < w.end
}

// Daily is a time of day. The zero Daily never comes.
type Daily struct {
	minute int
	zone   *time.Location
}

// IsZero reports that no time was set.
func (d Daily) IsZero() bool { return d.zone == nil }

// Next gives when the time comes after t, once a day: the first of two in the
// night that has it twice, and the moment that leaps over it in the one that
// has not.
func (d Daily) Next(t time.Time) time.Time {
	for days := range 5 {
		for _, at := range moments(noon(t.In(d.zone), days), d.minute) {
			if minuteOf(at) < d.minute {
				continue
			}
			if at.After(t) {
				return at
			}
			break // today's was before
		}
	}
	return t // not reached
}

// moments lists, in order, the instants of a day at which the clock on the wall
// of its zone may come to show a minute or leap over it: the minute by the
// offsets before and after a change of the clock near it, and that change.
func moments(day time.Time, minute int) []time.Time {
	y, m, d := day.Date()
	wall := time.Date(y, m, d, 0, minute, 0, 0, time.UTC)
	before := wall.Add(-36 * time.Hour).In(day.Location())
	after := wall.Add(36 * time.Hour).In(day.Location())
	var all []time.Time
	for _, t := range []time.Time{before, after} {
		_, offset := t.Zone()
		all = append(all, wall.Add(-time.Duration(offset)*time.Second).In(day.Location()))
	}
	if _, change := before.ZoneBounds(); !change.IsZero() && change.Before(after) {
		all = append(all, change)
	}
	all = slices.DeleteFunc(all, func(t time.Time) bool { return t.Day() != d })
	slices.SortFunc(all, time.Time.Compare)
	return all
}

// noon is the middle of a day so many days after t's, where no zone ever
// changes its clock.
func noon(t time.Time, days int) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d+days, 12, 0, 0, 0, t.Location())
}

func minuteOf(t time.Time) int { return t.Hour()*60 + t.Minute() }
