package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	bell = '\a'
	esc  = '\x1b'
	csi  = '\u009b' // the one-character form of ESC [
	st   = '\u009c' // ends a string, as ESC \ does
)

// Plain makes one line of s that shows what it says and does nothing else:
// terminal sequences (ANSI, OSC, in their 7- and 8-bit forms), control, bidi,
// zero-width and other invisible characters and invalid UTF-8 are taken out;
// line breaks and runs of white space become one space. The result has at most
// limit runes; 0 means no limit.
func Plain(s string, limit int) string {
	var b strings.Builder
	b.Grow(min(len(s), 4096))
	gap := false
	for s != "" {
		r, size := utf8.DecodeRuneInString(s)
		if n := sequence(s); n > 0 {
			s = s[n:]
			continue
		}
		s = s[size:]
		switch {
		case r == utf8.RuneError && size == 1, hidden(r):
		case unicode.IsSpace(r):
			gap = b.Len() > 0
		default:
			if gap {
				b.WriteByte(' ')
				gap = false
			}
			b.WriteRune(r)
		}
	}
	if limit == 0 {
		return b.String()
	}
	return Cut(b.String(), limit)
}

// sequence gives the length of the terminal sequence that s begins with, 0 if
// none does. A string sequence (OSC and its kin) that is never ended reaches to
// the end of its line.
func sequence(s string) int {
	r, size := utf8.DecodeRuneInString(s)
	if r == esc && len(s) > size {
		switch c := s[size]; c {
		case '[':
			return controlEnd(s, size+1)
		case ']', 'P', 'X', '^', '_':
			return stringEnd(s, size+1)
		default:
			return size
		}
	}
	switch r {
	case csi:
		return controlEnd(s, size)
	case '\u009d', '\u0090', '\u0098', '\u009e', '\u009f': // OSC, DCS, SOS, PM, APC
		return stringEnd(s, size)
	}
	return 0
}

// controlEnd finds the end of a control sequence: parameters and intermediates
// 0x20–0x3f, then one final byte 0x40–0x7e.
func controlEnd(s string, i int) int {
	for i < len(s) && s[i] >= 0x20 && s[i] <= 0x3f {
		i++
	}
	if i < len(s) && s[i] >= 0x40 && s[i] <= 0x7e {
		i++
	}
	return i
}

func stringEnd(s string, i int) int {
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == bell, r == st:
			return i + size
		case r == esc && strings.HasPrefix(s[i+size:], `\`):
			return i + size + 1
		case r == '\n', r == '\r':
			return i
		}
		i += size
	}
	return i
}

// hidden reports characters that are not seen but change what is: controls
// (but for white space), formats (bidi, zero-width, tags), variation
// selectors, fillers, private use.
func hidden(r rune) bool {
	switch r {
	case '\u034f', '\u115f', '\u1160', '\u17b4', '\u17b5', '\u2800', '\u3164', '\uffa0':
		return true
	}
	if unicode.Is(unicode.Cc, r) {
		return !unicode.IsSpace(r)
	}
	return unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs, unicode.Variation_Selector)
}

// Cut shortens s to at most limit runes; the last one is … where something was
// taken away. A limit below 1 gives the empty string.
func Cut(s string, limit int) string {
	if limit < 1 {
		return ""
	}
	if len(s) <= limit { // bytes: never fewer than runes
		return s
	}
	last, n := 0, 0
	for i := range s {
		if n == limit-1 {
			last = i
		}
		if n == limit {
			return s[:last] + "…"
		}
		n++
	}
	return s
}

var slackEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// EscapeSlack escapes the three characters that Slack's mrkdwn gives a meaning
// of its own: mentions and links live between < and >. No other is escaped
// (docs.slack.dev, formatting text). Use it on what [Plain] returned.
func EscapeSlack(s string) string { return slackEscapes.Replace(s) }
