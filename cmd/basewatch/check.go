package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"basewatch/internal/web"
	"basewatch/watcher"
)

func (c *cli) checkCommand() *cobra.Command {
	var exitCode bool
	var platforms []string
	cmd := &cobra.Command{
		Use:   "check [REF|FILE…]",
		Short: "Looks at images now",
		Long: `Looks at images now, or at those that files build FROM. What a running daemon
watches it looks at itself, and records what it sees; all else is looked at from
here and nothing is written. Without arguments: everything that is watched.

Needs neither a configuration nor a daemon.`,
		Example: "  basewatch check alpine python:3.13-slim\n  basewatch check Dockerfile --exit-code",
		RunE: func(cmd *cobra.Command, a []string) error {
			return c.check(cmd.Context(), a, platforms, exitCode)
		},
	}
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit 10 when something moved or a pin is behind")
	cmd.Flags().StringSliceVar(&platforms, "platform", nil, "platforms to look for (default: as configured, else linux/amd64)")
	return cmd
}

// question is one image to look at, and where somebody pinned it.
type question struct {
	asked string
	ref   string // canonical
	pin   string // digest, or empty
	where string // FILE:LINE of the pin
	// answer stands in for a look where none is possible; then ref is empty.
	answer *finding
}

// finding is the answer: what a row of the table shows.
type finding struct {
	Image    string    `json:"image"`
	Ref      string    `json:"ref"`
	Index    string    `json:"index,omitempty"`
	Platform string    `json:"platform,omitempty"`
	Created  time.Time `json:"created,omitzero"`
	Version  string    `json:"version,omitempty"`
	Note     string    `json:"note,omitempty"`
	Error    string    `json:"error,omitempty"`
	// Behind: a pin names another digest than the tag has now. Moved: it is not
	// what the daemon saw before. Recorded: the daemon looked.
	Behind   bool `json:"behind,omitempty"`
	Moved    bool `json:"moved,omitempty"`
	Recorded bool `json:"recorded,omitempty"`
	// Problem is the class of Error.
	Problem watcher.Problem `json:"problem,omitempty"`
}

func (c *cli) check(ctx context.Context, asked, platforms []string, exitCode bool) error {
	cfg, err := loadClientConfig(loadOptions{File: c.configPath, Optional: true})
	var wrong *configError
	if err != nil && (cfg == nil || !errors.As(err, &wrong) || !wrong.only("http", "notify", "route")) {
		return err // else only what a look does not need
	}
	qs, err := questions(cfg, asked)
	if err != nil {
		return usageError(err)
	}
	if len(qs) == 0 {
		return usageError(errors.New("nothing to look at: name images or files, or configure a [[watch]]"))
	}
	qs, told := answered(qs)
	look, err := newLooker(cfg, platforms)
	if err != nil {
		return err
	}
	defer look.close()
	found := make([]finding, len(qs))
	rest := c.checkByDaemon(ctx, qs, found, len(platforms) == 0 && len(qs) > 0)
	if err := look.all(ctx, qs, rest, found); err != nil {
		return err
	}
	for i, q := range qs {
		found[i].comparePin(q)
		if found[i].Recorded && found[i].Problem == watcher.NotFound {
			found[i].Error += look.near(ctx, q.ref)
		}
	}
	found = slices.Concat(found, told)
	if err := c.showFindings(found, look.summary()); err != nil {
		return err
	}
	return verdict(found, exitCode)
}

// questions reads what was asked for: images, images with a digest, or files.
func questions(cfg *Config, asked []string) ([]question, error) {
	var qs []question
	if len(asked) == 0 {
		for _, t := range cfg.Targets {
			qs = append(qs, question{asked: watcher.Short(t.Ref), ref: t.Ref})
		}
		return qs, nil
	}
	for _, a := range asked {
		if isFile(a) {
			more, err := questionsOfFile(cfg, a)
			if err != nil {
				return nil, err
			}
			qs = append(qs, more...)
			continue
		}
		q, err := newQuestion(cfg, a)
		if err != nil {
			return nil, err
		}
		qs = append(qs, q)
	}
	return qs, nil
}

