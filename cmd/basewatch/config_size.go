package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes as people write it: 512MiB, 2GiB; 0 is none.
type Size int64

// minStore is the least bound of a store: room for what it keeps in reserve,
// and some history.
const minStore = 8 * mebibyte

const mebibyte Size = 1 << 20

// String is the shortest form that [Size.UnmarshalText] reads back.
func (s Size) String() string {
	switch {
	case s == 0:
		return "0"
	case s%(mebibyte<<10) == 0:
		return strconv.FormatInt(int64(s>>30), 10) + "GiB"
	}
	return strconv.FormatInt(int64(s>>20), 10) + "MiB"
}

// UnmarshalText reads "512MiB", "2GiB" or "0".
func (s *Size) UnmarshalText(text []byte) error {
	*s = 0
	if string(text) == "0" {
		return nil
	}
	unit := mebibyte
	number, found := strings.CutSuffix(string(text), "MiB")
	if !found {
		unit <<= 10
		number, found = strings.CutSuffix(string(text), "GiB")
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if !found || err != nil || n > math.MaxInt64/uint64(unit) {
		return fmt.Errorf(`%q is no size; write it like "512MiB" or "2GiB"`, text)
	}
	*s = Size(n) * unit // #nosec G115 -- bounded above
	return nil
}
