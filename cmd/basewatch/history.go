package main

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"basewatch/internal/text"
	"basewatch/internal/web"
	"basewatch/watcher"
)

func (c *cli) historyCommand() *cobra.Command {
	var since sinceFlag
	var limit int
	cmd := &cobra.Command{
		Use:   "history REF",
		Short: "Shows what became of one image, newest first",
		Long: `Shows every change of an image with its number, and what was none: baseline (the
first sight), quiet (no wanted platform moved), flap (moved and came back before
it settled) and health (looks began to fail, or work again).`,
		Example: "  basewatch history python:3.13-slim --since 30d",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, a []string) error {
			if err := withinLimit(limit); err != nil {
				return err
			}
			return c.ask(cmd.Context(), reading, func(conn *connection) error {
				h, err := conn.History(cmd.Context(), web.HistoryQuery{Ref: a[0], Since: since.at, Limit: limit})
				if err != nil {
					return unwatched(err)
				}
				if c.output == "json" {
					return printJSON(c.out, h)
				}
				c.printHistory(h, since.at)
				return nil
			})
		},
	}
	cmd.Flags().Var(&since, "since", "only after this: 30d, 12h, 09:00 or 2026-01-31")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many lines, 1000 at most")
	return cmd
}

func (c *cli) printHistory(h *web.History, since time.Time) {
	now := time.Now()
	switch {
	case len(h.Lines) > 0:
	case !since.IsZero():
		fmt.Fprintf(c.out, "nothing happened to %s since %s; all of it: leave --since away\n", watcher.Short(h.Ref), c.when(since, now))
		return
	default:
		fmt.Fprintf(c.out, "no good look at %s yet; see: basewatch explain %s\n", watcher.Short(h.Ref), watcher.Short(h.Ref))
		return
	}
	t := newTable(c.out, "SEQ", "SEEN", "INDEX", "CLASS", "WHAT", "TOLD")
	for _, l := range h.Lines {
		t.row(c.historyRow(l, now)...)
	}
	t.flush()
	if h.More {
		fmt.Fprintln(c.out, "older lines are left out; see --limit and --since")
	}
}

func (c *cli) historyRow(l web.HistoryLine, now time.Time) []string {
	seq, toldOf := "-", "-"
	switch l.Kind {
	case watcher.NoteBaseline:
		seq = "0"
	case watcher.NoteChanged:
		seq, toldOf = strconv.FormatUint(l.Seq, 10), fmt.Sprintf("%d/%d", l.Told, l.Planned)
	default:
	}
	return []string{seq, c.when(l.At, now), short(l.Index), string(l.Kind), whatHappened(l), toldOf}
}

// whatHappened is a history line in words.
func whatHappened(l web.HistoryLine) string {
	e := l.Event
	if e == nil || l.Kind != watcher.NoteChanged {
		return l.Text
	}
	var parts []string
	if v := versions(e); v != "" {
		parts = append(parts, v)
	}
	if len(e.Platforms) > 0 {
		parts = append(parts, strings.Join(e.Platforms, ", "))
	}
	if e.Old != nil {
		parts = append(parts, "was "+short(e.Old.Index))
	}
	if e.Partial {
		parts = append(parts, "partial, still to come: "+strings.Join(e.Awaiting, ", "))
	}
	if e.Rollback {
		parts = append(parts, "rolled back to what was told before")
	}
	return strings.Join(parts, "; ")
}

// versions says how the image's own version moved, where its annotations name
// one.
func versions(e *watcher.Event) string {
	if e.New == nil {
		return ""
	}
	now := versionOf(e.New)
	switch {
	case e.Old == nil || now == "":
		return now
	case versionOf(e.Old) == now:
		return "still " + now
	case versionOf(e.Old) == "":
		return "now " + now
	}
	return versionOf(e.Old) + " → " + now
}

// sinceFlag is a moment in the past: an age (30d), a time of today (09:00), a
// date, or RFC 3339.
type sinceFlag struct{ at time.Time }

// String is the moment, empty when none was given.
func (s *sinceFlag) String() string {
	if s.at.IsZero() {
		return ""
	}
	return s.at.Format(time.RFC3339)
}

// Type names the flag's value in --help.
func (s *sinceFlag) Type() string { return "time" }

// Set reads what the user wrote.
func (s *sinceFlag) Set(v string) error {
	now := time.Now()
	var d Duration
	if err := d.UnmarshalText([]byte(v)); err == nil {
		s.at = now.Add(-time.Duration(d))
		return nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, v, time.Local); err == nil {
			s.at = t
			return nil
		}
	}
	if t, err := time.ParseInLocation("15:04", v, time.Local); err == nil {
		y, m, day := now.Date()
		s.at = time.Date(y, m, day, t.Hour(), t.Minute(), 0, 0, time.Local)
		return nil
	}
	return fmt.Errorf("%q is no time; write 30d, 12h, 09:00 or 2026-01-31", text.Plain(v, 40))
}

func sortedLabels(labels map[string][]string) string {
	var parts []string
	for k, vs := range labels {
		for _, v := range vs {
			parts = append(parts, k+"="+v)
		}
	}
	sort.Strings(parts)
	return strings.Join(parts, " ")
}
