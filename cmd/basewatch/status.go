package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"basewatch/internal/text"
	"basewatch/internal/web"
)

func (c *cli) statusCommand() *cobra.Command {
	var problems, ready, exitCode bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Shows how images, receivers and registries are",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if ready {
				return c.ask(cmd.Context(), daemonOnly, func(conn *connection) error { return c.ready(cmd, conn) })
			}
			return c.ask(cmd.Context(), reading, func(conn *connection) error {
				st, err := conn.Status(cmd.Context())
				if err != nil {
					return err
				}
				if err := c.showStatus(st, problems); err != nil {
					return err
				}
				if exitCode && len(st.Problems) > 0 {
					return &codeError{code: exitMoved}
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&problems, "problems", false, "only what somebody should look at")
	cmd.Flags().BoolVar(&ready, "ready", false, "say only whether the daemon can do its work; exit 1 when not")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit 10 when there are problems")
	return cmd
}

// ready is the container's health check.
func (c *cli) ready(cmd *cobra.Command, conn *connection) error {
	r, err := conn.Ready(cmd.Context())
	if err != nil {
		return err
	}
	if c.output == "json" {
		if err := printJSON(c.out, r); err != nil {
			return err
		}
	}
	if r.Ready {
		if c.output == "table" {
			fmt.Fprintln(c.out, "ready")
		}
		return nil
	}
	var why []string
	for _, check := range r.Checks {
		if !check.OK {
			why = append(why, check.Name+": "+check.Why)
		}
	}
	return errors.New("not ready: " + strings.Join(why, "; "))
}

func (c *cli) showStatus(st *web.Status, problemsOnly bool) error {
	if c.output == "json" {
		if problemsOnly {
			return printJSON(c.out, st.Problems)
		}
		return printJSON(c.out, st)
	}
	if !problemsOnly {
		c.printStatus(st)
	}
	c.printProblems(st, problemsOnly)
	return nil
}

func (c *cli) printStatus(st *web.Status) {
	up := "up " + text.Age(st.At.Sub(st.StartedAt))
	if st.Offline {
		up = c.paint(yellow, "no daemon runs; read from the store")
	}
	fmt.Fprintf(c.out, "%s  %s  config %s  store %s %s\n", text.Plain(st.Name, 100), up, cmp.Or(st.Config.Sum, "-"),
		relative(st.Store.Path), humanize.IBytes(uint64(max(0, st.Store.Bytes))))
	if r := st.Config.Refused; r != nil {
		fmt.Fprintf(c.out, "config     %s edit of %s: %s\n", c.paint(red, "REFUSED"), c.clock(r.At), text.Plain(r.Why, 300))
	}
	i := st.Images
	parts := []string{fmt.Sprintf("%d fresh", i.Fresh)}
	for _, p := range []struct {
		n    int
		word string
	}{{i.Settling, "settling"}, {i.Failing, "failing"}, {i.Gone, "gone"}, {i.Late, "late"}, {i.Unseen, "not looked at yet"}, {i.Asleep, "no longer watched"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	oldest := ""
	if !i.OldestLook.IsZero() {
		oldest = "   oldest look " + c.ago(i.OldestLook, st.At)
	}
	fmt.Fprintf(c.out, "images     %s%s   changes today %d\n", strings.Join(parts, " · "), oldest, i.ChangesToday)
	for n, r := range st.Receivers {
		fmt.Fprintf(c.out, "%-10s %s\n", heading(n, "receivers"), c.receiverLine(r, st.At))
	}
	for n, r := range st.Registries {
		fmt.Fprintf(c.out, "%-10s %s\n", heading(n, "registries"), c.registryLine(r, st.At))
	}
}

// heading stands before the first line of a group.
func heading(n int, s string) string {
	if n > 0 {
		return ""
	}
	return s
}

func (c *cli) ago(t, now time.Time) string {
	if c.utc {
		return t.UTC().Format(time.RFC3339)
	}
	return text.Age(now.Sub(t))
}

func (c *cli) receiverLine(r web.StatusReceiver, now time.Time) string {
	name := text.Plain(r.Lane, 80)
	waiting := ""
	if r.Waiting > 0 {
		waiting = fmt.Sprintf(", %d waiting", r.Waiting)
	}
	switch r.State {
	case "failing":
		return fmt.Sprintf("%s %s since %s (%s)%s, next try %s", name, c.paint(red, "FAILING"), c.clock(r.Since), text.Plain(r.Why, 120), waiting, c.clock(r.NextTry))
	case "parked":
		return fmt.Sprintf("%s %s since %s (%s)%s", name, c.paint(yellow, "PARKED"), c.clock(r.Since), text.Plain(r.Why, 120), waiting)
	}
	if r.Waiting > 0 && r.NextTry.After(now) {
		waiting += ", next " + c.clock(r.NextTry)
	}
	return name + " ok" + waiting
}

func (c *cli) registryLine(r web.StatusRegistry, now time.Time) string {
	line := fmt.Sprintf("%s %s", text.Plain(r.Host, 100), noun(r.Targets, "image"))
	if r.Stretch > 1 {
		line += fmt.Sprintf(", interval stretched ×%.1f to keep %.0f a minute", r.Stretch, r.Ceiling)
	}
	if r.Limit > 0 {
		line += fmt.Sprintf(", budget %d/%d", r.Remaining, r.Limit)
	}
	if r.PausedUntil.After(now) {
		line += ", paused until " + c.clock(r.PausedUntil) + ": " + text.Plain(r.Why, 120)
	} else if !r.NextLook.IsZero() {
		line += ", next look " + c.clock(r.NextLook)
	}
	return line
}

// clock is a time of day, or a date when it is not today.
func (c *cli) clock(t time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case c.utc:
		return t.UTC().Format(time.RFC3339)
	case t.Local().YearDay() == time.Now().YearDay() && time.Since(t).Abs() < 24*time.Hour:
		return t.Local().Format("15:04:05")
	}
	return t.Local().Format("Jan 02 15:04")
}

func (c *cli) printProblems(st *web.Status, alone bool) {
	if len(st.Problems) == 0 {
		if alone {
			fmt.Fprintln(c.out, c.paint(green, "no problems"))
		}
		return
	}
	if !alone {
		fmt.Fprintln(c.out, c.paint(red, "problems"))
	}
	t := newTable(c.out)
	for _, p := range st.Problems {
		t.row("  "+p.What, troubleText(c, p, st.At), p.Explain)
	}
	t.flush()
	if st.MoreProblems > 0 {
		fmt.Fprintf(c.out, "  and %d more\n", st.MoreProblems)
	}
}

func troubleText(c *cli, p web.Trouble, now time.Time) string {
	s := p.Text
	if !p.Since.IsZero() {
		s += " for " + c.ago(p.Since, now)
	}
	if p.Looks > 0 {
		s += ", " + noun(p.Looks, "look")
	}
	if p.Told {
		s += ", told"
	}
	return s
}
