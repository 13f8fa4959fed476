package outbox

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestImageGlobs(t *testing.T) {
	const (
		alpine = "docker.io/library/alpine:3.22"
		python = "docker.io/library/python:3.13-slim"
		rc     = "docker.io/library/python:3.14-rc-slim"
		acme   = "docker.io/acme/x:1"
		deep   = "ghcr.io/acme/team/base:main"
		flat   = "ghcr.io/acme/base:main"
		port   = "registry.example.com:5000/base/go:1.26"
		local  = "localhost/x:1"
		local5 = "localhost:5000/x:1"
	)
	for _, c := range []struct {
		patterns string // separated by spaces
		ref      string
		want     bool
	}{
		// everything and nothing
		{"", alpine, true},
		{"*", alpine, true},
		{"*", deep, true},
		{"**", port, true},
		{"*:*", deep, true},
		{"**:main", deep, true},
		{"**:main", alpine, false},
		// short names are Docker Hub's
		{"alpine", alpine, true},
		{"alpine", python, false},
		{"alpine:*", alpine, true},
		{"alpine:3.22", alpine, true},
		{"alpine:3.21", alpine, false},
		{"alpine:3.*", alpine, true},
		{"alp*", alpine, true},
		{"*ine", alpine, true},
		{"library/alpine", alpine, true},
		{"docker.io/alpine", alpine, true},
		{"docker.io/*", alpine, true},
		{"docker.io/*", acme, false},
		{"docker.io/**", acme, true},
		{"docker.io/library/**", alpine, true},
		{"docker.io/library/**", acme, false},
		{"index.docker.io/library/alpine", alpine, true},
		{"registry-1.docker.io/acme/*", acme, true},
		{"acme/x", acme, true},
		{"acme/*", acme, true},
		{"acme/*", flat, false},
		{"a*/x:1", acme, true},
		{"base", "ghcr.io/library/base:1", false},
		// hosts are taken as written
		{"ghcr.io/acme/*", flat, true},
		{"ghcr.io/acme/*", deep, false},
		{"ghcr.io/acme/**", deep, true},
		{"ghcr.io/**/base", flat, true},
		{"ghcr.io/**/base", deep, true},
		{"ghcr.io/*/base", deep, false},
		{"GHCR.IO/acme/*", flat, false},
		{"*/acme/base", flat, true},
		{"**/base", deep, true},
		{"**/base:main", flat, true},
		{"**/x", acme, true},
		{"localhost/x", local, true},
		{"localhost/x", "docker.io/localhost/x:1", false},
		{"localhost:5000/x", local5, true},
		{"localhost:5000/*:1", local5, true},
		{"registry.example.com:5000/**", port, true},
		{"registry.example.com:5000/**:1.*", port, true},
		{"registry.example.com/**", port, false},
		// alternatives and classes
		{"{alpine,python}", python, true},
		{"{alpine,python}", acme, false},
		{"python:3.1[0-9]-slim", python, true},
		{"python:{3.12,3.13}-slim", python, true},
		{"python:3.1?-slim", python, true},
		// taking away
		{"!alpine", alpine, false},
		{"!alpine", python, true},
		{"python !*:*-rc*", python, true},
		{"python !*:*-rc*", rc, false},
		{"!*:*-rc* python", rc, false},
		{"alpine:* docker.io/library/** !*:*-rc*", rc, false},
		{"alpine:* docker.io/library/** !*:*-rc*", python, true},
		{"alpine !python", acme, false},
		{"!alpine !python", acme, true},
		{"!**", alpine, false},
	} {
		g, err := NewImageGlobs(strings.Fields(c.patterns))
		if err != nil {
			t.Errorf("%s: %v", c.patterns, err)
			continue
		}
		if got := g.Match(c.ref); got != c.want {
			t.Errorf("%q matches %s = %v, want %v", c.patterns, c.ref, got, c.want)
		}
	}
}

func TestBadPatternsAreRefusedByName(t *testing.T) {
	for pattern, want := range map[string]string{
		"":                  `"": empty pattern`,
		"!":                 `"!": empty pattern`,
		"alpine:":           `"alpine:": want repository`,
		":3.22":             `":3.22": want repository`,
		"alpine@sha256:ab":  `no digest`,
		"https://ghcr.io/x": `without http://`,
		"alpine:[3":         `not a pattern`,
		"{alpine":           `not a pattern`,
	} {
		if _, err := NewImageGlobs([]string{"alpine", pattern}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", pattern, err, want)
		}
	}
}

func TestReportShowsThePatternThatMatchesNothing(t *testing.T) {
	g, err := NewImageGlobs([]string{"alpine", "!*:*-rc*", "ngnix"})
	if err != nil {
		t.Fatal(err)
	}
	got := g.Report([]string{"docker.io/library/alpine:3.22", "docker.io/library/alpine:3.23-rc1"})
	want := []PatternMatch{
		{"alpine", []string{"docker.io/library/alpine:3.22", "docker.io/library/alpine:3.23-rc1"}},
		{"!*:*-rc*", []string{"docker.io/library/alpine:3.23-rc1"}},
		{Pattern: "ngnix"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnExactNameMatchesItselfAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`(ghcr\.io|docker\.io|localhost:5000)/[a-z]{1,6}/[a-z0-9-]{1,6}:[a-z0-9.]{1,6}`)
		a, b := name.Draw(t, "a"), name.Draw(t, "b")
		g, err := NewImageGlobs([]string{a})
		if err != nil {
			t.Fatal(err)
		}
		if !g.Match(a) || g.Match(b) != (a == b) {
			t.Fatalf("%q matches itself %v, %q %v", a, g.Match(a), b, g.Match(b))
		}
		not, err := NewImageGlobs([]string{"!" + a})
		if err != nil || not.Match(a) || not.Match(b) == (a == b) {
			t.Fatalf("!%q: %v", a, err)
		}
	})
}

func TestNoPatternPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g, err := NewImageGlobs([]string{rapid.StringOf(rapid.SampledFrom([]rune(`a*?[]{},!:/\.-^@`))).Draw(t, "pattern")})
		if err == nil {
			g.Match("docker.io/library/alpine:3.22")
		}
	})
}

func TestLabelGlobsCrossSlashes(t *testing.T) {
	for _, c := range []struct {
		pattern, value string
		want           bool
	}{
		{"shop", "shop", true},
		{"shop", "shops", false},
		{"sh*", "shop", true},
		{"*", "a/b", true},
		{"team/*", "team/a/b", true},
		{"{shop,data}", "data", true},
		{"", "", true},
		{"", "x", false},
	} {
		if got := matchText(c.pattern, c.value); got != c.want {
			t.Errorf("%q matches %q = %v, want %v", c.pattern, c.value, got, c.want)
		}
	}
}
