package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDurationsAreReadAsPeopleWriteThem(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		in   string
		want time.Duration // -1: refused
	}{
		{"0s", 0},
		{"90s", 90 * time.Second},
		{"15m", 15 * time.Minute},
		{"24h", day},
		{"1d12h", 36 * time.Hour},
		{"2w1d", 15 * day},
		{"1w2d3h4m5s", 9*day + 3*time.Hour + 4*time.Minute + 5*time.Second},
		{"", -1},
		{"15", -1},
		{"m", -1},
		{"1.5h", -1},
		{"-1h", -1},
		{"+1h", -1},
		{"1h 30m", -1},
		{"30m1h", -1}, // a slip: the largest comes first
		{"1h1h", -1},
		{"500ms", -1},
		{"1y", -1},
		{"9223372036854775808s", -1},
		{"15251w", -1},
		{"15250w1d23h47m16s", math.MaxInt64},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			var d Duration
			err := d.UnmarshalText([]byte(tt.in))
			if tt.want < 0 {
				if err == nil {
					t.Errorf("%q was read as %s", tt.in, d)
				}
				return
			}
			if want := tt.want.Truncate(time.Second); err != nil || time.Duration(d).Truncate(time.Second) != want {
				t.Errorf("%q is %v, %v; want %v", tt.in, time.Duration(d), err, want)
			}
		})
	}
}

func TestADurationReadsBackAsItPrints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Duration(rapid.Int64Range(0, math.MaxInt64/int64(time.Second)).Draw(t, "seconds") * int64(time.Second))
		var back Duration
		if err := back.UnmarshalText([]byte(d.String())); err != nil || back != d {
			t.Fatalf("%d prints as %s and reads as %d, %v", d, d, back, err)
		}
	})
}

func TestDurationsPrintShort(t *testing.T) {
	for in, want := range map[time.Duration]string{
		0: "0s", 15 * time.Minute: "15m", 24 * time.Hour: "1d", 36 * time.Hour: "1d12h",
		240 * time.Hour: "10d", 336 * time.Hour: "2w", 90 * time.Second: "1m30s",
	} {
		if got := Duration(in).String(); got != want {
			t.Errorf("%v prints as %s, want %s", in, got, want)
		}
	}
}

func TestAParentPathIsWhatTheKeyWasAddedTo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := keyPath("")
		for range rapid.IntRange(0, 4).Draw(t, "depth") {
			p = p.key(rapid.String().Draw(t, "key"))
		}
		child := p.key(rapid.String().Draw(t, "last"))
		if child.parent() != p || !child.within(p) {
			t.Fatalf("parent of %s is %s, want %s", child, child.parent(), p)
		}
		if p == "" {
			return
		}
		item := p.item(rapid.IntRange(0, 1000).Draw(t, "index"))
		if item.parent() != p || !item.within(p) || item.within(item.key("x")) {
			t.Fatalf("parent of %s is %s, want %s", item, item.parent(), p)
		}
	})
}

func TestAPathIsWithinWholeNamesOnly(t *testing.T) {
	for _, tt := range []struct {
		p, outer keyPath
		want     bool
	}{
		{"notify.slack.token", "notify.slack", true},
		{"notify.slack-2.token", "notify.slack", false},
		{"watch[1].images[0]", "watch[1]", true},
		{"watch[10]", "watch[1]", false},
		{"poll", "", true},
	} {
		if got := tt.p.within(tt.outer); got != tt.want {
			t.Errorf("%s within %s: %v", tt.p, tt.outer, got)
		}
	}
}

func TestEveryKeyAndListElementHasItsLine(t *testing.T) {
	_, got, bad := parseTOML("f", []byte(`a = 1
[t."x.y"]
b.c = { d = 1, "e f" = [
  1,
  { g = true },
] }
[[l]]
h = "x"
[[l]]
h = """
two lines"""
i = [["deep"],
  "next"]
`))
	if bad != nil {
		t.Fatal(bad)
	}
	for key, line := range map[keyPath]int{
		"a": 1, "t": 2, `t."x.y"`: 2, `t."x.y".b.c.d`: 3, `t."x.y".b.c."e f"[0]`: 4, `t."x.y".b.c."e f"[1].g`: 5,
		"l[0]": 7, "l[0].h": 8, "l[1]": 9, "l[1].h": 10, "l[1].i[0][0]": 12, "l[1].i[1]": 13,
	} {
		if got[key] != (place{file: "f", line: line}) {
			t.Errorf("%s is at %s, want line %d", key, got[key], line)
		}
	}
}

func TestTheNearestNameIsASlipAway(t *testing.T) {
	names := []string{"interval", "settle", "settle_max", "url"}
	for in, want := range map[string]string{
		"intervall": "interval", "intreval": "interval", "Interval": "interval", "setle": "settle",
		"u": "", "ulr": "url", "timeout": "", strings.Repeat("x", 10000): "",
	} {
		if got := nearest(in, names); got != want {
			t.Errorf("nearest to %s is %q, want %q", cutText(in), got, want)
		}
	}
}

func TestTheLongestAliasIsAppliedOnce(t *testing.T) {
	a := Aliases{
		"harbor.example.com/hub":     "docker.io",
		"harbor.example.com/hub/own": "ghcr.io/acme",
		"docker.io/acme":             "harbor.example.com/hub",
	}
	for in, want := range map[string]string{
		"harbor.example.com/hub/library/python:3": "docker.io/library/python:3",
		"harbor.example.com/hub/own/base":         "ghcr.io/acme/base:latest",
		"harbor.example.com/hubs/x:1":             "harbor.example.com/hubs/x:1",
		"acme/app:1":                              "harbor.example.com/hub/app:1",
		"alpine":                                  "docker.io/library/alpine:latest",
	} {
		if got, err := a.Canonical(in); err != nil || got != want {
			t.Errorf("%s means %s, %v; want %s", in, got, err, want)
		}
	}
}
