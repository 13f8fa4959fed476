package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"basewatch/internal/outbox"
	"basewatch/internal/text"
	"basewatch/internal/web"
)

func (c *cli) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain REF|REF@SEQ|DELIVERY",
		Short: "Says why you got a message, or got none",
		Example: `  basewatch explain nginx:alpine          how the image stands and who would be told
  basewatch explain python:3.13-slim@42   why and how that change was told
  basewatch explain 7Q2NK4                one delivery with every attempt`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, a []string) error {
			return c.ask(cmd.Context(), reading, func(conn *connection) error {
				x, err := conn.Explain(cmd.Context(), a[0])
				switch {
				case err != nil && web.IsDeliveryID(a[0]):
					return err
				case err != nil:
					return unwatched(err)
				}
				if c.output == "json" {
					return printJSON(c.out, x)
				}
				c.printExplanation(x)
				return nil
			})
		},
	}
}

func (c *cli) printExplanation(x *web.Explanation) {
	now := time.Now()
	if x.Target != nil {
		c.explainTarget(x.Target, now)
	}
	if x.Event != nil {
		c.explainEvent(x, now)
	}
	if len(x.Routes) > 0 {
		title := "routes     as configured now"
		if x.Event == nil {
			title = "routes     for its next change"
		}
		fmt.Fprintln(c.out, title)
		for _, d := range x.Routes {
			fmt.Fprintln(c.out, "  "+routeLine(d))
		}
	}
	if len(x.Deliveries) > 0 {
		fmt.Fprintln(c.out, "deliveries")
	}
	for _, d := range x.Deliveries {
		c.explainDelivery(d, now)
	}
	if len(x.Lines) > 0 {
		fmt.Fprintln(c.out, "history")
		t := newTable(c.out)
		t.indent = "  "
		for _, l := range x.Lines {
			t.row(c.historyRow(l, now)...)
		}
		t.flush()
	}
}

func (c *cli) explainTarget(t *web.Target, now time.Time) {
	standing := string(t.Standing)
	switch t.Standing {
	case web.Fresh:
		standing = c.paint(green, standing)
	case web.Failing, web.Gone:
		standing = c.paint(red, standing)
	default:
	}
	at := "no good look yet"
	if t.Index != "" {
		at = fmt.Sprintf("at @%d, %s, first seen %s", t.Seq, short(t.Index), c.when(t.FirstSeen, now))
	}
	fmt.Fprintf(c.out, "%s  %s  %s\n", text.Plain(t.Short, 200), standing, at)
	fmt.Fprintf(c.out, "looked     %s, every %s, for %s\n", c.looks(t, now), Duration(time.Duration(t.EverySeconds)*time.Second), joinedKeys(t.Platforms))
	if t.Problem != "" {
		fmt.Fprintf(c.out, "problem    %s since %s, %s: %s\n", t.Problem, c.when(t.FailingSince, now), noun(t.Failures, "look"), text.Plain(about(t.Ref, t.Reason), 500))
	}
	if t.Pending != nil {
		fmt.Fprintf(c.out, "settling   %s since %s: it moved and is told when it has stood still\n", short(t.Pending.Index), c.when(t.PendingSince, now))
	}
	if len(t.Awaiting) > 0 {
		fmt.Fprintf(c.out, "awaiting   %s, which had not moved when the change was told\n", text.Plain(strings.Join(t.Awaiting, ", "), 300))
	}
	if labels := sortedLabels(t.Labels); labels != "" {
		fmt.Fprintf(c.out, "labels     %s\n", text.Plain(labels, 300))
	}
}

// looks says when an image was looked at, last and well, and when it will be.
func (c *cli) looks(t *web.Target, now time.Time) string {
	s := "never"
	if !t.LastLook.IsZero() {
		s = c.ago(t.LastLook, now)
	}
	if !t.LastGood.Equal(t.LastLook) && !t.LastGood.IsZero() {
		s += ", well " + c.ago(t.LastGood, now)
	}
	switch {
	case t.Standing == web.Asleep:
		return s + ", no longer watched"
	case t.NextLook.After(now):
		return s + ", next " + c.when(t.NextLook, now)
	}
	return s + ", next now"
}

// about takes the image's name off the front of an error where the line has it
// already.
func about(ref, reason string) string { return strings.TrimPrefix(reason, ref+": ") }

func (c *cli) explainEvent(x *web.Explanation, now time.Time) {
	e, title := x.Event, "event      "
	if x.About == "target" {
		title = "last       "
	}
	fmt.Fprintf(c.out, "%s%s %s, %s", title, e.Kind, text.Plain(e.Handle(), 200), c.when(e.At, now))
	if e.New != nil {
		from := ""
		if e.Old != nil {
			from = short(e.Old.Index) + " → "
		}
		fmt.Fprintf(c.out, "  %s%s", from, short(e.New.Index))
	}
	fmt.Fprintln(c.out)
	if e.Reason != "" {
		fmt.Fprintf(c.out, "           %s\n", text.Plain(e.Reason, 500))
	}
}

// routeLine says in one line what a route makes of an event.
func routeLine(d outbox.Decision) string {
	if d.Route == "default" {
		d.Route = "default (no route is about it)"
	}
	var line string
	switch {
	case !d.Matched:
		line = d.Route + " skipped: " + d.Why
	case len(d.Lanes) == 0 && len(d.Already) == 0:
		line = d.Route + " matched, tells nobody"
	case len(d.Lanes) == 0:
		line = d.Route + " matched; " + strings.Join(d.Already, ", ") + " told by an earlier route"
	default:
		line = d.Route + " → " + strings.Join(d.Lanes, ", ")
	}
	if d.Stopped {
		line += "; stops here"
	}
	return text.Plain(line, 300)
}

// heldFor says what a held delivery waits for.
func heldFor(what string) string {
	switch what {
	case "wave":
		return ", for other changes of its repository"
	case "daily":
		return ", for the one message of the day"
	case "window":
		return ", when a window opens"
	}
	return ", or until the first pass over its registry ends"
}

func (c *cli) explainDelivery(d web.Delivery, now time.Time) {
	line := fmt.Sprintf("  %s  %s  %s", d.ID, text.Plain(d.Lane, 80), stateOf(d))
	switch {
	case d.State == outbox.Waiting && stateOf(d) == "held":
		line += " until " + c.when(d.HeldUntil, now) + heldFor(d.HeldFor)
	case d.State == outbox.Waiting:
		line += ", next try " + c.nextOf(d, now)
	case d.State == outbox.Superseded:
		line += ": named in the newer message " + d.By
	default:
		line += " " + c.when(d.SettledAt, now)
	}
	if d.Reason != "" {
		line += ": " + text.Plain(d.Reason, 300)
	}
	fmt.Fprintf(c.out, "%s (by %s, %s)\n", line, d.Route, noun(d.Attempts, "attempt"))
	for _, a := range d.Audit {
		line := fmt.Sprintf("      %s  %s in %d ms  %s", c.clock(a.At), a.Outcome, a.TookMS, text.Plain(a.Answer, 300))
		fmt.Fprintln(c.out, strings.TrimRight(line, " "))
	}
	if d.Link != "" {
		fmt.Fprintf(c.out, "      %s\n", text.Plain(d.Link, 300))
	}
}
