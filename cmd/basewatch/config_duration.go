package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span as people write it: whole numbers with the units
// w, d, h, m and s, the largest first, each at most once: 15m, 1d12h. A day is
// 24 hours.
type Duration time.Duration

type durationUnit struct {
	letter byte
	size   time.Duration
}

// durationUnits are the units of a [Duration], the largest first.
func durationUnits() []durationUnit {
	return []durationUnit{
		{'w', 7 * 24 * time.Hour}, {'d', 24 * time.Hour}, {'h', time.Hour}, {'m', time.Minute}, {'s', time.Second},
	}
}

// String is the shortest form that [Duration.UnmarshalText] reads back.
func (d Duration) String() string {
	rest, out := time.Duration(d), ""
	for _, u := range durationUnits() {
		// Weeks only when nothing is left over: 10d reads better than 1w3d.
		if n := rest / u.size; n > 0 && (u.letter != 'w' || rest%u.size == 0) {
			out += strconv.FormatInt(int64(n), 10) + string(u.letter)
			rest %= u.size
		}
	}
	if out == "" {
		return "0s"
	}
	return out
}

// UnmarshalText reads "15m", "1d12h" or "0s". The error quotes the text and
// says how to write it.
func (d *Duration) UnmarshalText(text []byte) error {
	sum, err := parseDuration(string(text))
	if err != nil {
		return fmt.Errorf(`%q %w; write it like "15m", "1d12h" or "2w" (units w d h m s)`, text, err)
	}
	*d = Duration(sum)
	return nil
}

func parseDuration(s string) (time.Duration, error) {
	units, sum := durationUnits(), time.Duration(0)
	if s == "" {
		return 0, errors.New("is no duration")
	}
	for s != "" {
		digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
		n, err := strconv.ParseInt(s[:digits], 10, 64)
		switch {
		case digits == 0 || digits == len(s):
			return 0, errors.New("is no duration")
		case err != nil:
			return 0, errors.New("is too long")
		}
		for len(units) > 0 && units[0].letter != s[digits] {
			units = units[1:]
		}
		if len(units) == 0 {
			return 0, errors.New("is no duration")
		}
		if n > int64(math.MaxInt64-sum)/int64(units[0].size) {
			return 0, errors.New("is too long")
		}
		sum += time.Duration(n) * units[0].size
		s, units = s[digits+1:], units[1:]
	}
	return sum, nil
}
