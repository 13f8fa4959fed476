package web

import (
	"slices"
	"strings"

	"basewatch/internal/text"
)

// nearCount is how many near names an error names.
const nearCount = 3

// nearest gives the known names that somebody who wrote name may have meant:
// what differs by a few letters, then other tags of the same repository.
func nearest(name string, known []string) []string {
	near := text.Nearest(name, known, max(2, len(name)/4), nearCount)
	for _, k := range slices.Sorted(slices.Values(known)) {
		if len(near) < nearCount && k != name && repository(k) == repository(name) && !slices.Contains(near, k) {
			near = append(near, k)
		}
	}
	return near
}

// repository is a short name without its tag.
func repository(name string) string {
	i := strings.LastIndex(name, ":")
	if i < 0 || strings.Contains(name[i:], "/") {
		return name
	}
	return name[:i]
}
