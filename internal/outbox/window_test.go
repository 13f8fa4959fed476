package outbox

import (
	"testing"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"
)

// at reads a moment as people of a zone write it.
func at(t testing.TB, text string) time.Time {
	t.Helper()
	m, err := time.Parse("2006-01-02 15:04 -07", text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func windows(t testing.TB, texts ...string) Windows {
	t.Helper()
	w, err := ParseWindows(texts)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// 2026-11-23 is a Monday. Berlin goes to summer time on March 29 (02:00 is
// 03:00) and back on October 25 (03:00 is 02:00).
func TestAWindowOpens(t *testing.T) {
	office := "Mon-Fri 08:00-19:00 Europe/Berlin"
	for name, c := range map[string]struct {
		windows  []string
		at, want string
	}{
		"none: always":              {nil, "2026-11-21 03:00 +01", "2026-11-21 03:00 +01"},
		"within":                    {[]string{office}, "2026-11-23 12:00 +01", "2026-11-23 12:00 +01"},
		"at its first minute":       {[]string{office}, "2026-11-23 08:00 +01", "2026-11-23 08:00 +01"},
		"before it":                 {[]string{office}, "2026-11-23 07:59 +01", "2026-11-23 08:00 +01"},
		"at its end":                {[]string{office}, "2026-11-23 19:00 +01", "2026-11-24 08:00 +01"},
		"over the weekend":          {[]string{office}, "2026-11-20 19:00 +01", "2026-11-23 08:00 +01"},
		"from another zone":         {[]string{office}, "2026-11-23 02:00 -05", "2026-11-23 08:00 +01"},
		"in summer":                 {[]string{office}, "2026-07-01 02:00 +00", "2026-07-01 06:00 +00"},
		"every day":                 {[]string{"08:00-19:00 UTC"}, "2026-11-21 20:00 +00", "2026-11-22 08:00 +00"},
		"single days":               {[]string{"mon,Thu 08:00-19:00 UTC"}, "2026-11-24 09:00 +00", "2026-11-26 08:00 +00"},
		"over the end of the week":  {[]string{"Sat-Mon 08:00-09:00 UTC"}, "2026-11-22 10:00 +00", "2026-11-23 08:00 +00"},
		"the whole day":             {[]string{"Sun 00:00-24:00 UTC"}, "2026-11-22 23:59 +00", "2026-11-22 23:59 +00"},
		"and not the next":          {[]string{"Sun 00:00-24:00 UTC"}, "2026-11-23 00:00 +00", "2026-11-29 00:00 +00"},
		"over midnight, the night":  {[]string{"Fri 22:00-06:00 UTC"}, "2026-11-20 23:00 +00", "2026-11-20 23:00 +00"},
		"over midnight, next day":   {[]string{"Fri 22:00-06:00 UTC"}, "2026-11-21 05:59 +00", "2026-11-21 05:59 +00"},
		"over midnight, its end":    {[]string{"Fri 22:00-06:00 UTC"}, "2026-11-21 06:00 +00", "2026-11-27 22:00 +00"},
		"over midnight, day before": {[]string{"Fri 22:00-06:00 UTC"}, "2026-11-20 05:00 +00", "2026-11-20 22:00 +00"},
		"several unite":             {[]string{office, "Sat 10:00-12:00 Europe/Berlin"}, "2026-11-20 20:00 +01", "2026-11-21 10:00 +01"},
		"of several the open one":   {[]string{office, "Sat 10:00-12:00 Europe/Berlin"}, "2026-11-21 11:00 +01", "2026-11-21 11:00 +01"},

		"a start that is leapt over": {[]string{"02:30-06:00 Europe/Berlin"}, "2026-03-29 00:00 +01", "2026-03-29 03:00 +02"},
		"leapt over as a whole":      {[]string{"02:15-02:45 Europe/Berlin"}, "2026-03-29 00:00 +01", "2026-03-30 02:15 +02"},
		"leapt over, once a week":    {[]string{"Sun 02:15-02:45 Europe/Berlin"}, "2026-03-29 00:00 +01", "2026-04-05 02:15 +02"},
		"an hour that comes twice":   {[]string{"02:15-02:45 Europe/Berlin"}, "2026-10-25 02:50 +02", "2026-10-25 02:15 +01"},
		"twice, the first time":      {[]string{"02:15-02:45 Europe/Berlin"}, "2026-10-25 00:00 +02", "2026-10-25 02:15 +02"},
		"set back into the window":   {[]string{"01:00-02:30 Europe/Berlin"}, "2026-10-25 02:40 +02", "2026-10-25 02:00 +01"},
		"midnight that does not exist": {[]string{"Fri 00:00-02:00 Africa/Cairo"},
			"2026-04-23 12:00 +02", "2026-04-24 01:00 +03"},
	} {
		if got, want := windows(t, c.windows...).Open(at(t, c.at)), at(t, c.want); !got.Equal(want) {
			t.Errorf("%s: from %s on open at %s, want %s", name, c.at, got, c.want)
		}
	}
}

func TestDailyComesOnceADay(t *testing.T) {
	for name, c := range map[string]struct{ daily, after, want string }{
		"later today":                 {"09:00 Europe/Berlin", "2026-11-23 08:59 +01", "2026-11-23 09:00 +01"},
		"at the time: the next":       {"09:00 Europe/Berlin", "2026-11-23 09:00 +01", "2026-11-24 09:00 +01"},
		"from another zone":           {"09:00 Asia/Tokyo", "2026-11-23 23:30 +00", "2026-11-24 00:00 +00"},
		"leapt over":                  {"02:30 Europe/Berlin", "2026-03-28 12:00 +01", "2026-03-29 03:00 +02"},
		"after that, the next day":    {"02:30 Europe/Berlin", "2026-03-29 03:00 +02", "2026-03-30 02:30 +02"},
		"twice: the first":            {"02:30 Europe/Berlin", "2026-10-25 00:00 +02", "2026-10-25 02:30 +02"},
		"twice: not the second":       {"02:30 Europe/Berlin", "2026-10-25 02:30 +02", "2026-10-26 02:30 +01"},
		"midnight":                    {"00:00 UTC", "2026-12-31 23:59 +00", "2027-01-01 00:00 +00"},
		"midnight that is leapt over": {"00:00 Africa/Cairo", "2026-04-23 12:00 +02", "2026-04-24 01:00 +03"},
	} {
		d, err := ParseDaily(c.daily)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := d.Next(at(t, c.after)), at(t, c.want); !got.Equal(want) {
			t.Errorf("%s: after %s comes %s, want %s", name, c.after, got, c.want)
		}
	}
}

func drawZone(t *rapid.T) *time.Location {
	// A common zone, half an hour of summer time, midnight that is leapt over,
	// the southern half, and one that goes to winter time for Ramadan.
	name := rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
		"Africa/Cairo", "America/Santiago", "Africa/Casablanca", "Asia/Kolkata"}).Draw(t, "zone")
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// drawMoment is any minute of a year, the days of clock changes more often.
func drawMoment(t *rapid.T, zone *time.Location) time.Time {
	m := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 365*24*60).Draw(t, "minute")) * time.Minute)
	if _, change := m.In(zone).ZoneBounds(); !change.IsZero() && rapid.Bool().Draw(t, "near a change") {
		m = change.Add(time.Duration(rapid.IntRange(-24*60, 12*60).Draw(t, "off")) * time.Minute)
	}
	return m
}

