package standin

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Block is a block of Block Kit, with the fields of the kinds that are checked.
type Block struct {
	Type     string    `json:"type"`
	BlockID  string    `json:"block_id"`
	Text     *Text     `json:"text"`
	Fields   []Text    `json:"fields"`
	Elements []Element `json:"elements"`
	Element  *Element  `json:"accessory"`
	ImageURL string    `json:"image_url"`
	AltText  string    `json:"alt_text"`
}

// Text is a text object.
type Text struct {
	Type string `json:"type"` // plain_text or mrkdwn
	Text string `json:"text"`
}

// Element is a part of a context or actions block. A context's texts and a
// button's label come in different shapes under the same key.
type Element struct {
	Type     string `json:"type"`
	Text     any    `json:"text"` // string in a context, a text object in a button
	URL      string `json:"url"`
	ActionID string `json:"action_id"`
	Value    string `json:"value"`
	ImageURL string `json:"image_url"`
	AltText  string `json:"alt_text"`
}

// Slack's limits, in characters; maxBlockText is not documented but measured by
// others at about 13,200 over all blocks of a message.
const (
	maxText      = 40000
	maxBlocks    = 50
	maxBlockText = 13000
)

// refusal is why a message is not taken: Slack's word, and what was wrong.
type refusal struct{ code, why string }

func (r *refusal) Error() string { return r.code + ": " + r.why }

func refusef(code, format string, args ...any) *refusal {
	return &refusal{code: code, why: fmt.Sprintf(format, args...)}
}

// check looks at all of a message.
func (p payload) check() *refusal {
	blocks := p.Blocks
	for _, a := range p.Attachments {
		blocks = append(blocks[:len(blocks):len(blocks)], a.Blocks...)
	}
	switch {
	case strings.TrimSpace(p.Text) == "":
		return refusef("no_text", "no fallback text")
	case utf8.RuneCountInString(p.Text) > maxText:
		return refusef("msg_too_long", "text of %d characters", utf8.RuneCountInString(p.Text))
	case p.Parse == "full" || p.LinkNames != nil && fmt.Sprint(p.LinkNames) != "0" && fmt.Sprint(p.LinkNames) != "false":
		return refusef("invalid_arguments", "parse and link_names bring @channel to life")
	case len(blocks) > maxBlocks:
		return refusef("invalid_blocks", "%d blocks, at most %d", len(blocks), maxBlocks)
	}
	if err := inert(p.Text); err != nil {
		return refusef("invalid_blocks", "text: %v", err)
	}
	total, ids := 0, map[string]bool{}
	for i, b := range blocks {
		if err := b.check(ids); err != nil {
			return refusef("invalid_blocks", "blocks[%d] (%s): %v", i, b.Type, err)
		}
		b.texts(func(t Text) { total += utf8.RuneCountInString(t.Text) })
	}
	if total > maxBlockText {
		return refusef("msg_blocks_too_long", "%d characters in all blocks", total)
	}
	return nil
}

func (b Block) check(ids map[string]bool) error {
	if b.BlockID != "" {
		if ids[b.BlockID] || utf8.RuneCountInString(b.BlockID) > 255 {
			return fmt.Errorf("block_id %.40q is taken or over 255 characters", b.BlockID)
		}
		ids[b.BlockID] = true
	}
	switch b.Type {
	case "header":
		if b.Text == nil || b.Text.Type != "plain_text" {
			return fmt.Errorf("text must be plain_text")
		}
		return b.Text.check(150)
	case "section":
		return b.checkSection()
	case "context":
		return checkElements(b.Elements, 10, Element.checkContext)
	case "actions":
		return checkElements(b.Elements, 25, Element.checkAction)
	case "image":
		return checkImage(b.ImageURL, b.AltText)
	case "divider":
		return nil
	}
	return fmt.Errorf("unsupported type %q", b.Type)
}

func (b Block) checkSection() error {
	if b.Text == nil && len(b.Fields) == 0 {
		return fmt.Errorf("neither text nor fields")
	}
	if len(b.Fields) > 10 {
		return fmt.Errorf("%d fields, at most 10", len(b.Fields))
	}
	if b.Text != nil {
		if err := b.Text.check(3000); err != nil {
			return err
		}
	}
	for i, f := range b.Fields {
		if err := f.check(2000); err != nil {
			return fmt.Errorf("fields[%d]: %w", i, err)
		}
	}
	if b.Element != nil {
		return b.Element.checkAction()
	}
	return nil
}

