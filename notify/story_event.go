package notify

import (
	"strings"

	"basewatch/internal/outbox"
	"basewatch/internal/text"
	"basewatch/watcher"
)

// tell makes the story of one delivery. full adds what only some want to see.
func tell(d outbox.Delivery, instance string, full bool) story {
	s := storyOf(d, full)
	short, long := late(d.Outage, d.Lane())
	s.Late = short
	s.Foot = append(s.Foot, joined(
		why(d.Route),
		line{fact(d.Event.Handle())},
		line{fact(instance)},
	))
	if long != nil {
		s.Foot = append([]line{long}, s.Foot...)
	}
	return s
}

// why says by what routes one gets a message.
func why(routes ...string) line {
	return append(line{say("you get this by ")}, listed(routes, 5)...)
}

func storyOf(d outbox.Delivery, full bool) story {
	e := d.Event
	switch e.Kind {
	case watcher.Changed:
		return changedStory(d, full)
	case watcher.Baseline:
		return baselineStory(e)
	case watcher.Appeared:
		return appearedStory(e)
	case watcher.Frozen:
		return frozenStory(e)
	case watcher.Failing, watcher.Recovered, watcher.Gone, watcher.Incomplete:
		return healthStory(e)
	case watcher.ReceiverFailing, watcher.ReceiverRecovered:
		return receiverStory(e)
	case watcher.ConfigRefused:
		return story{Title: "Configuration refused", Body: []line{
			{fact(e.Reason)},
			{say("The old configuration stays in force. Correct the line, then see what "), fact("basewatch config check"), say(" says.")},
		}}
	case watcher.Test:
		return story{Title: "Test message", Body: []line{
			{say("Somebody asked for it with "), fact("basewatch test " + e.Receiver), say(". Nothing has changed, and this receiver works.")},
		}}
	}
	return otherStory(e)
}

// otherStory is for kinds that nothing sends yet.
func otherStory(e watcher.Event) story {
	s := story{Title: name(e) + ": " + string(e.Kind)}
	if e.Reason != "" {
		s.Body = []line{{fact(e.Reason)}}
	}
	return s
}

func baselineStory(e watcher.Event) story {
	s := story{Title: name(e) + ": first sight"}
	if e.New != nil {
		s.Body = append(s.Body, append(line{fact(e.New.Index), say(" · ")}, listed(platforms(e.New), 8)...))
	}
	if e.Reason != "" { // a family's
		s.Body = append(s.Body, line{fact(e.Reason)})
	}
	s.Body = append(s.Body, line{say("A first sight is a baseline, not a change.")})
	return s
}

func appearedStory(e watcher.Event) story {
	s := story{Title: name(e) + " is new"}
	if e.Family != "" {
		s.Body = append(s.Body, line{say("One of the newest tags of "), fact(watcher.Short(e.Family)), say(", and watched from now on.")})
	}
	return s
}

func frozenStory(e watcher.Event) story {
	return story{Title: name(e) + " is no longer rebuilt", Body: []line{
		{fact(e.Reason)},
		{say("Fixes of what it stands on do not reach it any more. Move to a tag that is rebuilt; a change of this one would still be told.")},
	}}
}

// storeStory tells that what we found cannot be written down, or is lost.
func storeStory(e watcher.Event) story {
	switch {
	case e.Kind == watcher.Recovered:
		return story{Title: "The store takes writes again", Body: []line{
			sinceLine(e, "It did not since "),
			{say("Every image is looked at again; what moved meanwhile is told now.")},
		}}
	case e.Problem == watcher.StoreLost:
		return story{Title: "The store was lost", Body: []line{
			reason(e),
			{say("A new one was made. Every first sight is a baseline: what moved while it was lost is not known, and what waited to be told is gone.")},
			{say("To go back to a copy: stop basewatch, put the copy in the place of the store, start it again.")},
		}}
	}
	return story{Title: "The store takes no writes", Body: []line{
		reason(e), sinceLine(e, "Nothing new is recorded since "),
		{say("What is known goes on being told. It mends itself once there is room: free some on its disk, or raise max_size under [store].")},
	}}
}

func healthStory(e watcher.Event) story {
	if e.Ref == watcher.StoreRef {
		return storeStory(e)
	}
	s := story{}
	switch e.Kind {
	case watcher.Failing:
		s.Title = name(e) + " is failing"
		s.Body = []line{reason(e), sinceLine(e, "No look has succeeded since ")}
	case watcher.Gone:
		s.Title = name(e) + " is gone"
		s.Body = []line{
			{say("The tag was deleted from its registry. Move to another tag, or take it out of [[watch]].")},
			reason(e), sinceLine(e, "First missed "),
		}
	case watcher.Incomplete:
		s.Title = name(e) + " is incomplete"
		s.Body = []line{
			append(line{say("The tag no longer has ")}, listed(e.Platforms, 8)...),
			{say("What was last known of it stands; nothing else is held up by this.")},
			sinceLine(e, "Absent since "),
		}
	default: // recovered
		s.Title = name(e) + " works again"
		s.Body = []line{sinceLine(e, "It was failing since ")}
	}
	if e.Kind != watcher.Recovered {
		command := "basewatch status --problems"
		if aboutImage(e) {
			command = "basewatch explain " + watcher.Short(e.Ref)
		}
		s.Body = append(s.Body, line{say("More: "), fact(command)})
	}
	return s
}

func receiverStory(e watcher.Event) story {
	if e.Kind == watcher.ReceiverRecovered {
		return story{Title: name(e) + " takes messages again", Body: []line{
			sinceLine(e, "It was failing since "),
			{say("What was waiting has been sent or is being sent.")},
		}}
	}
	if e.Problem == watcher.GivenUp {
		return story{Title: name(e) + " refused a message", Body: []line{
			{fact(e.Reason)},
			{say("It is given up and will not be sent by itself. All that were given up: "), fact("basewatch deliveries --state dead --receiver " + e.Ref),
				say("; to send one again, when the cause is mended: "), fact("basewatch replay ID")},
		}}
	}
	return story{Title: name(e) + " does not take messages", Body: []line{
		reason(e),
		sinceLine(e, "Failing since "),
		{say("What it should get is kept and sent when it works again. See "), fact("basewatch deliveries --receiver " + e.Ref),
			say("; to try now: "), fact("basewatch retry " + e.Ref)},
	}}
}

// aboutImage tells an image's event from that of a host, the store, a receiver
// or the configuration.
func aboutImage(e watcher.Event) bool {
	switch e.Kind {
	case watcher.ReceiverFailing, watcher.ReceiverRecovered, watcher.ConfigRefused, watcher.Test:
		return false
	}
	return strings.Contains(e.Ref, "/")
}

// reason is what is wrong: the class, which is ours, and the text, which is
// not.
func reason(e watcher.Event) line {
	var l line
	if e.Problem != "" {
		l = append(l, say("%s", e.Problem))
	}
	if e.Reason != "" {
		if len(l) > 0 {
			l = append(l, say(": "))
		}
		l = append(l, fact(e.Reason))
	}
	return l
}

func sinceLine(e watcher.Event, words string) line {
	if e.Since.IsZero() {
		return nil
	}
	l := line{say("%s%s", words, clock(e.Since))}
	if d := e.At.Sub(e.Since); d > 0 {
		l = append(l, say(" (%s)", text.Span(d)))
	}
	return l
}

// nameLimit bounds a name in a title, in runes, so that what happened to it is
// still seen.
const nameLimit = 90

// name is what an event is about, for a title.
func name(e watcher.Event) string { return text.Plain(watcher.Short(e.Ref), nameLimit) }