func drawWindow(t *rapid.T, zone *time.Location) window {
	w := window{zone: zone, start: rapid.IntRange(0, 1439).Draw(t, "start")}
	w.end = rapid.IntRange(1, 1440).Filter(func(n int) bool { return n != w.start }).Draw(t, "end")
	w.days[rapid.IntRange(0, 6).Draw(t, "day")] = true
	for i := range w.days {
		w.days[i] = w.days[i] || rapid.Bool().Draw(t, "too")
	}
	return w
}

// What Open says is the first minute that the clock on the wall would find.
func TestNoEarlierMinuteIsOpen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := drawZone(t)
		w := drawWindow(t, zone)
		from := drawMoment(t, zone)
		got := w.open(from)
		if !w.holds(got) {
			t.Fatalf("%s is not within %+v", got.In(zone), w)
		}
		for m := from; m.Before(got); m = m.Add(time.Minute) {
			if w.holds(m) {
				t.Fatalf("%+v from %s: %s, but %s is open", w, from.In(zone), got.In(zone), m.In(zone))
			}
		}
		if got.Sub(from) > 15*24*time.Hour {
			t.Fatalf("%s after %s", got, from)
		}
	})
}

func TestBetweenTwoDailiesIsAboutADay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := drawZone(t)
		d := Daily{minute: rapid.IntRange(0, 1439).Draw(t, "time"), zone: zone}
		first := d.Next(drawMoment(t, zone))
		second := d.Next(first)
		if gap := second.Sub(first); gap < 22*time.Hour || gap > 26*time.Hour {
			t.Fatalf("%s and then %s", first.In(zone), second.In(zone))
		}
		if first.In(zone).Day() == second.In(zone).Day() {
			t.Fatalf("twice on one day: %s and %s", first.In(zone), second.In(zone))
		}
	})
}

