package notify

import (
	"strings"
	"unicode/utf8"

	"basewatch/internal/text"

	"github.com/slack-go/slack"
)

// Slack's limits, in characters, with room to spare for the last two: that all
// blocks together may hold about 13,200 is not documented, but answered with
// msg_blocks_too_long.
const (
	slackHeader  = 150
	slackSection = 3000
	slackBody    = 10000
	slackFoot    = 2500
)

// slackMessage is a rendered story: what both ways to Slack send.
type slackMessage struct {
	text   string // for notifications, screen readers and clients without blocks
	blocks []slack.Block
}

func renderSlack(s story) slackMessage {
	title := text.EscapeSlack(text.Cut(s.headline(), slackHeader/2))
	if short := text.EscapeSlack(s.headline()); utf8.RuneCountInString(short) <= slackHeader {
		title = short
	}
	m := slackMessage{blocks: []slack.Block{
		slack.NewHeaderBlock(slack.NewTextBlockObject(slack.PlainTextType, text.Cut(title, slackHeader), false, false)),
	}}
	for _, part := range pack(s.Body, slackSection, slackBody) {
		m.blocks = append(m.blocks, slack.NewSectionBlock(mrkdwn(part), nil, nil))
	}
	for _, part := range pack(s.Foot, slackSection, slackFoot) {
		m.blocks = append(m.blocks, slack.NewContextBlock("", mrkdwn(part)))
	}
	all := append([]line{{say("%s", s.headline())}}, s.Body...)
	m.text = pack(append(all, s.Foot...), slackSection, slackSection)[0]
	return m
}

// mrkdwn is verbatim: Slack makes no links and mentions of its own from what
// looks like one.
func mrkdwn(s string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.MarkdownType, s, false, true)
}

// pack renders lines into texts of at most limit characters, at most total in
// all. It breaks between lines or, where one is too long, between spans: no
// code span or link is ever cut open. What has no room is left out and …
// stands for it.
func pack(ls []line, limit, total int) []string {
	p := packer{limit: limit, left: total - 1}
	for i, l := range ls {
		if n := l.size(); i > 0 && p.runes+n+2 > limit && n+2 <= limit {
			p.flush()
		} else if i > 0 {
			p.put("\n")
		}
		for _, s := range l {
			p.put(s.mrkdwn())
		}
	}
	return p.done()
}

// size is how many characters the line has in Slack, which has the longest
// form of all.
func (l line) size() int {
	n := 0
	for _, s := range l {
		n += utf8.RuneCountInString(s.mrkdwn())
	}
	return n
}

type packer struct {
	limit, left int
	parts       []string
	part        strings.Builder
	runes       int
	full        bool
}

func (p *packer) put(s string) {
	n := utf8.RuneCountInString(s)
	if p.full = p.full || n > p.left; p.full {
		return
	}
	if p.runes+n > p.limit-1 { // one for …
		p.flush()
	}
	p.part.WriteString(s)
	p.runes += n
	p.left -= n
}

func (p *packer) flush() {
	if s := strings.Trim(p.part.String(), "\n "); s != "" {
		p.parts = append(p.parts, s)
	}
	p.part.Reset()
	p.runes = 0
}

func (p *packer) done() []string {
	if p.full {
		p.part.WriteString("…")
	}
	p.flush()
	return p.parts
}

// mrkdwn renders a span. Facts are code, where neither markup nor emoji live; a
// backtick would end it.
func (s span) mrkdwn() string {
	switch {
	case s.Raw:
		return s.Text
	case s.URL != "":
		return "<" + text.EscapeSlack(s.URL) + "|" + text.EscapeSlack(s.Text) + ">"
	case s.Fact && s.Text == "":
		return "–"
	case s.Fact:
		return "`" + text.EscapeSlack(strings.ReplaceAll(s.Text, "`", "'")) + "`"
	}
	return text.EscapeSlack(s.Text)
}
