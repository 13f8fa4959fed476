package text

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestNearestKnowsSlipsOfTheFingers(t *testing.T) {
	tags := []string{"alpine", "alpine-slim", "latest", "1.29-alpine", "alpines", "mainline"}
	tests := []struct {
		word  string
		limit int
		want  []string
	}{
		{"alpne", 1, []string{"alpine"}},              // dropped
		{"apline", 1, []string{"alpine"}},             // swapped
		{"alpimes", 2, []string{"alpines", "alpine"}}, // the nearest first
		{"alpine", 1, []string{"alpine", "alpines"}},
		{"ruby", 2, nil},
		{"", 2, nil},
	}
	for _, test := range tests {
		if got := Nearest(test.word, tags, test.limit, 2); !slices.Equal(got, test.want) {
			t.Errorf("%q within %d: %q, want %q", test.word, test.limit, got, test.want)
		}
	}
}

func TestDistanceIsTheSameBothWaysAndZeroOnlyForEquals(t *testing.T) {
	word := rapid.StringMatching(`[abc]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		there, back := distance(a, b, 9), distance(b, a, 9)
		if there != back || (there == 0) != (a == b) {
			t.Errorf("%q to %q is %d, back %d", a, b, there, back)
		}
		if limit := max(0, there-1); there > 0 && distance(a, b, limit) <= limit {
			t.Errorf("%q to %q is %d and counts as within %d", a, b, there, limit)
		}
	})
}
