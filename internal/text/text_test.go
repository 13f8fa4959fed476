package text_test

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"basewatch/internal/text"

	"pgregory.net/rapid"
)

func TestPlainTakesOutWhatIsNotSeen(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"text stays", "python 3.13 — größer, 日本語", "python 3.13 — größer, 日本語"},
		{"lines become one", "a\nb\r\n\tc  d", "a b c d"},
		{"ends are trimmed", "\n a \n", "a"},
		{"colour", "\x1b[1;31mred\x1b[0m", "red"},
		{"cursor", "a\x1b[2K\x1b[1Gb", "ab"},
		{"title, ended by bell", "a\x1b]0;owned\ab", "ab"},
		{"link, ended by ST", "a\x1b]8;;https://evil.example\x1b\\b", "ab"},
		{"8-bit CSI", "a\u009b31mb", "ab"},
		{"8-bit OSC", "a\u009d0;x\u009cb", "ab"},
		{"string never ended stops at its line", "a\x1b]0;x\nb", "a b"},
		{"string never ended", "a\x1bPx", "a"},
		{"lone escape", "a\x1b", "a"},
		{"bidi override", "a\u202egnp.exe\u202c", "agnp.exe"},
		{"bidi isolate", "\u2066a\u2069", "a"},
		{"zero width", "a\u200bb\u200dc\ufeffd\u00ade", "abcde"},
		{"tags", "a\U000e0041b", "ab"},
		{"variation selector", "a\ufe0fb\U000e0100c", "abc"},
		{"filler", "a\u3164\u115fb", "ab"},
		{"line separator", "a\u2028b", "a b"},
		{"invalid bytes", "a\xff\xfeb", "ab"},
		{"NUL and DEL", "a\x00\x7fb", "ab"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := text.Plain(tt.in, 0); got != tt.want {
				t.Errorf("Plain(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func checkPlain(t interface{ Errorf(string, ...any) }, in string, limit int) {
	got := text.Plain(in, limit)
	if !utf8.ValidString(got) {
		t.Errorf("Plain(%q) = %q is not UTF-8", in, got)
	}
	if n := utf8.RuneCountInString(got); limit > 0 && n > limit {
		t.Errorf("Plain(%q, %d) has %d runes", in, limit, n)
	}
	for _, r := range got {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			t.Errorf("Plain(%q) = %q holds %U", in, got, r)
		}
	}
	if again := text.Plain(got, 0); again != got {
		t.Errorf("Plain(%q) = %q, and again %q", in, got, again)
	}
	if e := text.EscapeSlack(got); strings.ContainsAny(e, "<>") {
		t.Errorf("EscapeSlack(%q) = %q is live", got, e)
	}
}

// nasty makes strings of the pieces that attacks are made of.
func nasty() *rapid.Generator[string] {
	piece := rapid.OneOf(
		rapid.String(),
		rapid.SampledFrom([]string{"\x1b", "[", "]", "31m", "\a", "\\", "\u009b", "\u009d", "\u009c", "\n", "\r", " ", "\u202e",
			"\u200b", "<!channel>", "<@U1>", "<https://evil.example|x>", "&", "&lt;", "\xff", "\u2028", "`", "*"}),
	)
	return rapid.Map(rapid.SliceOf(piece), func(ps []string) string { return strings.Join(ps, "") })
}

func TestPlainHasNoControlsWhateverComesIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkPlain(t, nasty().Draw(t, "in"), rapid.IntRange(0, 40).Draw(t, "limit"))
	})
}

func FuzzPlain(f *testing.F) {
	for _, s := range []string{"", "a\x1b]0;x", "\u009b31m", "<!channel>", "\xff\x1b["} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, in string, limit int) { checkPlain(t, in, max(limit, 0)) })
}

func TestEscapeSlackEscapesExactlyThree(t *testing.T) {
	const in = `<!channel> <@U1> a&b "c" *d* _e_ ~f~ ` + "`g` &lt;"
	const want = `&lt;!channel&gt; &lt;@U1&gt; a&amp;b "c" *d* _e_ ~f~ ` + "`g` &amp;lt;"
	if got := text.EscapeSlack(in); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCut(t *testing.T) {
	tests := []struct {
		in    string
		limit int
		want  string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"äöü", 3, "äöü"}, {"äöüß", 3, "äö…"},
		{"abc", 1, "…"}, {"a", 1, "a"}, {"abc", 0, ""}, {"abc", -1, ""}, {"", 5, ""},
	}
	for _, tt := range tests {
		if got := text.Cut(tt.in, tt.limit); got != tt.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", tt.in, tt.limit, got, tt.want)
		}
	}
}

func TestDurationsReadAsPeopleSayThem(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		d                  time.Duration
		age, compact, span string
	}{
		{-time.Hour, "0 s", "0s", "0 s"},
		{900 * time.Millisecond, "0 s", "0s", "0 s"},
		{40 * time.Second, "40 s", "40s", "40 s"},
		{65 * time.Second, "1 min", "1m", "1 min 5 s"},
		{10*time.Minute + 7*time.Second, "10 min", "10m", "10 min"},
		{time.Hour, "1 h", "1h", "1 h"},
		{time.Hour + 20*time.Second, "1 h", "1h", "1 h"},
		{4*time.Hour + 10*time.Minute, "4 h", "4h", "4 h 10 min"},
		{3*day + 2*time.Hour + 50*time.Minute, "3 d", "3d", "3 d 2 h"},
		{12 * day, "12 d", "12d", "12 d"},
		{2*day + 3*time.Minute, "2 d", "2d", "2 d"},
	}
	for _, tt := range tests {
		if got := [3]string{text.Age(tt.d), text.Compact(tt.d), text.Span(tt.d)}; got != [3]string{tt.age, tt.compact, tt.span} {
			t.Errorf("%v: %q, want %q", tt.d, got, [3]string{tt.age, tt.compact, tt.span})
		}
	}
}