func newQuestion(cfg *Config, s string) (question, error) {
	image, pin, _ := strings.Cut(s, "@")
	ref, err := cfg.Aliases.Canonical(image)
	return question{asked: s, ref: ref, pin: pin}, err
}

// checkByDaemon lets a running daemon look at what it watches, and gives the
// questions that are left.
func (c *cli) checkByDaemon(ctx context.Context, qs []question, found []finding, wanted bool) (rest []int) {
	for i := range qs {
		rest = append(rest, i)
	}
	if !wanted {
		return rest
	}
	conn, err := c.connect(ctx, daemonOnly)
	if err != nil {
		return rest
	}
	defer conn.close()
	rest = rest[:0]
	refs := make([]string, len(qs))
	for i, q := range qs {
		refs[i] = q.ref
	}
	seen := map[string]web.Checked{}
	ask := func(refs ...string) bool {
		list, err := conn.Check(ctx, refs...)
		if err != nil {
			return false
		}
		for _, r := range list.Results {
			seen[r.Ref] = r
		}
		return true
	}
	if !ask(refs...) {
		// One that is not watched makes the daemon refuse all of them.
		for _, ref := range refs {
			ask(ref)
		}
	}
	for i, ref := range refs {
		r, ok := seen[ref]
		if !ok {
			rest = append(rest, i)
			continue
		}
		found[i] = recorded(r)
	}
	return rest
}

func recorded(r web.Checked) finding {
	f := finding{
		Image: r.Target.Short, Ref: r.Ref, Moved: r.Moved, Recorded: true,
		Error: about(r.Ref, r.Reason), Problem: r.Problem,
	}
	if r.Reason == "" {
		f.Index, f.Platform = r.Target.Seen, joinedKeys(r.Target.Platforms)
	}
	if family := r.Target.Family; family != nil && r.Reason == "" {
		f.Note = foundTags(family.Matching, family.Newest)
		return f
	}
	if r.Snapshot != nil {
		f.Created, f.Version = createdAt(r.Snapshot), versionOf(r.Snapshot)
	}
	for _, e := range r.Events {
		if e.Kind == watcher.Changed {
			f.Note = "changed: " + e.Handle()
		}
	}
	if f.Moved && f.Note == "" {
		f.Note = "moved"
	}
	return f
}

func (f *finding) comparePin(q question) {
	if f.Image == "" {
		f.Image, f.Ref = watcher.Short(q.ref), q.ref
	}
	if q.pin == "" || f.Index == "" {
		return
	}
	pins := strings.TrimSpace(q.where + " pins")
	if f.Behind = q.pin != f.Index; f.Behind {
		f.Note = fmt.Sprintf("%s %s: BEHIND", pins, watcher.Digest12(q.pin))
	} else {
		f.Note = pins + " just that"
	}
}

func (c *cli) showFindings(found []finding, summary string) error {
	if c.output == "json" {
		return printJSON(c.out, found)
	}
	t, now := newTable(c.out, "IMAGE", "INDEX", "PLATFORM", "CREATED", "VERSION", "NOTE"), time.Now()
	ok, recorded := 0, 0
	for _, f := range found {
		t.row(f.Image, short(f.Index), f.Platform, c.ago(f.Created, now), f.Version, cmp.Or(f.Error, f.Note, " "))
		if f.Error == "" {
			ok++
		}
		if f.Recorded {
			recorded++
		}
	}
	t.flush()
	line := fmt.Sprintf("%d ok", ok)
	if n := len(found) - ok; n > 0 {
		line += fmt.Sprintf(", %d failed", n)
	}
	switch {
	case recorded == len(found):
		line += " · looked at and recorded by the daemon"
	case recorded > 0:
		line += fmt.Sprintf(" · %d looked at and recorded by the daemon", recorded)
	}
	fmt.Fprintln(c.out, line+summary)
	return nil
}

func verdict(found []finding, exitCode bool) error {
	moved := false
	for _, f := range found {
		if f.Error != "" {
			return &codeError{code: exitFailed}
		}
		moved = moved || f.Moved || f.Behind
	}
	if moved && exitCode {
		return &codeError{code: exitMoved}
	}
	return nil
}
