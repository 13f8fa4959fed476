package notify

import (
	"encoding/base64"
	"fmt"
	"html"
	netmail "net/mail"
	"strings"
	"time"

	"basewatch/internal/text"

	"github.com/wneessen/go-mail"
)

// letter is one mail before it is written.
type letter struct {
	id      string // of the Message-ID, before the @
	reply   string // of what it replies to; empty: of nothing
	address string // empty: the configured ones
	story   story
}

// subjectLimit bounds a subject, in runes.
const subjectLimit = 180

// message writes the letter, as text and as HTML. Everything that came from
// outside is one harmless line, so no header can be ended by it; the HTML is
// escaped throughout.
func (l letter) message(c EmailConfig, o Options) (*mail.Msg, error) {
	to := c.To
	if l.address != "" {
		to = []string{l.address}
	}
	m := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := m.From(c.From); err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	if err := m.To(to...); err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	domain := domainOf(c.From)
	m.SetMessageIDWithValue(l.id + "@" + domain)
	if l.reply != "" {
		m.SetGenHeader(mail.HeaderInReplyTo, "<"+l.reply+"@"+domain+">")
		m.SetGenHeader(mail.HeaderReferences, "<"+l.reply+"@"+domain+">")
	}
	m.Subject(text.Plain(l.story.headline(), subjectLimit))
	m.SetDateWithValue(time.Now())
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers
	m.SetGenHeader(mail.HeaderUserAgent, o.userAgent())
	m.SetBodyString(mail.TypeTextPlain, l.story.mailText())
	m.AddAlternativeString(mail.TypeTextHTML, l.story.mailHTML())
	return m, nil
}

func domainOf(address string) string {
	a, err := netmail.ParseAddress(address)
	if err != nil {
		return "basewatch.invalid"
	}
	return a.Address[strings.LastIndex(a.Address, "@")+1:]
}

// mailText is the story as text, the small print below "-- ", which mail
// programs show as such.
func (s story) mailText() string {
	return plainLines(s.Body) + "\n\n-- \n" + plainLines(s.Foot) + "\n"
}

// mailHTML is the story as HTML without pictures, scripts or links but ours.
func (s story) mailHTML() string {
	var b strings.Builder
	b.WriteString(`<!DOCTYPE html><html><head><meta charset="utf-8"></head>` +
		`<body style="font-family:sans-serif;font-size:15px;line-height:1.5">`)
	fmt.Fprintf(&b, "<h2 style=\"font-size:18px\">%s</h2>\n<p>", html.EscapeString(s.headline()))
	writeHTML(&b, s.Body)
	b.WriteString("</p>\n<hr style=\"border:0;border-top:1px solid #ccc\"><p style=\"font-size:12px;color:#555\">")
	writeHTML(&b, s.Foot)
	b.WriteString("</p></body></html>\n")
	return b.String()
}

func writeHTML(b *strings.Builder, ls []line) {
	first := true
	for _, l := range ls {
		if len(l) == 0 {
			continue
		}
		if !first {
			b.WriteString("<br>\n")
		}
		first = false
		for _, s := range l {
			b.WriteString(s.html())
		}
	}
}

// html renders a span. A template's text is no HTML either: it is shown.
func (s span) html() string {
	switch {
	case s.URL != "":
		return `<a href="` + html.EscapeString(s.URL) + `">` + html.EscapeString(s.Text) + `</a>`
	case s.Fact:
		return "<code>" + html.EscapeString(s.Text) + "</code>"
	}
	return html.EscapeString(s.Text)
}

// smtpForms lists the forms in which SMTP carries a secret.
func smtpForms(s string) []string {
	if s == "" {
		return nil
	}
	return []string{base64.StdEncoding.EncodeToString([]byte(s))}
}
