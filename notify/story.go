package notify

import (
	"fmt"
	"strings"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/text"
)

// story is what a message says, without any service's markup. Its order is
// the promise of every message: what moved, whether it matters, what we did
// about it, why you got it.
type story struct {
	// Title is one line. Late continues it after an outage.
	Title, Late string
	// Body is the message itself, in order.
	Body []line
	// Foot is small print: why late, the route, the handle, the instance.
	Foot []line
}

// line is one line of a story.
type line []span

// span is a piece of a line. Only spans made by say and link are our own words;
// everything that came from outside is a fact.
type span struct {
	Text string
	Fact bool   // shown as it is, as code where a service has that
	URL  string // a link that we built
	Raw  bool   // in the markup of where it goes already: a template's result
}

func say(format string, args ...any) span { return span{Text: fmt.Sprintf(format, args...)} }

// factLimit bounds one fact, in runes: a reason is the longest there is.
const factLimit = 400

func fact(s string) span { return span{Text: text.Plain(s, factLimit), Fact: true} }

func link(label, url string) span { return span{Text: label, URL: url} }

// listed puts facts in a row, at most limit, the others as a count.
func listed(facts []string, limit int) line {
	var l line
	for i, f := range facts {
		if i == limit {
			return append(l, say(" and %d more", len(facts)-limit))
		}
		if i > 0 {
			l = append(l, say(", "))
		}
		l = append(l, fact(f))
	}
	return l
}

// moved shows a value that changed as old → new, one that did not once, and
// one that is not known as nothing.
func moved(name, before, after string) line {
	switch {
	case before == "" && after == "":
		return nil
	case before == after:
		return line{say("%s stays ", name), fact(after)}
	case before == "":
		return line{say("%s ", name), fact(after)}
	case after == "":
		return line{say("%s was ", name), fact(before), say(", now not said")}
	}
	return line{say("%s ", name), fact(before), say(" → "), fact(after)}
}

// joined puts lines into one, with a dot between those that say something.
func joined(ls ...line) line {
	var out line
	for _, l := range ls {
		if len(l) == 0 {
			continue
		}
		if len(out) > 0 {
			out = append(out, say(" · "))
		}
		out = append(out, l...)
	}
	return out
}

// plain is the line as text, for logs and fallbacks.
func (l line) plain() string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(s.Text)
		if s.URL != "" {
			b.WriteString(": " + s.URL)
		}
	}
	return b.String()
}

// headline is the title, with how late it comes.
func (s story) headline() string {
	if s.Late == "" {
		return s.Title
	}
	return s.Title + " · " + s.Late
}

// late tells an outage: short for the title, and why for the small print.
func late(o *outbox.Outage, lane string) (string, line) {
	if o == nil {
		return "", nil
	}
	short := "told " + text.Span(o.Late) + " late"
	why := line{say("%s: %s was failing %s", short, lane, period(o.From, o.To))}
	if o.Reason != "" {
		why = append(why, say(" ("), fact(o.Reason), say(")"))
	}
	return short, why
}

// clock is a moment as messages show it. Slack could show the reader's own
// time, but no other service can, and a log must read the same for everybody.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// period is 09:02–13:10 UTC, with dates when it spans more than one day.
func period(from, to time.Time) string {
	from, to = from.UTC(), to.UTC()
	const day, hour = "2006-01-02 15:04", "15:04"
	if from.Format(time.DateOnly) == to.Format(time.DateOnly) {
		return from.Format(hour) + "–" + to.Format(hour) + " UTC"
	}
	return from.Format(day) + " – " + to.Format(day) + " UTC"
}
