package tags

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Pattern means some tags of one family, or of a few that differ in a codename
// alone.
//
// It is a tag in which x stands for any number and the word codename for any
// codename, or a constraint:
//
//	3.x-slim             3.13-slim, 3.14-slim, not 3.13.1-slim, not 3.14-slim-trixie
//	3.13.x               3.13.0, 3.13.1
//	x-alpine             3-alpine, 27-alpine
//	8.x-rc               8.4-rc1: a prerelease, since the pattern says so
//	bookworm-x-slim      bookworm-20261103-slim
//	codename-slim        bookworm-slim, trixie-slim
//	>=3.18 <4            3.18, 3.22, not 3.22.1: as many numbers as the constraint has
//	>=3.18.0 <4 -slim    3.18.4-slim
type Pattern struct {
	written string
	tag     Tag
	// exact says that a prerelease's number is a part of the pattern.
	exact      bool
	constraint *semver.Constraints
}

// ParsePattern reads a pattern. The error says what to write instead.
func ParsePattern(s string) (Pattern, error) {
	s = strings.TrimSpace(s)
	if strings.ContainsAny(s, "<>=~^!|, ") {
		return parseConstraint(s)
	}
	return parseTemplate(s)
}

func parseTemplate(s string) (Pattern, error) {
	var none Pattern
	if strings.ContainsAny(s, "*?[]{}") {
		return none, fmt.Errorf("%s is no pattern of tags: x stands for a number, such as 3.x-slim", quoted(s))
	}
	if !IsTag(s) {
		return none, fmt.Errorf("%s is no pattern of tags; write one such as 3.x-slim or >=3.18 <4", quoted(s))
	}
	scan := &scanner{s: s, wild: true}
	t, ok := scan.tag()
	if ok && loneX(t.suffix) {
		return none, suffixError(s, t.suffix)
	}
	if !ok || !slices.ContainsFunc(t.numbers, func(n number) bool { return n.wild }) {
		return none, fmt.Errorf("%s names no family of tags: put an x where a number changes, such as 3.x-slim; a single tag goes into images", quoted(s))
	}
	written := []byte(s)
	for _, i := range scan.at {
		written[i] = 'x'
	}
	return Pattern{written: string(written), tag: t, exact: t.preNumber > 0}, nil
}

func suffixError(pattern, suffix string) error {
	return fmt.Errorf("%s has an x in its suffix %s, which must match letter for letter; write the suffix out, such as -alpine3.22",
		quoted(pattern), quoted(suffix))
}

// loneX reports an x that somebody meant as a number.
func loneX(suffix string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(suffix, func(r rune) bool { return strings.ContainsRune(".-_", r) }),
		func(word string) bool { return word == "x" || word == "X" })
}

// String is the pattern, the same for all ways of writing it.
func (p Pattern) String() string { return p.written }

// Match reports whether the pattern means a tag.
func (p Pattern) Match(tag string) bool {
	t, ok := Parse(tag)
	return ok && p.match(t)
}

func (p Pattern) match(t Tag) bool {
	if t.prefix != p.tag.prefix || t.suffix != p.tag.suffix || t.pre != p.tag.pre || len(t.numbers) != len(p.tag.numbers) {
		return false
	}
	if p.exact && t.preNumber != p.tag.preNumber {
		return false
	}
	for i, want := range p.tag.numbers {
		if !want.means(t.numbers[i]) {
			return false
		}
	}
	if p.tag.numbers[0].wild && t.dated() {
		return false
	}
	return p.constraint == nil || p.constraint.Check(t.semver())
}

// means reports whether a number of a pattern stands for one of a tag.
func (n number) means(o number) bool {
	switch {
	case n.separator != o.separator:
		return false
	case !n.wild:
		return n.text == o.text
	case n.text == anyCodename:
		return o.distribution != ""
	}
	return o.distribution == ""
}

// semver is the version for constraints; numbers that are not there are 0.
func (t Tag) semver() *semver.Version {
	n := append(t.Numbers(), 0, 0)
	return semver.New(n[0], n[1], n[2], "", "")
}

// Newest gives the tags that the pattern means, newest first and each once: all
// of them, or at most keep when that is positive.
func (p Pattern) Newest(tags []string, keep int) []string {
	var meant []Tag
	for _, s := range tags {
		if t, ok := Parse(s); ok && p.match(t) {
			meant = append(meant, t)
		}
	}
	slices.SortFunc(meant, func(a, b Tag) int { return b.compare(a) })
	meant = slices.CompactFunc(meant, func(a, b Tag) bool { return a.raw == b.raw })
	if keep > 0 {
		meant = meant[:min(len(meant), keep)]
	}
	out := make([]string, len(meant))
	for i, t := range meant {
		out[i] = t.raw
	}
	return out
}

// Match is [Pattern.Match] of a pattern as written.
func Match(pattern, tag string) (bool, error) {
	p, err := ParsePattern(pattern)
	return err == nil && p.Match(tag), err
}

func quoted(s string) string {
	const limit = 60
	if s == "" {
		return "an empty text"
	}
	return strconv.Quote(s[:min(len(s), limit)])
}
