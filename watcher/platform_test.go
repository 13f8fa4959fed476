package watcher_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"basewatch/watcher"
)

func TestNormalizePlatforms(t *testing.T) {
	for _, tt := range []struct{ in, want, fails string }{
		{in: "linux/amd64", want: "linux/amd64"},
		{in: "Linux/x86_64", want: "linux/amd64"},
		{in: "linux/amd64/v1", want: "linux/amd64"},
		{in: "linux/amd64/v3", want: "linux/amd64/v3"},
		{in: "linux/arm64/v8 linux/aarch64 linux/arm64 linux/arm64/8", want: "linux/arm64"},
		{in: "linux/arm linux/arm/v7 linux/arm/7 linux/armhf", want: "linux/arm/v7"},
		{in: "linux/armel linux/arm/v6 linux/arm/v5", want: "linux/arm/v5 linux/arm/v6"},
		{in: "linux/i686", want: "linux/386"},
		{in: "windows/amd64 windows/x86_64:10.0.20348", want: "windows/amd64 windows/amd64:10.0.20348"},
		{in: "linux/s390x linux/amd64", want: "linux/amd64 linux/s390x"},
		{in: "", fails: "name at least one"},
		{in: "amd64", fails: "such as linux/amd64"},
		{in: "linux/amd64 linux/", fails: `platform "linux/"`},
		{in: "linux/arm/v7/x", fails: `platform "linux/arm/v7/x"`},
		{in: "linux/amd64:10.0", fails: "only Windows has versions"},
		{in: "windows/amd64:", fails: "only Windows has versions"},
		{in: "linux/amd64,linux/arm64", fails: `platform "linux/amd64,linux/arm64"`},
	} {
		got, err := watcher.NormalizePlatforms(strings.Fields(tt.in))
		if tt.fails != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("%q: error %v, want one with %q", tt.in, err, tt.fails)
			}
			continue
		}
		if d := cmp.Diff(strings.Fields(tt.want), got); err != nil || d != "" {
			t.Errorf("%q: %v %s", tt.in, err, d)
		}
	}
}

func TestNormalizingAgainChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{"linux", "windows", "macos", "arm", "arm64", "aarch64", "amd64", "i386", "armhf", "v1", "v7", "v8", "8", "x"})
		p := watcher.Platform{OS: word.Draw(t, "os"), Arch: word.Draw(t, "arch"), Variant: word.Draw(t, "variant")}
		parsed, err := watcher.ParsePlatform(p.String())
		if err != nil || parsed.String() != p.String() {
			t.Fatalf("%v: %q, then %q, %v", p, p.String(), parsed.String(), err)
		}
	})
}

func TestMatchPlatform(t *testing.T) {
	entries := []watcher.Platform{
		{OS: "linux", Arch: "arm", Variant: "v6"},
		{OS: "linux", Arch: "arm", Variant: "v7"},
		{OS: "linux", Arch: "arm64", Variant: "v8"},
		{OS: "windows", Arch: "amd64", OSVersion: "10.0.26100.1742"},
		{OS: "windows", Arch: "amd64", OSVersion: "10.0.20348.2762"},
		{OS: "linux", Arch: "amd64"},
	}
	for wanted, want := range map[string]int{
		"linux/arm":                       1,
		"linux/arm/v6":                    0,
		"linux/arm64":                     2,
		"linux/amd64":                     5,
		"windows/amd64":                   3,
		"windows/amd64:10.0.20348":        4,
		"windows/amd64:10.0.20348.2762":   4,
		"windows/amd64:10.0.2":            -1,
		"linux/amd64/v3":                  -1,
		"linux/riscv64":                   -1,
		"darwin/arm64":                    -1,
		"windows/amd64:10.0.20348.2762.1": -1,
	} {
		p, err := watcher.ParsePlatform(wanted)
		if err != nil {
			t.Fatal(err)
		}
		if got := watcher.MatchPlatform(p, entries); got != want {
			t.Errorf("%s: entry %d, want %d", wanted, got, want)
		}
	}
}

func TestTargetValidateNamesEveryMistake(t *testing.T) {
	good := watcher.Target{Ref: "docker.io/library/alpine:3.22", Platforms: []string{"linux/amd64"}, Every: 1e9}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	bad := watcher.Target{Ref: "alpine", Platforms: []string{"linux/arm64/v8"}, Every: 5, Labels: map[string][]string{"team": {"b", "a"}}}
	err := bad.Validate()
	for _, want := range []string{"docker.io/library/alpine:latest", "normalized", "at least 1s", `label "team"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}
