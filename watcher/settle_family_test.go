package watcher_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"basewatch/watcher"
)

const pythons = "docker.io/library/python#3.x-slim"

func newFamily() *story {
	s := newStory(one)
	s.target.Ref, s.target.Keep = pythons, 3
	return s
}

// list is a look at a family; tags are newest first.
func (s *story) list(now time.Time, tags string) {
	l := watcher.Look{Digest: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(tags))), Tags: strings.Fields(tags)}
	s.settle(now, l)
}

func (s *story) settle(now time.Time, l watcher.Look) {
	next, events, notes := watcher.Settle(s.state, l, now, s.target, s.policy)
	s.state, s.events, s.notes = next, append(s.events, events...), append(s.notes, notes...)
}

func (s *story) keys() (out []string) {
	for _, e := range s.events {
		out = append(out, e.Key)
	}
	return out
}

func TestTheFirstListOfAFamilyIsABaseline(t *testing.T) {
	s := newFamily()
	s.list(start, "3.14-slim 3.13-slim 3.12-slim 3.11-slim")
	if len(s.events) != 1 || s.events[0].Kind != watcher.Baseline || s.events[0].Ref != pythons ||
		s.events[0].Reason != "4 tags match; watching 3.14-slim, 3.13-slim, 3.12-slim" {
		t.Errorf("%+v", s.events)
	}
	if !s.state.Quiet() || s.state.Seen == "" {
		t.Errorf("the state is not quiet: %+v", s.state)
	}
}

func TestANewTagAmongTheNewestIsToldOnceAndOthersAreNot(t *testing.T) {
	s := newFamily()
	for i, tags := range []string{
		"3.14-slim 3.13-slim 3.12-slim 3.11-slim",
		"3.14-slim 3.13-slim 3.12-slim 3.11-slim",           // nothing
		"3.14-slim 3.13-slim 3.12-slim 3.11-slim 3.6-slim",  // an old one
		"3.14-slim 3.13-slim 3.12-slim 3.6-slim",            // one that nobody watches goes
		"3.16-slim 3.15-slim 3.14-slim 3.13-slim 3.12-slim", // two at once
		"3.15-slim 3.14-slim 3.13-slim 3.12-slim",           // the newest was deleted: 3.13 is back, and not new
	} {
		s.list(start.Add(time.Duration(i)*time.Hour), tags)
	}
	want := []string{
		"baseline|docker.io/library/python#3.x-slim|1772409600",
		"appeared|docker.io/library/python:3.15-slim",
		"appeared|docker.io/library/python:3.16-slim",
	}
	if diff := cmp.Diff(want, s.keys()); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	e := s.events[2]
	if e.Ref != "docker.io/library/python:3.16-slim" || e.Family != pythons || e.Labels["team"] == nil || e.Seq != 0 {
		t.Errorf("%+v", e)
	}
}

func TestWhatIsRememberedOfAFamilyIsBounded(t *testing.T) {
	s := newFamily()
	var tags []string
	for i := range 5000 {
		tags = append(tags, fmt.Sprintf("3.%d-slim", 5000-i))
	}
	s.list(start, strings.Join(tags, " "))
	if n := len(s.state.Family.Tags); n != 256 || s.state.Family.Total != 5000 {
		t.Errorf("%d of %d remembered", n, s.state.Family.Total)
	}
	s.list(start.Add(time.Hour), "3.5001-slim "+strings.Join(tags, " "))
	if len(s.events) != 2 || s.events[1].Kind != watcher.Appeared {
		t.Errorf("%d events", len(s.events))
	}
}

func TestAFamilyThatCannotBeListedIsToldAndKeepsWhatIsKnown(t *testing.T) {
	s := newFamily()
	s.list(start, "3.14-slim")
	for i := range 5 {
		s.settle(start.Add(time.Duration(i+1)*30*time.Minute),
			watcher.Look{Err: &watcher.LookError{Problem: watcher.NotFound, Err: errors.New("no such repository")}})
	}
	s.list(start.Add(4*time.Hour), "3.14-slim")
	var kinds []watcher.Kind
	for _, e := range s.events {
		kinds = append(kinds, e.Kind)
	}
	if diff := cmp.Diff([]watcher.Kind{watcher.Baseline, watcher.Failing, watcher.Recovered}, kinds); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !s.state.Quiet() {
		t.Errorf("%+v", s.state.Health)
	}
	for _, n := range s.notes {
		if n.Kind == watcher.NoteQuiet {
			t.Errorf("a list that is the same is in the history: %q", n.Text)
		}
	}
}

func TestNamesOfFamilies(t *testing.T) {
	for written, want := range map[string]string{
		"python#3.x-slim":                 pythons,
		"index.docker.io/python#3.x-slim": pythons,
		"localhost:5000/acme/base#>=3 <4": "localhost:5000/acme/base#>=3 <4",
		"ghcr.io/acme/base#x":             "ghcr.io/acme/base#x",
	} {
		if got, err := watcher.Canonical(written); err != nil || got != want {
			t.Errorf("Canonical(%q) = %q, %v", written, got, err)
		}
	}
	for _, written := range []string{"python:3.13#3.x", "python#", "#3.x", "python@sha256:00#x"} {
		if got, err := watcher.Canonical(written); err == nil {
			t.Errorf("Canonical(%q) = %q", written, got)
		}
	}
	for ref, want := range map[string]string{
		pythons: "python#3.x-slim", "docker.io/acme/base#x": "acme/base#x", "localhost:5000/acme/base#>=3 <4": "localhost:5000/acme/base#>=3 <4",
	} {
		if got := watcher.Short(ref); got != want {
			t.Errorf("Short(%q) = %q, want %q", ref, got, want)
		}
	}
}
