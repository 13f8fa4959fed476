package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"basewatch/internal/text"
	"basewatch/internal/web"
	"basewatch/watcher"
)

func (c *cli) statusCommand() *cobra.Command {
	var problems, images, ready, exitCode bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Shows how images, receivers and registries are",
		Long: `Shows how images, receivers and registries are, and what somebody should look
at. Without a daemon it is read from the store: then it is as old as that.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if problems && images || problems && ready || images && ready {
				return usageError(errors.New("status: choose one of --problems, --images and --ready"))
			}
			if ready {
				return c.ask(ctx, daemonOnly, func(conn *connection) error { return c.ready(ctx, conn) })
			}
			if images {
				return c.ask(ctx, reading, func(conn *connection) error { return c.images(ctx, conn) })
			}
			return c.ask(ctx, reading, func(conn *connection) error { return c.status(ctx, conn, problems, exitCode) })
		},
	}
	cmd.Flags().BoolVar(&problems, "problems", false, "only what somebody should look at")
	cmd.Flags().BoolVar(&images, "images", false, "list the images instead")
	cmd.Flags().BoolVar(&ready, "ready", false, "say only whether the daemon can do its work; exit 1 when not")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit 10 when there are problems")
	return cmd
}

// ready is the container's health check.
func (c *cli) ready(ctx context.Context, conn *connection) error {
	r, err := conn.Ready(ctx)
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

// images lists what is watched, page by page.
func (c *cli) images(ctx context.Context, conn *connection) error {
	all := []web.Target{}
	for after := ""; ; {
		list, err := conn.Targets(ctx, web.TargetsQuery{After: after})
		if err != nil {
			return err
		}
		all = append(all, list.Targets...)
		if after = list.Next; after == "" {
			break
		}
	}
	if c.output == "json" {
		return printJSON(c.out, all)
	}
	if len(all) == 0 {
		fmt.Fprintln(c.out, "no images yet: name some under [[watch]] in the configuration, then: basewatch reload")
		return nil
	}
	t, now := newTable(c.out, "IMAGE", "STANDING", "SEQ", "INDEX", "FIRST SEEN", "GOOD LOOK", "PLATFORMS"), time.Now()
	for _, i := range all {
		seq := strconv.FormatUint(i.Seq, 10)
		if i.Index == "" {
			seq = ""
		}
		last := joinedKeys(i.Platforms)
		if f := i.Family; f != nil && f.Matching > 0 {
			last += "; " + foundTags(f.Matching, f.Newest)
		}
		t.row(i.Short, string(i.Standing), seq, short(i.Index), c.when(i.FirstSeen, now), c.ago(i.LastGood, now), last)
	}
	t.flush()
	return nil
}

func (c *cli) status(ctx context.Context, conn *connection, problemsOnly, exitCode bool) error {
	st, err := conn.Status(ctx)
	if err != nil {
		return err
	}
	if err := c.showStatus(st, problemsOnly); err != nil {
		return err
	}
	if exitCode && len(st.Problems) > 0 {
		return &codeError{code: exitMoved}
	}
	return nil
}

func (c *cli) showStatus(st *web.Status, problemsOnly bool) error {
	switch {
	case c.output == "json" && problemsOnly:
		return printJSON(c.out, st.Problems)
	case c.output == "json":
		return printJSON(c.out, st)
	case problemsOnly:
		c.printProblems(st, "")
		return nil
	}
	c.printHead(st)
	c.printImages(st)
	for n, r := range st.Receivers {
		fmt.Fprintf(c.out, "%-11s%s\n", heading(n, "receivers"), c.receiverLine(r, st.At))
	}
	for n, r := range st.Registries {
		fmt.Fprintf(c.out, "%-11s%s\n", heading(n, "registries"), c.registryLine(r, st))
	}
	if len(st.Problems) > 0 {
		fmt.Fprintln(c.out, c.paint(red, "problems"))
		c.printProblems(st, "  ")
	}
	return nil
}

func (c *cli) printHead(st *web.Status) {
	up := "up " + text.Compact(st.At.Sub(st.StartedAt))
	if st.Offline {
		up = c.paint(yellow, "no daemon runs; read from the store")
	}
	fmt.Fprintf(c.out, "%s  %s  config %s  store %s %s\n", text.Plain(st.Name, 100), up, cmp.Or(st.Config.Sum, "-"),
		relative(st.Store.Path), humanize.IBytes(uint64(max(0, st.Store.Bytes))))
	if r := st.Config.Refused; r != nil {
		fmt.Fprintf(c.out, "config     %s edit of %s: %s\n", c.paint(red, "REFUSED"), c.clock(r.At), text.Plain(r.Why, 300))
	}
}

func (c *cli) printImages(st *web.Status) {
	i := st.Images
	line := fmt.Sprintf("%d fresh", i.Fresh)
	for _, p := range []struct {
		n    int
		word string
	}{{i.Settling, "settling"}, {i.Failing, "failing"}, {i.Gone, "gone"}, {i.Late, "late"}, {i.Unseen, "not looked at yet"}, {i.Asleep, "no longer watched"}} {
		if p.n > 0 {
			line += fmt.Sprintf(" · %d %s", p.n, p.word)
		}
	}
	if !i.OldestLook.IsZero() {
		line += "   oldest look " + c.ago(i.OldestLook, st.At)
	}
	fmt.Fprintf(c.out, "images     %s   changes today %d\n", line, i.ChangesToday)
}

// heading stands before the first line of a group.
func heading(n int, s string) string {
	if n > 0 {
		return ""
	}
	return s
}

func (c *cli) receiverLine(r web.StatusReceiver, now time.Time) string {
	name := text.Plain(r.Lane, 80)
	waiting := ""
	if r.Waiting > 0 {
		waiting = fmt.Sprintf(", %d waiting", r.Waiting)
	}
	if r.Held > 0 {
		waiting += fmt.Sprintf(" (%d held)", r.Held)
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

func (c *cli) registryLine(r web.StatusRegistry, st *web.Status) string {
	line := fmt.Sprintf("%s %s", text.Plain(r.Host, 100), noun(r.Targets, "image"))
	if r.Stretch > 1 {
		line += fmt.Sprintf(", interval stretched ×%.1f to keep %.0f a minute", r.Stretch, r.Ceiling)
	}
	if r.Limit > 0 {
		line += fmt.Sprintf(", budget %d/%d", r.Remaining, r.Limit)
	}
	switch {
	case r.PausedUntil.After(st.At):
		return line + ", paused until " + c.clock(r.PausedUntil) + ": " + text.Plain(r.Why, 120)
	case st.Offline, r.NextLook.IsZero():
		return line
	case !r.NextLook.After(st.At):
		return line + ", next look now"
	}
	return line + ", next look " + c.when(r.NextLook, st.At)
}

func (c *cli) printProblems(st *web.Status, indent string) {
	if len(st.Problems) == 0 {
		fmt.Fprintln(c.out, c.paint(green, "no problems"))
		return
	}
	t := newTable(c.out)
	t.indent = indent
	for _, p := range st.Problems {
		t.row(p.What, c.troubleText(p, st.At), cmp.Or(p.Explain, " "))
	}
	t.flush()
	if st.MoreProblems > 0 {
		fmt.Fprintf(c.out, "%sand %d more; all images: basewatch status --images\n", indent, st.MoreProblems)
	}
}

// maxTrouble is how much of a problem's text status shows where another command
// has the rest.
const maxTrouble = 100

func (c *cli) troubleText(p web.Trouble, now time.Time) string {
	s := p.Text
	if ref, err := watcher.Canonical(p.What); err == nil && p.Kind == "image" {
		s = strings.Replace(s, ref+": ", "", 1)
	}
	if p.Explain != "" {
		s = text.Plain(s, maxTrouble)
	}
	if !p.Since.IsZero() {
		s += " " + c.lasting(p.Since, now)
	}
	if p.Looks > 0 {
		s += ", " + noun(p.Looks, "look")
	}
	if p.Told {
		s += ", told"
	}
	return s
}
