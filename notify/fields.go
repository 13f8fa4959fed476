package notify

import (
	"strings"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/text"
	"basewatch/watcher"
)

// Fields are what the templates of title and body see: one event as it goes to
// one receiver. docs/templates.md is their reference; fields may be added,
// never renamed. Every text is one harmless line; what is not known is empty.
type Fields struct {
	Kind     string // changed, gone, failing …
	Image    string // canonical; empty: about a host, a receiver …
	Subject  string // what the event is about, image or not
	Short    string // python:3.13-slim
	Handle   string // python:3.13-slim@42
	Seq      uint64
	At       time.Time
	Old, New Version

	Platforms []string // those that moved, or are absent
	Awaiting  []string // those still to move
	Partial   bool
	Rollback  bool
	Covers    []string // handles of older changes that this message tells too

	Problem  string
	Reason   string
	Since    time.Time
	Receiver string

	Headline   string // the built-in title, with how late it is
	Message    string // the built-in body, lines of plain text
	Late       string // told 4 h 10 min late
	URL        Link   // the change's page
	CompareURL Link   // what was committed between two revisions

	Labels   map[string][]string
	Route    string
	Instance string
	ID       string // of the delivery
}

// Link is an address that basewatch built. Only such a one, or one written in
// the template itself, can become a link.
type Link string

// Version is what a tag pointed to.
type Version struct {
	Digest    string
	Digest12  string
	Version   string
	Revision  string
	Source    string
	FirstSeen time.Time
	Platforms map[string]string // platform → digest of its manifest
}

// Label is the values of a label, with a comma in between; empty where there is
// none.
func (f Fields) Label(key string) string { return strings.Join(f.Labels[key], ", ") }

// newFields makes the fields of a delivery from the story of it.
func newFields(d outbox.Delivery, s story, o Options) Fields {
	e := d.Event
	f := Fields{
		Kind: string(e.Kind), Image: text.Plain(image(e), factLimit), Subject: text.Plain(e.Ref, factLimit),
		Short: text.Plain(watcher.Short(e.Ref), factLimit), Handle: text.Plain(e.Handle(), factLimit), Seq: e.Seq, At: e.At,
		Old: newVersion(e.Old), New: newVersion(e.New),
		Platforms: plainAll(e.Platforms), Awaiting: plainAll(e.Awaiting), Partial: e.Partial, Rollback: e.Rollback,
		Problem: string(e.Problem), Reason: text.Plain(e.Reason, factLimit), Since: e.Since, Receiver: text.Plain(e.Receiver, factLimit),
		Headline: text.Plain(s.headline(), 0), Message: plainLines(s.Body), Late: s.Late,
		URL: Link(changeURL(e, o.PublicURL)), CompareURL: Link(compareURL(e.Old, e.New)),
		Labels: map[string][]string{}, Route: d.Route, Instance: o.Instance, ID: d.ID,
	}
	for key, values := range e.Labels {
		f.Labels[text.Plain(key, factLimit)] = plainAll(values)
	}
	for _, c := range d.Covers {
		f.Covers = append(f.Covers, text.Plain(c.Event.Handle(), factLimit))
	}
	return f
}

func newVersion(s *watcher.Snapshot) Version {
	v := Version{Platforms: map[string]string{}}
	if s == nil {
		return v
	}
	v.Digest, v.Digest12, v.FirstSeen = s.Index, watcher.Digest12(s.Index), s.SeenAt
	v.Version, v.Revision, v.Source = annotation(s, annotationVersion), annotation(s, annotationRevision), annotation(s, annotationSource)
	for name, m := range s.Platforms {
		v.Platforms[name] = m.Digest
	}
	return v
}

func plainAll(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = text.Plain(v, factLimit)
	}
	return out
}

func plainLines(ls []line) string {
	out := make([]string, 0, len(ls))
	for _, l := range ls {
		if len(l) > 0 {
			out = append(out, l.plain())
		}
	}
	return strings.Join(out, "\n")
}
