package watcher

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// A family is a target of its own: the tags of one repository that a pattern
// means. Looking at it is listing them, and its newest tags are targets for as
// long as they are among its newest. Its reference is the repository and the
// pattern, with a # between them: docker.io/library/python#3.x-slim.

const (
	familyMark   = "#"
	familySource = "family:"
	// seenTags is how many tags of a family are remembered, the newest. What is
	// new among the kept ones is found by them, and those are at most KeepMax.
	seenTags = 256
	// KeepMax is how many tags of a family may be targets at once.
	KeepMax = 100
)

// FamilyRef is the reference of a family: its repository, canonical and without
// a tag, and its pattern in its one spelling.
func FamilyRef(repository, pattern string) string { return repository + familyMark + pattern }

// SplitFamily takes the reference of a family apart; it is not ok for any
// other.
func SplitFamily(ref string) (repository, pattern string, ok bool) {
	return strings.Cut(ref, familyMark)
}

// FamilySource is the source, as [Store.Watch] has it, of the targets that a
// family found.
func FamilySource(ref string) string { return familySource + ref }

// FamilyOf is the reference of the family whose source it is; it is not ok for
// any other source.
func FamilyOf(source string) (ref string, ok bool) { return strings.CutPrefix(source, familySource) }

// IsFamily tells a family from an image.
func (t Target) IsFamily() bool { return t.Keep > 0 }

// canonicalFamily is [Canonical] for what has the mark of a family. The pattern
// is taken as it stands: package tags knows what it means.
func canonicalFamily(repository, pattern string) (string, error) {
	r, err := ParseReference(repository)
	if err != nil {
		return "", err
	}
	if strings.LastIndexByte(repository, ':') > strings.LastIndexByte(repository, '/') || pattern == "" {
		return "", fmt.Errorf("%q: a family of tags is written as a repository without a tag, %s and a pattern, such as python%s3.x-slim",
			repository+familyMark+pattern, familyMark, familyMark)
	}
	return FamilyRef(r.Name(), pattern), nil
}

// Family is what is remembered of a family between looks.
type Family struct {
	// Tags are those that the pattern meant at the last good look, newest first,
	// at most 256 of them; Total is how many they really were.
	Tags  []string `json:"tags"`
	Total int      `json:"total"`
}

// Newest are the tags that are targets now: at most keep.
func (f *Family) Newest(keep int) []string {
	if f == nil {
		return nil
	}
	return f.Tags[:min(len(f.Tags), keep)]
}

// members are the targets that a family's tags make, newest first.
func members(t Target, tags []string) []Target {
	repository, _, _ := SplitFamily(t.Ref)
	out := make([]Target, min(len(tags), t.Keep))
	for i := range out {
		out[i] = Target{Ref: repository + ":" + tags[i], Platforms: t.Platforms, Every: t.Every, Labels: t.Labels, Member: true}
	}
	return out
}

// listDigest stands for a list of tags where an image has the digest of its
// index: as long as it is the same, nothing has happened.
func listDigest(tags []string) string {
	sum := sha256.Sum256([]byte(strings.Join(tags, "\n")))
	return "sha256:" + hex.EncodeToString(sum[:])
}