func TestWhatIsNoWindowIsRefusedWithTheRemedy(t *testing.T) {
	for text, want := range map[string]string{
		"":                              `"": not a window; write it like "Mon-Fri 08:00-19:00 Europe/Berlin"`,
		"08:00-19:00":                   `"08:00-19:00": not a window; write it like "Mon-Fri 08:00-19:00 Europe/Berlin"`,
		"Mon-Fri UTC":                   `"Mon-Fri UTC": not a window; write it like "Mon-Fri 08:00-19:00 Europe/Berlin"`,
		"Mon 08:00-19:00":               `"Mon 08:00-19:00": names no time zone; add one, such as Europe/Berlin or UTC`,
		"Mon 08:00-19:00 UTC and more":  `"Mon 08:00-19:00 UTC and more": not a window; write it like "Mon-Fri 08:00-19:00 Europe/Berlin"`,
		"Mon- 08:00-19:00 UTC":          `"Mon- 08:00-19:00 UTC": "" is no day; the days are Mon, Tue, Wed, Thu, Fri, Sat, Sun`,
		"Montag 08:00-19:00 UTC":        `"Montag 08:00-19:00 UTC": "Montag" is no day; the days are Mon, Tue, Wed, Thu, Fri, Sat, Sun`,
		"Mon 08:00 UTC":                 `"Mon 08:00 UTC": "08:00" is no span of time; write it like 08:00-19:00`,
		"Mon 8-19 UTC":                  `"Mon 8-19 UTC": "8" is no time of day; write it like 08:00`,
		"Mon 08:60-19:00 UTC":           `"Mon 08:60-19:00 UTC": "08:60" is no time of day; write it like 08:00`,
		"Mon 24:00-06:00 UTC":           `"Mon 24:00-06:00 UTC": "24:00" is no time of day; write it like 08:00`,
		"Mon 08:00-24:01 UTC":           `"Mon 08:00-24:01 UTC": "24:01" is no time of day; write it like 08:00`,
		"Mon 08:00--1:00 UTC":           `"Mon 08:00--1:00 UTC": "-1:00" is no time of day; write it like 08:00`,
		"Mon 08:00-08:00 UTC":           `"Mon 08:00-08:00 UTC": 08:00-08:00 is no time at all; for the whole day write 00:00-24:00`,
		"Mon 08:00-19:00 Middle/Earth":  `"Mon 08:00-19:00 Middle/Earth": "Middle/Earth" is no time zone; write an IANA name such as Europe/Berlin, or UTC`,
		"Mon 08:00-19:00 ../etc/passwd": `"Mon 08:00-19:00 ../etc/passwd": "../etc/passwd" is no time zone; write an IANA name such as Europe/Berlin, or UTC`,
	} {
		if _, err := ParseWindows([]string{"Mon 08:00-19:00 UTC", text}); err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

func FuzzParseWindows(f *testing.F) {
	f.Add("Mon-Fri 08:00-19:00 Europe/Berlin")
	f.Add("22:00-06:00 UTC")
	f.Add("Sat-Mon,Wed 00:00-24:00 Local")
	f.Fuzz(func(t *testing.T, text string) {
		w, err := ParseWindows([]string{text})
		if err != nil {
			return
		}
		from := time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)
		if at := w.Open(from); !w.list[0].holds(at) || at.Before(from) {
			t.Fatalf("%q opens at %s", text, at)
		}
	})
}
