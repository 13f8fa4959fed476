package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"basewatch/internal/outbox"
	"basewatch/internal/text"
	"basewatch/watcher"
)

// LogConfig is a [notify.NAME] of kind "log".
type LogConfig struct {
	// Format is "text", or "json": the CloudEvent of the webhook, one a line.
	Format string `koanf:"format"`
	// Body is a template of what follows the time in a line; see [Fields].
	Body string `koanf:"body"`
}

// DefaultLogConfig is what holds where nothing is written.
func DefaultLogConfig() LogConfig { return LogConfig{Format: "text"} }

// Validate checks the configuration.
func (c LogConfig) Validate() error {
	if c.Format != "text" && c.Format != "json" {
		return mistake("format", "%q is neither text nor json", c.Format)
	}
	if c.Format == "json" && c.Body != "" {
		return mistake("body", "format = \"json\" has its own form; take one of the two out")
	}
	_, err := newWords("", c.Body, plainDialect())
	return err
}

// Log writes one line a delivery. Safe for concurrent use: a line is one call
// of Write, and no two overlap.
type Log struct {
	config  LogConfig
	options Options
	words   words

	mu sync.Mutex
	w  io.Writer
}

var _ outbox.Receiver = (*Log)(nil)

// NewLog makes a receiver that writes to w.
func NewLog(c LogConfig, o Options, w io.Writer) (*Log, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	words, err := newWords("", c.Body, plainDialect())
	if err != nil {
		return nil, err
	}
	return &Log{config: c, options: o, words: words, w: w}, nil
}

// Deliver writes the line. A write that fails is retried.
func (l *Log) Deliver(ctx context.Context, d outbox.Delivery) (outbox.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return outbox.Receipt{}, err
	}
	line, err := l.format(d)
	if err != nil {
		return outbox.Receipt{}, outbox.Permanent(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.w.Write(line)
	if err == nil && n < len(line) {
		err = errors.New("short write")
	}
	if err != nil {
		return outbox.Receipt{}, fmt.Errorf("write to the log: %w", err)
	}
	return outbox.Receipt{}, nil
}

func (l *Log) format(d outbox.Delivery) ([]byte, error) {
	if l.config.Format == "json" {
		body, err := newCloudEvent(d, l.options).json()
		return append(visible(body), '\n'), err
	}
	return []byte(time.Now().Format("15:04:05") + " " + l.text(d) + "\n"), nil
}

// text is the line by the user's template, or the built-in one.
func (l *Log) text(d outbox.Delivery) string {
	if l.words.body == nil {
		return logLine(d)
	}
	said, err := l.words.body.Execute(newFields(d, storyOf(d, false), l.options))
	if err != nil {
		return logLine(d) + " " + text.Plain("the template of body failed: "+err.Error(), logLimit)
	}
	return text.Plain(said, logLimit)
}

// visible escapes in JSON what a terminal would obey or not show: controls
// beyond those that JSON escapes itself, bidi and zero-width characters.
func visible(body []byte) []byte {
	var out []byte
	for _, r := range string(body) {
		switch {
		case r < 0x7f || unicode.IsPrint(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// logLine is the event as one line of text: kind, handle, what.
func logLine(d outbox.Delivery) string {
	e := d.Event
	parts := []string{fmt.Sprintf("%-8s", e.Kind), e.Handle()}
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch {
	case e.Kind == watcher.Changed:
		add("%s→%s", short(e.Old), short(e.New))
	case e.New != nil:
		add("%s", short(e.New))
	}
	if len(e.Platforms) > 0 {
		add("%s", strings.Join(e.Platforms, ","))
	}
	if v := versions(e); v != "" {
		add("%s", v)
	}
	if e.Rollback {
		add("rollback")
	}
	if e.Partial {
		add("partial awaiting=%s", strings.Join(e.Awaiting, ","))
	}
	if r := reason(e).plain(); r != "" {
		add("%s", r)
	}
	if !e.Since.IsZero() {
		add("since=%s", stamp(e.Since))
	}
	if e.Family != "" {
		add("family=%s", watcher.Short(e.Family))
	}
	if e.Receiver != "" && e.Receiver != e.Ref {
		add("receiver=%s", e.Receiver)
	}
	if n := lateSeconds(d.Outage); n > 0 {
		add("late=%s", text.Compact(d.Outage.Late))
	}
	// Each part by itself: white space inside one is squeezed, the padding of
	// the kind stays.
	for i, p := range parts[1:] {
		parts[i+1] = text.Plain(p, logLimit)
	}
	return text.Cut(strings.Join(parts, " "), logLimit)
}

// logLimit bounds a line, in runes.
const logLimit = 2000

func versions(e watcher.Event) string {
	before, after := annotation(e.Old, annotationVersion), annotation(e.New, annotationVersion)
	switch {
	case before == after || before == "":
		return after
	case after == "":
		return before + "→?"
	}
	return before + "→" + after
}
