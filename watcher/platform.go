package watcher

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Platform is what one entry of an index runs on. Variant and OSVersion may be
// empty.
type Platform struct {
	OS, Arch, Variant, OSVersion string
}

// ParsePlatform reads os/architecture[/variant][:os.version] and normalizes it:
// aarch64 is arm64, linux/arm64/v8 is linux/arm64, linux/arm is linux/arm/v7.
func ParsePlatform(s string) (Platform, error) {
	names, version, _ := strings.Cut(strings.ToLower(strings.TrimSpace(s)), ":")
	parts := strings.Split(names, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.ContainsFunc(parts, notPlatformWord) {
		return Platform{}, fmt.Errorf("platform %q: write os/architecture or os/architecture/variant, such as linux/amd64 or linux/arm/v7", s)
	}
	p := Platform{OS: parts[0], Arch: parts[1], OSVersion: version}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	if strings.Contains(s, ":") && (p.OS != "windows" || notPlatformWord(version)) {
		return Platform{}, fmt.Errorf("platform %q: only Windows has versions, such as windows/amd64:10.0.20348", s)
	}
	return p.Normalize(), nil
}

func notPlatformWord(s string) bool {
	return s == "" || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") != ""
}

// Normalize gives the one spelling of platforms that are the same.
func (p Platform) Normalize() Platform {
	if p.OS == "macos" {
		p.OS = "darwin"
	}
	switch p.Arch {
	case "x86_64", "x86-64":
		p.Arch = "amd64"
	case "i386", "i486", "i586", "i686":
		p.Arch, p.Variant = "386", ""
	case "aarch64":
		p.Arch = "arm64"
	case "armhf":
		p.Arch, p.Variant = "arm", "v7"
	case "armel":
		p.Arch, p.Variant = "arm", "v6"
	}
	p.Variant = variant(p.Arch, p.Variant)
	return p
}

// variant is the shortest spelling of an architecture's variant, but for arm,
// where none means v7 and is written so.
func variant(arch, v string) string {
	if len(v) == 1 && v[0] >= '0' && v[0] <= '9' {
		v = "v" + v
	}
	switch arch + v {
	case "arm64v8", "amd64v1":
		return ""
	case "arm":
		return "v7"
	}
	return v
}

// String is the normalized name, as [Target] and [Snapshot] hold it.
func (p Platform) String() string {
	p = p.Normalize()
	s := p.OS + "/" + p.Arch
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	if p.OSVersion != "" && p.OS == "windows" {
		s += ":" + p.OSVersion
	}
	return s
}

// NormalizePlatforms normalizes, sorts and drops repeats. It refuses an empty
// list, and names every platform that it cannot read.
func NormalizePlatforms(names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, errors.New("no platforms: name at least one, such as linux/amd64")
	}
	out := make([]string, 0, len(names))
	var errs []error
	for _, n := range names {
		p, err := ParsePlatform(n)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, p.String())
	}
	slices.Sort(out)
	return slices.Compact(out), errors.Join(errs...)
}

// MatchPlatform picks the entry that a wanted platform stands for: the first of
// the same system, architecture and variant. For Windows the version must be
// the wanted one, or begin with it at a dot; where none is wanted the first
// entry counts, as for a client that does not say what it runs on. It is -1
// when there is none.
func MatchPlatform(wanted Platform, entries []Platform) int {
	wanted = wanted.Normalize()
	return slices.IndexFunc(entries, func(e Platform) bool {
		e = e.Normalize()
		return e.OS == wanted.OS && e.Arch == wanted.Arch && e.Variant == wanted.Variant &&
			matchVersion(wanted.OSVersion, e.OSVersion)
	})
}

func matchVersion(wanted, has string) bool {
	return wanted == "" || has == wanted || strings.HasPrefix(has, wanted+".")
}
