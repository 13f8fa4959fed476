package tags

import (
	"strconv"
	"strings"
)

const (
	maxDigits  = 18 // fits a uint64, and the longest timestamps
	maxNumbers = 8
)

// scanner takes a tag, or a pattern, apart from left to right.
type scanner struct {
	s   string
	pos int
	// wild reads a pattern: x stands for a number, the word codename for a
	// codename. at has the places of each x.
	wild bool
	at   []int
}

// tag reads all of it.
func (p *scanner) tag() (Tag, bool) {
	t := Tag{raw: p.s}
	if n, ok := p.codename(); ok {
		t.numbers = append(t.numbers, n)
	} else {
		t.prefix = p.prefix()
		n, ok := p.number("")
		if !ok {
			return Tag{}, false
		}
		t.numbers = append(t.numbers, n)
	}
	for {
		n, ok := p.next(t.numbers)
		if !ok {
			break
		}
		if len(t.numbers) == maxNumbers {
			return Tag{}, false
		}
		t.numbers = append(t.numbers, n)
	}
	t.pre, t.preNumber = p.prerelease()
	t.suffix = p.s[p.pos:]
	return t, true
}

// peek is the byte so far ahead, 0 behind the end.
func (p *scanner) peek(ahead int) byte {
	if i := p.pos + ahead; i < len(p.s) {
		return p.s[i]
	}
	return 0
}

// letters is the run of letters so far ahead.
func (p *scanner) letters(ahead int) string {
	rest := p.s[min(p.pos+ahead, len(p.s)):]
	n := 0
	for n < len(rest) && isLetter(rest[n]) {
		n++
	}
	return rest[:n]
}

// codename reads one at the beginning, if it stands alone there.
func (p *scanner) codename() (number, bool) {
	word := p.letters(0)
	if after := p.peek(len(word)); after != 0 && after != '-' {
		return number{}, false
	}
	n := number{text: word}
	if p.wild && word == anyCodename {
		n.wild = true
	} else if n.distribution, n.value = codename(word); n.distribution == "" {
		return number{}, false
	}
	p.pos += len(word)
	return n, true
}

// prefix reads up to the first number.
func (p *scanner) prefix() string {
	from := p.pos
	for p.pos < len(p.s) && !isDigit(p.s[p.pos]) && !p.isX() {
		p.pos++
	}
	return p.s[from:p.pos]
}

// isX reports an x here that stands for the first number: one that is no part
// of a word, but for the v of a version.
func (p *scanner) isX() bool {
	if p.pos > 0 && strings.IndexByte(".-_", p.s[p.pos-1]) < 0 && p.s[:p.pos] != "v" {
		return false
	}
	return p.endsAsX()
}

// endsAsX is the half of isX that holds behind any separator too.
func (p *scanner) endsAsX() bool {
	after := p.peek(1)
	return p.wild && p.peek(0)|0x20 == 'x' && (after == 0 || strings.IndexByte(".-_", after) >= 0)
}

// number reads one that stands here.
func (p *scanner) number(separator string) (number, bool) {
	n := number{separator: separator}
	if separator == "" && p.isX() || separator != "" && p.endsAsX() {
		p.at = append(p.at, p.pos)
		p.pos++
		n.wild = true
		return n, true
	}
	n.text = p.digits(0)
	value, err := strconv.ParseUint(n.text, 10, 64)
	if err != nil || len(n.text) > maxDigits {
		return n, false
	}
	p.pos += len(n.text)
	n.value = value
	return n, true
}

func (p *scanner) digits(ahead int) string {
	rest := p.s[min(p.pos+ahead, len(p.s)):]
	n := 0
	for n < len(rest) && isDigit(rest[n]) {
		n++
	}
	return rest[:n]
}

// next reads a separator and the number behind it, or nothing.
func (p *scanner) next(before []number) (number, bool) {
	from, marks := p.pos, len(p.at)
	separator := p.separator(before)
	if separator == "" {
		return number{}, false
	}
	p.pos += len(separator)
	n, ok := p.number(separator)
	if ok && separator == "-" && !before[len(before)-1].isCodename() && !n.wild && !isDate(n.text) {
		ok = false // 26-21 is no version of two numbers
	}
	if !ok {
		p.pos, p.at = from, p.at[:marks]
	}
	return n, ok
}

// separator is what may stand between two numbers, if it stands here: a dot or
// an underscore; the u of Java's 8u472, and -b after it; a dash before a date
// or after a codename.
func (p *scanner) separator(before []number) string {
	last := before[len(before)-1]
	switch c := p.peek(0); {
	case c == '.', c == '_':
		return string(c)
	case c == 'u' && len(before) == 1:
		return "u"
	case c == '-' && last.separator == "u" && p.peek(1) == 'b':
		return "-b"
	case c == '-':
		return "-"
	}
	return ""
}

// prerelease reads a word such as rc or beta and its number, or nothing.
func (p *scanner) prerelease() (rank int, n uint64) {
	from := 0
	if c := p.peek(0); c == '-' || c == '.' || c == '_' {
		from = 1
	}
	word := p.letters(from)
	rank = rankOf(word)
	after := p.peek(from + len(word))
	switch {
	case rank == released:
		return released, 0
	case len(word) == 1 && !isDigit(after): // -a is no alpha
		return released, 0
	}
	p.pos += from + len(word)
	skip := 0
	if after == '-' || after == '.' || after == '_' {
		skip = 1
	}
	digits := p.digits(skip)
	if end := p.peek(skip + len(digits)); digits == "" || len(digits) > maxDigits || end != 0 && end != '-' && end != '_' {
		return rank, 0
	}
	p.pos += skip + len(digits)
	n, _ = strconv.ParseUint(digits, 10, 64)
	return rank, n
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// isDate reports eight digits that are a day of our times: 20261103.
func isDate(s string) bool {
	return len(s) == 8 && (s[:2] == "19" || s[:2] == "20" || s[:2] == "21") &&
		"01" <= s[4:6] && s[4:6] <= "12" && "01" <= s[6:] && s[6:] <= "31"
}
