package outbox

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseWindows reads windows, each "DAYS HH:MM-HH:MM ZONE", such as
// "Mon-Fri 08:00-19:00 Europe/Berlin". DAYS are names or ranges with commas
// between ("Mon,Wed-Fri", "Sat-Sun"); without them it is every day. 24:00 ends
// a day, a window that ends before it starts goes on over midnight, and ZONE is
// an IANA name, UTC, or Local for the zone of this host. The error quotes what
// is wrong and says how to write it.
func ParseWindows(texts []string) (Windows, error) {
	ws := Windows{text: slices.Clone(texts)}
	for _, s := range texts {
		w, err := parseWindow(s)
		if err != nil {
			return Windows{}, fmt.Errorf("%q: %w", s, err)
		}
		ws.list = append(ws.list, w)
	}
	return ws, nil
}

func parseWindow(s string) (w window, err error) {
	parts := strings.Fields(s)
	if len(parts) == 2 && strings.Contains(parts[0], ":") {
		parts = append([]string{"Mon-Sun"}, parts...)
	}
	if len(parts) == 2 && strings.Contains(parts[1], ":") {
		return w, errNoZone
	}
	if len(parts) != 3 {
		return w, errors.New(`not a window; write it like "Mon-Fri 08:00-19:00 Europe/Berlin"`)
	}
	if w.days, err = parseDays(parts[0]); err != nil {
		return w, err
	}
	from, to, ok := strings.Cut(parts[1], "-")
	if !ok {
		return w, fmt.Errorf("%q is no span of time; write it like 08:00-19:00", parts[1])
	}
	if w.start, err = parseClock(from, false); err != nil {
		return w, err
	}
	if w.end, err = parseClock(to, true); err != nil {
		return w, err
	}
	if w.start == w.end {
		return w, fmt.Errorf("%s is no time at all; for the whole day write 00:00-24:00", parts[1])
	}
	w.zone, err = parseZone(parts[2])
	return w, err
}

// ParseDaily reads a time of day, "HH:MM ZONE", such as "09:00 Europe/Berlin".
func ParseDaily(s string) (d Daily, err error) {
	at, zone, _ := strings.Cut(strings.TrimSpace(s), " ")
	if d.minute, err = parseClock(at, false); err != nil {
		return Daily{}, fmt.Errorf("%q: %w", s, err)
	}
	if d.zone, err = parseZone(strings.TrimSpace(zone)); err != nil {
		return Daily{}, fmt.Errorf("%q: %w", s, err)
	}
	return d, nil
}

func dayNames() []string { return []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"} }

func parseDays(s string) (days [7]bool, err error) {
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err := parseDay(from)
		if err != nil {
			return days, err
		}
		last, err := parseDay(to)
		if err != nil {
			return days, err
		}
		for day := first; ; day = (day + 1) % 7 {
			days[day] = true
			if day == last {
				break
			}
		}
	}
	return days, nil
}

func parseDay(s string) (int, error) {
	i := slices.IndexFunc(dayNames(), func(name string) bool { return strings.EqualFold(name, s) })
	if i < 0 {
		return 0, fmt.Errorf("%q is no day; the days are Mon, Tue, Wed, Thu, Fri, Sat, Sun", s)
	}
	return i, nil
}

// parseClock reads HH:MM as minutes; 24:00 only where something ends.
func parseClock(s string, end bool) (int, error) {
	hour, minute, ok := strings.Cut(s, ":")
	h, err := strconv.ParseUint(hour, 10, 8)
	m, merr := strconv.ParseUint(minute, 10, 8)
	n := int(h)*60 + int(m)
	if !ok || err != nil || merr != nil || len(minute) != 2 || m > 59 || n > 24*60 || n == 24*60 && !end {
		return 0, fmt.Errorf("%q is no time of day; write it like 08:00", s)
	}
	return n, nil
}

var errNoZone = errors.New("names no time zone; add one, such as Europe/Berlin or UTC")

func parseZone(s string) (*time.Location, error) {
	if s == "" {
		return nil, errNoZone
	}
	zone, err := time.LoadLocation(s)
	if err != nil {
		return nil, fmt.Errorf("%q is no time zone; write an IANA name such as Europe/Berlin, or UTC", s)
	}
	return zone, nil
}
