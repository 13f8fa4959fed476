package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"basewatch/internal/text"
)

// table prints aligned columns. Cells are made harmless here: much of what
// they hold was written by strangers.
type table struct {
	w *tabwriter.Writer
}

func newTable(w io.Writer, header ...string) *table {
	t := &table{tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
	if len(header) > 0 {
		t.row(header...)
	}
	return t
}

func (t *table) row(cells ...string) {
	for i, c := range cells {
		if c == "" {
			c = "-"
		}
		cells[i] = text.Plain(c, 200)
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

func (t *table) flush() { _ = t.w.Flush() }

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
	case t.After(now):
		return "in " + text.Age(t.Sub(now))
	case now.Sub(t) < 24*time.Hour && t.Local().Day() == now.Local().Day():
		return "today " + t.Local().Format("15:04")
	case now.Sub(t) < 300*24*time.Hour:
		return t.Local().Format("Jan 02 15:04")
	}
	return t.Local().Format("2006-01-02")
}

// colour is used only where it reaches a terminal and NO_COLOR is not set
// (https://no-color.org: any value but an empty one).
func useColour(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
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
