package web

import (
	"cmp"
	"slices"
	"strings"
)

// nearCount is how many near names an error names.
const nearCount = 3

// nearest gives the known names that somebody who wrote name may have meant:
// other tags of the same repository, and what differs by a few letters.
func nearest(name string, known []string) []string {
	type candidate struct {
		name string
		away int
	}
	var near []candidate
	limit := max(2, len(name)/4)
	for _, k := range known {
		away := distance(name, k, limit)
		if repository(k) == repository(name) {
			away = min(away, limit)
		}
		if away <= limit {
			near = append(near, candidate{k, away})
		}
	}
	slices.SortFunc(near, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.away, b.away), cmp.Compare(a.name, b.name))
	})
	var out []string
	for _, c := range near[:min(len(near), nearCount)] {
		out = append(out, c.name)
	}
	return out
}

// repository is a short name without its tag.
func repository(name string) string {
	i := strings.LastIndex(name, ":")
	if i < 0 || strings.Contains(name[i:], "/") {
		return name
	}
	return name[:i]
}

// distance counts the letters to insert, drop or replace to make b of a; more
// than limit is limit+1.
func distance(a, b string, limit int) int {
	if len(a) < len(b) {
		a, b = b, a
	}
	if len(a)-len(b) > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		best := row[0]
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
			best = min(best, cost)
		}
		if best > limit {
			return limit + 1
		}
	}
	return min(row[len(b)], limit+1)
}
