package text

import (
	"strconv"
	"time"
)

type unit struct {
	size        time.Duration
	word, short string
}

func units() [4]unit {
	return [4]unit{
		{24 * time.Hour, "d", "d"},
		{time.Hour, "h", "h"},
		{time.Minute, "min", "m"},
		{time.Second, "s", "s"},
	}
}

// Age is how long ago in one unit, rounded down: "3 d", "2 h", "14 min",
// "40 s". Below a second, and below zero, it is "0 s".
func Age(d time.Duration) string {
	n, u := largest(d)
	return count(n, u.word)
}

// Compact is [Age] for tables: "3d", "2h", "14m", "40s".
func Compact(d time.Duration) string {
	n, u := largest(d)
	return strconv.FormatInt(n, 10) + u.short
}

// Span is a duration in its two largest units, rounded down: "4 h 10 min",
// "3 d 2 h", "10 min". A second unit of zero is left out, and so are seconds
// beside minutes from ten minutes up.
func Span(d time.Duration) string {
	n, u := largest(d)
	s := count(n, u.word)
	rest := d - time.Duration(n)*u.size
	for i, v := range units() {
		if i > 0 && units()[i-1].size == u.size && rest >= v.size && (v.size > time.Second || d < 10*time.Minute) {
			return s + " " + count(int64(rest/v.size), v.word)
		}
	}
	return s
}

func largest(d time.Duration) (int64, unit) {
	us := units()
	for _, u := range us {
		if d >= u.size {
			return int64(d / u.size), u
		}
	}
	return 0, us[len(us)-1]
}

func count(n int64, word string) string { return strconv.FormatInt(n, 10) + " " + word }
