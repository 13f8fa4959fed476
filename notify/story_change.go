package notify

import (
	"maps"
	"slices"
	"strings"
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// coverLimit is how many older changes a message names with their digests.
const coverLimit = 10

func changedStory(d outbox.Delivery, full bool) story {
	e := d.Event
	s := story{Title: changedTitle(e)}
	s.add(joined(
		line{fact(short(e.Old)), say(" → "), fact(short(e.New))},
		listed(e.Platforms, 8),
		line{say("seen %s", clock(seen(e)))},
		whole(e),
	))
	if e.Rollback {
		s.add(line{say("The tag stands again on a digest that was told before.")})
	}
	if e.Partial {
		s.add(append(line{say("Still to come: ")}, listed(e.Awaiting, 8)...))
	}
	s.add(joined(
		moved("version", annotation(e.Old, annotationVersion), annotation(e.New, annotationVersion)),
		moved("revision", revision(e.Old), revision(e.New)),
	))
	s.add(source(e))
	s.add(line{say("Whether it matters is not known: contents are not inspected. No rebuild was set off.")})
	s.add(covers(d.Covers))
	s.Foot = []line{{say("from "), fact(index(e.Old)), say(" to "), fact(index(e.New))}}
	if full {
		s.Foot = append(s.Foot, perPlatform(e)...)
	}
	return s
}

// add appends a line that says something.
func (s *story) add(l line) {
	if len(l) > 0 {
		s.Body = append(s.Body, l)
	}
}

func changedTitle(e watcher.Event) string {
	switch {
	case e.Rollback:
		return name(e) + " rolled back"
	case e.Partial && len(e.Awaiting) > 0 && len(e.Awaiting) <= 2:
		return name(e) + " changed, partial: " + strings.Join(e.Awaiting, ", ") + " still to come"
	case e.Partial:
		return name(e) + " changed, partial"
	}
	return name(e) + " changed"
}

// whole says that nothing is missing, when there is more than one to miss.
func whole(e watcher.Event) line {
	if e.Partial || e.New == nil || len(e.Platforms) < 2 || len(e.Platforms) < len(e.New.Platforms) {
		return nil
	}
	return line{say("all platforms moved")}
}

// seen is when the new content was first seen, which is earlier than the event
// by what it took to settle.
func seen(e watcher.Event) time.Time {
	if e.New != nil && !e.New.SeenAt.IsZero() {
		return e.New.SeenAt
	}
	return e.At
}

// source names where the image is built from and, where that is possible, links
// to what was committed there in between.
func source(e watcher.Event) line {
	before, after := annotation(e.Old, annotationSource), annotation(e.New, annotationSource)
	l := moved("source", before, after)
	if before == after && after != "" {
		l = line{say("source "), fact(after)}
	}
	if u := compareURL(e.Old, e.New); u != "" {
		l = joined(l, line{link("compare the two revisions", u)})
	}
	return l
}

// revision is shortened to 12 digits when it is a commit.
func revision(s *watcher.Snapshot) string {
	r := annotation(s, annotationRevision)
	if commit.MatchString(r) {
		return r[:min(len(r), 12)]
	}
	return r
}

// covers names the older changes that this message tells too, newest first, as
// people count back.
func covers(ds []outbox.Delivery) line {
	if len(ds) == 0 {
		return nil
	}
	l := line{say("Also covers ")}
	for i, d := range slices.Backward(ds) {
		n := len(ds) - 1 - i
		if n == coverLimit {
			return append(l, say(" and %d more", len(ds)-n))
		}
		if n > 0 {
			l = append(l, say(", "))
		}
		l = append(l, fact(d.Event.Handle()), say(" ("), fact(short(d.Event.Old)), say(" → "), fact(short(d.Event.New)), say(")"))
	}
	return l
}

// perPlatform lists the manifests that moved.
func perPlatform(e watcher.Event) []line {
	var ls []line
	for i, p := range e.Platforms {
		if i == coverLimit {
			return append(ls, line{say("and %d more platforms", len(e.Platforms)-i)})
		}
		ls = append(ls, append(line{fact(p), say(": ")}, moved("manifest", manifest(e.Old, p), manifest(e.New, p))...))
	}
	return ls
}

func manifest(s *watcher.Snapshot, platform string) string {
	if s == nil {
		return ""
	}
	return s.Platforms[platform].Digest
}

func index(s *watcher.Snapshot) string {
	if s == nil || s.Index == "" {
		return "nothing"
	}
	return s.Index
}

// short is the digest as people compare it.
func short(s *watcher.Snapshot) string { return watcher.Digest12(index(s)) }

func platforms(s *watcher.Snapshot) []string {
	if s == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(s.Platforms))
}
