package watcher

import (
	"fmt"
	"slices"
	"strings"
)

// listed takes in the tags that a family's pattern means now, newest first. The
// first list is a baseline. From then on a tag that was not there before and is
// among the newest is told, once.
func (w *settling) listed(l Look) {
	before, unchanged := w.Family, l.Digest == w.Seen
	w.Family = &Family{Tags: slices.Clone(l.Tags[:min(len(l.Tags), seenTags)]), Total: len(l.Tags)}
	w.Seen = l.Digest
	newest := w.Family.Newest(w.target.Keep)
	switch {
	case before == nil:
		w.familyBaseline(newest)
		return
	case unchanged:
		return
	}
	fresh := without(newest, before.Tags)
	for _, tag := range slices.Backward(fresh) {
		w.appeared(tag)
	}
	if len(fresh) == 0 {
		w.note(NoteQuiet, "", fmt.Sprintf("%s now; no new one is among the newest %d", countTags(len(l.Tags)), w.target.Keep))
	}
}

func (w *settling) familyBaseline(newest []string) {
	e := w.event(Baseline)
	e.Reason = fmt.Sprintf("%s; watching %s", countTags(w.Family.Total), strings.Join(newest, ", "))
	e.Identify()
	w.events = append(w.events, e)
	w.note(NoteBaseline, "", e.Reason)
}

func (w *settling) appeared(tag string) {
	repository, _, _ := SplitFamily(w.target.Ref)
	e := w.event(Appeared)
	e.Ref, e.Family = repository+":"+tag, w.target.Ref
	e.Identify()
	w.events = append(w.events, e)
	w.note(NoteAppeared, "", tag+" is new, and watched from now on")
}

func countTags(n int) string {
	if n == 1 {
		return "1 tag matches"
	}
	return fmt.Sprintf("%d tags match", n)
}