func checkElements(es []Element, limit int, check func(Element) error) error {
	if len(es) == 0 || len(es) > limit {
		return fmt.Errorf("%d elements, 1 to %d are allowed", len(es), limit)
	}
	for i, e := range es {
		if err := check(e); err != nil {
			return fmt.Errorf("elements[%d]: %w", i, err)
		}
	}
	return nil
}

func (e Element) checkContext() error {
	if e.Type == "image" {
		return checkImage(e.ImageURL, e.AltText)
	}
	s, ok := e.Text.(string)
	if !ok {
		return fmt.Errorf("text is missing or no string")
	}
	return Text{Type: e.Type, Text: s}.check(3000)
}

func (e Element) checkAction() error {
	if e.Type == "image" {
		return checkImage(e.ImageURL, e.AltText)
	}
	if e.Type != "button" {
		return fmt.Errorf("unsupported element %q", e.Type)
	}
	label, ok := e.label()
	switch {
	case !ok || label.Type != "plain_text":
		return fmt.Errorf("a button's text must be plain_text")
	case len(e.URL) > 3000 || len(e.Value) > 2000 || len(e.ActionID) > 255:
		return fmt.Errorf("url over 3000, value over 2000 or action_id over 255 characters")
	case e.URL != "" && !strings.HasPrefix(e.URL, "https://") && !strings.HasPrefix(e.URL, "http://"):
		return fmt.Errorf("url %.40q is no web address", e.URL)
	}
	return label.check(75)
}

func (e Element) label() (Text, bool) {
	m, ok := e.Text.(map[string]any)
	kind, _ := m["type"].(string)
	text, _ := m["text"].(string)
	return Text{Type: kind, Text: text}, ok
}

func checkImage(url, alt string) error {
	if url == "" || len(url) > 3000 || alt == "" || len(alt) > 2000 {
		return fmt.Errorf("image_url or alt_text is missing or too long")
	}
	return nil
}

func (t Text) check(limit int) error {
	n := utf8.RuneCountInString(t.Text)
	switch {
	case t.Type != "plain_text" && t.Type != "mrkdwn":
		return fmt.Errorf("unknown text type %q", t.Type)
	case n == 0 || n > limit:
		return fmt.Errorf("text of %d characters, 1 to %d are allowed", n, limit)
	case t.Type == "plain_text":
		if mention := mentions.FindString(t.Text); mention != "" {
			return fmt.Errorf("a mention: %s", mention)
		}
		return nil
	}
	return inert(t.Text)
}

// texts calls f with every text that the block shows.
func (b Block) texts(f func(Text)) {
	if b.Text != nil {
		f(*b.Text)
	}
	for _, t := range b.Fields {
		f(t)
	}
	for _, e := range b.Elements {
		if s, ok := e.Text.(string); ok {
			f(Text{Type: e.Type, Text: s})
		} else if t, ok := e.label(); ok {
			f(t)
		}
	}
}

var (
	mentions = regexp.MustCompile(`<[!@#][^>]*>?`)
	// Links to the web and Slack's dates are the only good use of < and >.
	links  = regexp.MustCompile(`<(https?://[^\s<>|]+(\|[^<>|]*)?|!date\^[0-9]+\^[^<>]*\|[^<>|]*)>`)
	escape = regexp.MustCompile(`&(amp|lt|gt);`)
)

// inert reports what in a mrkdwn text is not escaped, so that a label or a tag
// could make it a mention or a link.
func inert(text string) error {
	rest := links.ReplaceAllStringFunc(text, func(link string) string {
		_, label, _ := strings.Cut(strings.Trim(link, "<>"), "|")
		return label
	})
	if m := mentions.FindString(rest); m != "" {
		return fmt.Errorf("a mention: %s", m)
	}
	if i := strings.IndexAny(escape.ReplaceAllString(rest, ""), "&<>"); i >= 0 {
		return fmt.Errorf("& < or > is not escaped: %.60q", rest)
	}
	if !utf8.ValidString(text) {
		return fmt.Errorf("not UTF-8")
	}
	return nil
}
