package outbox

import (
	"strings"
	"time"
)

// The moves of rows and lanes that follow from no attempt. Like settle they
// are pure.

// handBack gives claimed rows back as they were: no attempt was made, or we
// ended it ourselves.
func handBack(rows []Delivery) Settlement {
	var s Settlement
	s.each(attempt{rows: rows}, func(row Delivery, step *Step) { step.Reason = row.Reason })
	return s
}

// judge divides claimed rows: those whose windows are open, and what puts the
// others off until one opens. A row whose windows cannot be read (this host
// lost a time zone) goes: late is worse than at a bad time.
func judge(rows []Delivery, now time.Time) (open []Delivery, closed Settlement) {
	opens := make(map[string]time.Time) // by the text of the windows
	for _, row := range rows {
		if len(row.Window) == 0 {
			open = append(open, row)
			continue
		}
		key := strings.Join(row.Window, "\n")
		at, known := opens[key]
		if !known {
			windows, err := ParseWindows(row.Window)
			if at = now; err == nil {
				at = windows.Open(now)
			}
			opens[key] = at
		}
		if !at.After(now) {
			open = append(open, row)
			continue
		}
		step := stay(row)
		step.Reason, step.Hold, step.HoldFor = row.Reason, at, forWindow
		closed.Steps = append(closed.Steps, step)
	}
	return open, closed
}

// restart gives a lane a new chance at once, after a start or a reload. What
// is known of its outage stays, so that it is told as one.
func restart(lane Lane, now time.Time) Settlement {
	if lane.Failing() {
		lane = lane.probed(now)
		lane.Probes, lane.ProbeAt = 0, now
	}
	return Settlement{Lane: lane, Release: true}
}

// park keeps the rows of a lane whose receiver is gone from the configuration.
func park(lane Lane, now time.Time) Settlement {
	lane.ParkedSince = now
	return Settlement{Lane: lane}
}

// unpark lets a lane go on whose receiver is back. The time without it counts
// as its last outage.
func unpark(lane Lane, now time.Time) Settlement {
	lane.LastFrom, lane.LastTo, lane.LastReason = lane.ParkedSince, now, "the receiver was not configured"
	lane.ParkedSince = time.Time{}
	return restart(lane, now)
}

// forget ends a lane that has neither receiver nor rows.
func forget(lane Lane) Settlement { return Settlement{Lane: lane.well()} }

// bury makes rows dead whose waiting in the lane has lasted too long, without
// another attempt; the others stay. It is told like any first dead row, unless
// the receiver was removed: that was the user's own doing.
func bury(lane Lane, rows []Delivery, now time.Time) Settlement {
	s := Settlement{Lane: lane}
	removed := !lane.ParkedSince.IsZero()
	s.each(attempt{rows: rows}, func(row Delivery, step *Step) {
		switch {
		case removed && now.Sub(lane.ParkedSince) >= removedAfter:
			step.end(row, Dead, "receiver removed")
		case !removed && lane.outwaited(row, now):
			step.end(row, Dead, outwaitedReason(lane.LastError))
		default:
			step.Reason = row.Reason
		}
	})
	if !removed {
		s.tell(rows, now)
	}
	return s
}
