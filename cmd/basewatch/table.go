package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"basewatch/internal/text"
)

// table prints aligned columns. Cells are made harmless here: much of what
// they hold was written by strangers.
type table struct {
	w      io.Writer
	indent string
	rows   [][]string
}

func newTable(w io.Writer, header ...string) *table {
	t := &table{w: w}
	if len(header) > 0 {
		t.row(header...)
	}
	return t
}

// row adds a line. An empty cell is shown as "-", a space as nothing.
func (t *table) row(cells ...string) {
	for i, c := range cells {
		if c == "" {
			c = "-"
		}
		cells[i] = text.Plain(c, 300)
	}
	for len(cells) > 0 && cells[len(cells)-1] == "" {
		cells = cells[:len(cells)-1]
	}
	t.rows = append(t.rows, cells)
}

// flush prints the rows. The last cell of a row makes no column wider.
func (t *table) flush() {
	var widths []int
	for _, row := range t.rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if i < len(row)-1 {
				widths[i] = max(widths[i], utf8.RuneCountInString(c))
			}
		}
	}
	for _, row := range t.rows {
		var line strings.Builder
		line.WriteString(t.indent)
		for i, c := range row {
			line.WriteString(c)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+2))
			}
		}
		fmt.Fprintln(t.w, line.String())
	}
	t.rows = nil
}

// printJSON writes v as people and jq like it.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// when prints a moment for a listing: relative, or exact with --utc.
func (c *cli) when(t, now time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case c.utc:
		return t.UTC().Format(time.RFC3339)
	case t.After(now) && t.Sub(now) < time.Second:
		return "now"
	case t.After(now):
		return "in " + text.Age(t.Sub(now))
	case now.Sub(t) < 24*time.Hour && t.Local().Day() == now.Local().Day():
		return "today " + t.Local().Format("15:04")
	case now.Sub(t) < 300*24*time.Hour:
		return t.Local().Format("Jan 02 15:04")
	}
	return t.Local().Format(time.DateOnly)
}

// clock is a time of day, or a date when it is not today.
func (c *cli) clock(t time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case c.utc:
		return t.UTC().Format(time.RFC3339)
	case t.Local().YearDay() == time.Now().YearDay() && time.Since(t).Abs() < 24*time.Hour:
		return t.Local().Format(time.TimeOnly)
	}
	return t.Local().Format("Jan 02 15:04")
}

// ago is how long something is past, or with --utc when it was.
func (c *cli) ago(t, now time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case c.utc:
		return t.UTC().Format(time.RFC3339)
	}
	return text.Compact(now.Sub(t)) + " ago"
}

// lasting says since when something holds.
func (c *cli) lasting(since, now time.Time) string {
	if c.utc {
		return "since " + since.UTC().Format(time.RFC3339)
	}
	return "for " + text.Compact(now.Sub(since))
}

// useColour is true only where colour reaches a terminal and NO_COLOR is not
// set (https://no-color.org: any value but an empty one).
func useColour(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(w)
}

// isTerminal tells whether a stream is a person's.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// paint colours a word that is not a table cell.
func (c *cli) paint(code, s string) string {
	if !useColour(c.out) {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

// joinedKeys lists the keys of a map in order.
func joinedKeys[V any](m map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}
