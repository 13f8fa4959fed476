package tags

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// familyCase is one family of testdata/families.txt.
type familyCase struct {
	name, pattern string
	meant, not    []string
}

func families(t *testing.T) []familyCase {
	t.Helper()
	data, err := os.ReadFile("testdata/families.txt")
	if err != nil {
		t.Fatal(err)
	}
	var cases []familyCase
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '<':
			cases[len(cases)-1].meant = strings.Fields(line[1:])
		case line[0] == '!':
			cases[len(cases)-1].not = strings.Fields(line[1:])
		default:
			_, pattern, _ := strings.Cut(line, "  ")
			cases = append(cases, familyCase{name: line, pattern: strings.TrimSpace(pattern)})
		}
	}
	return cases
}

func TestFamiliesOfOfficialImages(t *testing.T) {
	seen := map[string]bool{}
	for _, tc := range families(t) {
		t.Run(tc.name, func(t *testing.T) {
			p, err := ParsePattern(tc.pattern)
			if err != nil {
				t.Fatal(err)
			}
			all := slices.Concat(tc.not, tc.meant)
			for _, tag := range all {
				seen[tag] = true
			}
			slices.Sort(all)
			want := slices.Clone(tc.meant)
			slices.Reverse(want)
			if diff := cmp.Diff(want, p.Newest(all, 0)); diff != "" {
				t.Errorf("newest first (-want +got):\n%s", diff)
			}
			for _, tag := range tc.not {
				if p.Match(tag) {
					t.Errorf("%s is meant too", tag)
				}
			}
		})
	}
	if len(seen) < 400 {
		t.Errorf("only %d different tags", len(seen))
	}
}

func TestTagsOfAFamilyAreInOrder(t *testing.T) {
	for _, tc := range families(t) {
		for i, a := range tc.meant {
			for j, b := range tc.meant {
				got, ok := Compare(a, b)
				codenames := strings.HasPrefix(tc.pattern, anyCodename)
				if !ok && !codenames {
					t.Errorf("%s: %s and %s are not of one family", tc.name, a, b)
				}
				if ok && sign(got) != sign(i-j) {
					t.Errorf("%s: Compare(%s, %s) = %d", tc.name, a, b, got)
				}
			}
		}
	}
}

func sign(n int) int { return max(-1, min(1, n)) }

func TestPrereleasesComeBeforeTheirRelease(t *testing.T) {
	for _, order := range []string{
		"3.15.0.dev1 3.15.0a1 3.15.0a2 3.15.0a10 3.15.0b1 3.15.0rc1 3.15.0rc2 3.15.0 3.15.1",
		"8.5.0alpha1-fpm 8.5.0beta1-fpm 8.5.0RC1-fpm 8.5.0-fpm",
		"3.5.0-preview1 3.5.0-rc1 3.5.0",
		"8.0-M01 8.0-M04 8.0-rc1 8.0",
		"4.2.0-beta.4 4.2.0-rc.1 4.2.0",
		"26-ea-9-jdk 26-ea-21-jdk 26-jdk",
	} {
		all := strings.Fields(order)
		for i := range all[1:] {
			if got, ok := Compare(all[i], all[i+1]); !ok || got >= 0 {
				t.Errorf("Compare(%s, %s) = %d, %v", all[i], all[i+1], got, ok)
			}
		}
	}
}

func TestTagsOfTwoFamiliesHaveNoOrder(t *testing.T) {
	for _, pair := range [][2]string{
		{"3.13", "3.13.1"}, {"3.13-slim", "3.13-alpine"}, {"3.13", "v3.13"}, {"3", "20250108"}, {"latest", "3"},
		{"bookworm", "noble"}, {"bookworm-20251103", "sid-20251103"}, {"21.0.9_10-jdk", "21.0.9.10-jdk"},
		{"3.13-alpine3.21", "3.13-alpine3.22"}, {"edge", "edge"}, {"", ""}, {"26-21", "26-22"}, {"3.13", "3.13-c"},
	} {
		if _, ok := Compare(pair[0], pair[1]); ok {
			t.Errorf("%s and %s have an order", pair[0], pair[1])
		}
	}
}

func TestTwoSpellingsOfOneVersionHaveAnOrderToo(t *testing.T) {
	for _, pair := range [][2]string{{"24.04", "24.4"}, {"8.5.0RC1", "8.5.0rc1"}, {"8.5.0-rc1", "8.5.0rc1"}} {
		there, ok := Compare(pair[0], pair[1])
		back, _ := Compare(pair[1], pair[0])
		if !ok || there == 0 || sign(there) != -sign(back) {
			t.Errorf("%s and %s: %d %v, the other way %d", pair[0], pair[1], there, ok, back)
		}
	}
}

