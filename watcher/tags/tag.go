package tags

import (
	"cmp"
	"slices"
	"strings"
)

// Tag is a tag taken apart. The zero Tag is none.
type Tag struct {
	raw     string
	prefix  string // v, sid-, base-devel-; without a codename
	numbers []number
	// pre is the rank of the prerelease word, [released] without one; preNumber
	// what follows it.
	pre       int
	preNumber uint64
	suffix    string // with what separates it: -slim
}

// number is one number of a tag, or the codename that it begins with.
type number struct {
	separator string // what stands before it: nothing, ".", "_", "-", "u", "-b"
	value     uint64
	text      string // as written; of a codename, the codename
	// distribution is whose codename it is; empty for a number.
	distribution string
	wild         bool // in a pattern: any number, or any codename
}

func (n number) isCodename() bool { return n.distribution != "" || n.wild && n.text == anyCodename }

// Parse takes a tag apart. It is not ok for a tag without a number and without
// a codename: latest, edge, lts-alpine have no order.
func Parse(tag string) (t Tag, ok bool) {
	if !IsTag(tag) {
		return Tag{}, false
	}
	return (&scanner{s: tag}).tag()
}

// IsTag reports whether a registry may have a tag of this name: at most 128
// letters, digits, dots, dashes and underscores, beginning with none of the
// former two signs.
func IsTag(s string) bool {
	if s == "" || len(s) > 128 || s[0] == '.' || s[0] == '-' {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return r > 'z' || !isLetter(byte(r)) && !isDigit(byte(r)) && !strings.ContainsRune("._-", r) // #nosec G115 -- below 'z'
	}) < 0
}

// String is the tag as it was written.
func (t Tag) String() string { return t.raw }

// Numbers are the numbers of the version, in order. A codename stands for the
// number of its release, such as 1200 for Debian 12 and 2404 for Ubuntu 24.04.
func (t Tag) Numbers() []uint64 {
	out := make([]uint64, len(t.numbers))
	for i, n := range t.numbers {
		out[i] = n.value
	}
	return out
}

// Prerelease reports a tag of something that is not released: 3.15.0a1.
func (t Tag) Prerelease() bool { return t.pre != released }

// family is the same for tags that have an order among each other.
func (t Tag) family() string {
	var b strings.Builder
	b.WriteString(t.prefix)
	for i, n := range t.numbers {
		b.WriteString(n.separator)
		switch {
		case n.distribution != "":
			b.WriteString("<" + n.distribution + ">")
		case i == 0 && t.dated():
			b.WriteString("<date>")
		default:
			b.WriteString("<n>")
		}
	}
	return b.String() + t.suffix
}

// dated reports a tag that is a date, like Alpine's 20250108, where others of
// its repository begin with a version.
func (t Tag) dated() bool {
	return (t.prefix == "" || t.prefix == "v") && isDate(t.numbers[0].text)
}

// compare orders tags of one family: it is total there, and 0 only for the
// same tag.
func (t Tag) compare(o Tag) int {
	byNumber := slices.CompareFunc(t.numbers, o.numbers, func(a, b number) int {
		return cmp.Or(cmp.Compare(a.distribution, b.distribution), cmp.Compare(a.value, b.value))
	})
	return cmp.Or(byNumber, cmp.Compare(t.pre, o.pre), cmp.Compare(t.preNumber, o.preNumber),
		cmp.Compare(t.raw, o.raw))
}

// Compare orders two tags, older first: it is negative when a is older than b,
// 0 when they are the same. It is not ok, and says nothing, for tags of two
// families.
func Compare(a, b string) (order int, ok bool) {
	x, okX := Parse(a)
	y, okY := Parse(b)
	if !okX || !okY || x.family() != y.family() {
		return 0, false
	}
	return x.compare(y), true
}
