package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"basewatch/internal/outbox"
)

// problem is one thing that is wrong with a configuration.
type problem struct {
	at   place
	key  keyPath
	text string
}

func (p problem) String() string {
	s := p.text
	if p.key != "" {
		s = string(p.key) + ": " + s
	}
	if p.at != (place{}) {
		s = p.at.String() + ": " + s
	}
	return s
}

// configError is every problem of a configuration, one a line:
// FILE:LINE: key: what is wrong; the remedy.
type configError struct{ problems []problem }

func (e *configError) Error() string {
	lines := make([]string, len(e.problems))
	for i, p := range e.problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// only reports whether nothing is wrong but what is below the keys.
func (e *configError) only(keys ...keyPath) bool {
	for _, p := range e.problems {
		if !slices.ContainsFunc(keys, p.key.within) {
			return false
		}
	}
	return true
}

// problems collects what is wrong, each thing once: what follows from an error
// already told (a channel that is missing because its line was refused) is
// left out.
type problems struct {
	found  []problem
	places places
	// told are the keys refused so far (true) and the tables around them
	// (false); sealed are those of the earlier stages.
	told, sealed map[keyPath]bool
}

func newProblems(ps places) *problems {
	return &problems{places: ps, told: map[keyPath]bool{}, sealed: map[keyPath]bool{}}
}

// nextStage begins a stage that only sees what the earlier ones accepted.
func (ps *problems) nextStage() {
	ps.sealed = maps.Clone(ps.told)
}

// follows reports whether a problem at p follows from one that was told: p or
// something in it was refused, or all that p is in.
func (ps *problems) follows(p keyPath) bool {
	if _, ok := ps.sealed[p]; ok {
		return true
	}
	for ; p != ""; p = p.parent() {
		if ps.sealed[p] {
			return true
		}
	}
	return false
}

// add notes that the setting at p is wrong.
func (ps *problems) add(p keyPath, format string, args ...any) {
	if ps.follows(p) {
		return
	}
	ps.addAt(ps.places.find(p), p, format, args...)
}

// addAt is add for a place that the setting's own is not.
func (ps *problems) addAt(at place, p keyPath, format string, args ...any) {
	ps.found = append(ps.found, problem{at: at, key: p, text: fmt.Sprintf(format, args...)})
	ps.told[p] = true
	for p = p.parent(); p != ""; p = p.parent() {
		if _, ok := ps.told[p]; !ok {
			ps.told[p] = false
		}
	}
}

// addError takes an error of a package that knows the keys of its own settings
// but not their places: "KEY: what is wrong" about the table at base, or
// several of them under [errors.Join].
func (ps *problems) addError(base keyPath, err error) {
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			ps.addError(base, e)
		}
		return
	}
	var known *outbox.ConfigError
	if errors.As(err, &known) {
		ps.add(base.below(known.Key), "%s", known.Problem)
		return
	}
	text := err.Error()
	if key, rest, ok := strings.Cut(text, ": "); ok && settingName(key) {
		ps.add(base.below(key), "%s", rest)
		return
	}
	ps.add(base, "%s", text)
}

// below is the path of a key that is told relative to p, or in full.
func (p keyPath) below(key string) keyPath {
	if k := keyPath(key); p == "" || k.within(p) {
		return k
	}
	return p + "." + keyPath(key)
}

// settingName reports whether s can be the path of a key, and not the
// beginning of a sentence.
func settingName(s string) bool {
	return s != "" && !strings.ContainsAny(s, " \t/") && s[0] >= 'a' && s[0] <= 'z'
}

// refusedIn reports whether something below one of the keys was refused.
func (ps *problems) refusedIn(keys ...keyPath) bool {
	return slices.ContainsFunc(ps.found, func(p problem) bool { return slices.ContainsFunc(keys, p.key.within) })
}

// err is nil when nothing was found; else a *configError in the order of
// files and lines.
func (ps *problems) err() error {
	if len(ps.found) == 0 {
		return nil
	}
	slices.SortStableFunc(ps.found, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.at.file, b.at.file), cmp.Compare(a.at.line, b.at.line),
			cmp.Compare(a.key, b.key), cmp.Compare(a.text, b.text))
	})
	ps.found = slices.Compact(ps.found)
	return &configError{ps.found}
}