func TestNewestKeepsSoManyAndEachOnce(t *testing.T) {
	p, err := ParsePattern("3.x-slim")
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Fields("3.9-slim 3.14-slim 3.13-slim 3.14-slim latest 3.10-slim")
	if diff := cmp.Diff([]string{"3.14-slim", "3.13-slim"}, p.Newest(all, 2)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := p.Newest(nil, 3); len(got) != 0 {
		t.Errorf("of nothing: %q", got)
	}
}

func TestOnePatternHasOneSpelling(t *testing.T) {
	for _, tc := range []struct{ written, want string }{
		{"3.X-slim", "3.x-slim"},
		{" 3.x ", "3.x"},
		{">=3.18,<4", ">=3.18 <4"},
		{">= 3.18   < 4", ">=3.18 <4"},
		{">=3.18-slim <4-slim", ">=3.18 <4 -slim"},
		{">=3.18 <4-slim", ">=3.18 <4 -slim"},
		{">=22.04||^20.04", ">=22.04 || ^20.04"},
		{">=v3.4 <v4", ">=v3.4 <v4"},
		{"3.18 || 3.22", "=3.18 || =3.22"},
	} {
		p, err := ParsePattern(tc.written)
		if err != nil || p.String() != tc.want {
			t.Errorf("%q is %q (%v), want %q", tc.written, p, err, tc.want)
			continue
		}
		if again, err := ParsePattern(p.String()); err != nil || again.String() != tc.want {
			t.Errorf("%q is %q (%v) the second time", tc.want, again, err)
		}
	}
}

func TestABadPatternSaysWhatToWrite(t *testing.T) {
	for pattern, want := range map[string]string{
		"":                       "write one such as 3.x-slim",
		"3.13-slim":              "a single tag goes into images",
		"latest":                 "put an x where a number changes",
		"3.*-slim":               "x stands for a number",
		"3.13.x-alpine3.x":       "must match letter for letter",
		"python:3.x":             "write one such as 3.x-slim",
		">=3.18 <":               "is no comparison",
		"=>3.18":                 "known are = != > >= < <= ~ ^",
		">=3.18 <4 -a -b":        "a family has one",
		">=3.18-rc1":             "prereleases and dates cannot be compared so",
		">=1.2.3.4":              "more than three numbers",
		"|| 3":                   "a comparison is missing",
		">=v3 <4":                "tags are of one sort",
		strings.Repeat("1 ", 30): "more than 20 comparisons",
	} {
		_, err := ParsePattern(pattern)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", pattern, err, want)
		}
	}
}

// anyTag draws tags that are often of one family.
func anyTag() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
		tag := pick("prefix", "", "", "v", "bookworm-", "trixie-", "sid-") + pick("first", "1", "3", "03", "20251103")
		for range rapid.IntRange(0, 2).Draw(t, "numbers") {
			tag += pick("separator", ".", ".", "_") + pick("number", "0", "1", "9", "10", "010")
		}
		return tag + pick("pre", "", "", "rc1", "-rc.2", "a1", "-M04", "-dev") + pick("suffix", "", "", "-slim", "-alpine3.22")
	})
}

func TestTheOrderOfAFamilyIsTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := anyTag().Draw(t, "a"), anyTag().Draw(t, "b"), anyTag().Draw(t, "c")
		ab, okAB := Compare(a, b)
		ba, okBA := Compare(b, a)
		bc, okBC := Compare(b, c)
		ac, okAC := Compare(a, c)
		if okAB != okBA || sign(ab) != -sign(ba) {
			t.Fatalf("Compare(%s, %s) = %d %v, the other way %d %v", a, b, ab, okAB, ba, okBA)
		}
		if okAB && (ab == 0) != (a == b) {
			t.Fatalf("Compare(%s, %s) = %d", a, b, ab)
		}
		if okAB && okBC && !okAC {
			t.Fatalf("%s, %s and %s: of one family two by two, not all three", a, b, c)
		}
		if okAB && okBC && ab <= 0 && bc <= 0 && ac > 0 {
			t.Fatalf("%s ≤ %s ≤ %s, and the first is newer than the last", a, b, c)
		}
	})
}

func FuzzTags(f *testing.F) {
	for _, s := range []string{"3.13-slim", "v1", "8u472-b08-jre", "bookworm-20251103-slim", "26-ea-21-jdk", "noble", "x", "3.x", ">=3 <4 -slim"} {
		f.Add(s, "3.x-slim")
	}
	f.Fuzz(func(t *testing.T, tag, pattern string) {
		if order, ok := Compare(tag, tag); ok && order != 0 {
			t.Errorf("%q is not as new as itself: %d", tag, order)
		}
		p, err := ParsePattern(pattern)
		if err != nil {
			return
		}
		if again, err := ParsePattern(p.String()); err != nil || again.String() != p.String() {
			t.Errorf("%q is written as %q, which is read as %q (%v)", pattern, p, again, err)
		} else if again.Match(tag) != p.Match(tag) {
			t.Errorf("%q and %q do not mean the same of %q", pattern, p, tag)
		}
		if got := p.Newest([]string{tag, tag}, 0); len(got) > 1 || (len(got) == 1) != p.Match(tag) {
			t.Errorf("%q of %q: %q", pattern, tag, got)
		}
	})
}
