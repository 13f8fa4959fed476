package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/text"
	"basewatch/watcher"
)

// dialect is how text is written where a body will stand: what its templates
// escape, and with what they can mark up.
type dialect struct {
	escape func(string) string
	funcs  map[string]any
}

// plainDialect is for text without markup. Values are one harmless line each
// already, and what looks like markup is shown.
func plainDialect() dialect { return dialect{} }

// slackDialect is mrkdwn: `code` and links can only be made by functions, and a
// link leads only to what basewatch built.
func slackDialect() dialect {
	return dialect{escape: text.EscapeSlack, funcs: map[string]any{
		"code": func(s string) text.Verbatim { return text.Verbatim(fact(s).mrkdwn()) },
		"bold": func(s string) text.Verbatim {
			return text.Verbatim("*" + text.EscapeSlack(strings.ReplaceAll(s, "*", "")) + "*")
		},
		"link": func(label string, to Link) text.Verbatim {
			if u := string(to); strings.HasPrefix(u, "https://") || strings.HasPrefix(u, "http://") {
				return text.Verbatim(link(strings.ReplaceAll(label, "|", "/"), u).mrkdwn())
			}
			return text.Verbatim(text.EscapeSlack(label))
		},
	}}
}

// jsonDialect is for values inside the quotes of a JSON text; the function json
// writes a whole value.
func jsonDialect() dialect {
	return dialect{
		escape: func(s string) string {
			quoted, err := json.Marshal(s)
			if err != nil {
				return ""
			}
			return string(quoted[1 : len(quoted)-1])
		},
		funcs: map[string]any{"json": func(v any) (text.Verbatim, error) {
			b, err := json.Marshal(v)
			return text.Verbatim(b), err
		}},
	}
}

// words are the templates of one receiver; nil where nothing was written.
type words struct{ title, body *text.Template }

// newWords compiles the templates of a receiver and tries them on a sample of
// every kind of event. The mistakes come joined.
func newWords(title, body string, d dialect) (words, error) {
	var w words
	var errs []error
	compile := func(key, source string, o text.TemplateOptions) *text.Template {
		if source == "" {
			return nil
		}
		t, err := text.ParseTemplate(source, o)
		if err == nil {
			err = try(t)
		}
		if err != nil {
			errs = append(errs, mistake(key, "template, %v; docs/templates.md lists the fields", err))
		}
		return t
	}
	w.title = compile("title", title, text.TemplateOptions{})
	w.body = compile("body", body, text.TemplateOptions{Escape: d.escape, Funcs: d.funcs})
	return w, errors.Join(errs...)
}

// try executes a template on a sample of every kind that something sends.
func try(t *text.Template) error {
	for _, d := range sampleEvents() {
		if _, err := t.Execute(newFields(d, storyOf(d, false), Options{Instance: "sample"})); err != nil {
			return fmt.Errorf("%w (on a sample of %s)", err, d.Event.Kind)
		}
	}
	return nil
}

// apply puts what the templates say in the place of title and body. The small
// print stays. A message is worth more than its form: where a template fails,
// the built-in words go out and say so.
func (w words) apply(s story, d outbox.Delivery, o Options) story {
	if w.title == nil && w.body == nil {
		return s
	}
	f := newFields(d, s, o)
	if w.title != nil {
		title, err := w.title.Execute(f)
		if title = text.Plain(title, 0); err == nil && title == "" {
			err = errors.New("the result is empty")
		}
		if err != nil {
			s.Foot = append(s.Foot, failed("title", err))
		} else {
			s.Title, s.Late = title, ""
		}
	}
	if w.body != nil {
		body, err := w.body.Execute(f)
		if err != nil {
			s.Foot = append(s.Foot, failed("body", err))
		} else {
			s.Body = rawLines(body)
		}
	}
	return s
}

func failed(key string, err error) line {
	return line{say("the template of %s failed: ", key), fact(err.Error())}
}

// rawLines are lines in the markup of where they go, which a template made.
func rawLines(s string) []line {
	var ls []line
	for l := range strings.SplitSeq(strings.Trim(s, "\n"), "\n") {
		ls = append(ls, line{{Text: text.Cut(strings.TrimRight(l, "\r"), rawLimit), Raw: true}})
	}
	return ls
}

// rawLimit bounds a line of a template's result, in runes, so that it has room
// in one section of Slack.
const rawLimit = slackSection - 100

// sampleEvents are deliveries of every kind that something sends, with every field
// that the kind has.
func sampleEvents() []outbox.Delivery {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	snapshot := func(digit string) *watcher.Snapshot {
		return &watcher.Snapshot{
			Index: "sha256:" + strings.Repeat(digit, 64), SeenAt: at,
			Platforms: map[string]watcher.Manifest{"linux/amd64": {Digest: "sha256:" + strings.Repeat(digit, 64)}},
			Annotations: map[string]string{
				annotationVersion: "1.2." + digit, annotationRevision: strings.Repeat(digit, 40),
				annotationSource: "https://github.com/acme/base.git",
			},
		}
	}
	var ds []outbox.Delivery
	for _, kind := range watcher.Sent() {
		e := watcher.Event{Kind: kind, Ref: "docker.io/library/sample:1", At: at, Seq: 2, Old: snapshot("1"), New: snapshot("2"),
			Platforms: []string{"linux/amd64"}, Reason: "a reason", Since: at.Add(-time.Hour), Receiver: "sample"}
		e.Identify()
		ds = append(ds, outbox.Delivery{ID: outbox.DeliveryID(e.Key, "sample", ""), EventKey: e.Key, Receiver: "sample", Route: "default", Event: e})
	}
	return ds
}
