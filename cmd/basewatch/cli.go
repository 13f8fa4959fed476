package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes, the same for every command.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2  // usage or configuration
	exitUnreachable = 3  // the daemon does not answer
	exitMoved       = 10 // with --exit-code: something moved, is behind or dead
)

// codeError carries an exit code. An empty text prints nothing.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *codeError) Unwrap() error { return e.err }

func usageError(err error) error { return &codeError{exitUsage, err} }

func exitCode(err error) int {
	var ce *codeError
	if errors.As(err, &ce) {
		return ce.code
	}
	return exitFailed
}

type streams struct {
	in       io.Reader
	out, err io.Writer
}

// cli is what all commands share: streams and the flags that every one has.
type cli struct {
	streams
	configPath string
	url        string
	token      string
	output     string
	utc        bool
}

func newCLI(std streams) *cli { return &cli{streams: std} }

func (c *cli) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "basewatch",
		Short: "Watches base images and tells when one really changes",
		Long: `basewatch polls the digests of the images that you build FROM, records them,
and when one really changes tells Slack, webhooks or the log.

Start with: basewatch check alpine python:3.13-slim`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError(errors.New(err.Error() + "; see: " + cmd.CommandPath() + " --help"))
	})
	flags := root.PersistentFlags()
	flags.StringVarP(&c.configPath, "config", "c", "", "configuration file (default $BASEWATCH_CONFIG, ./basewatch.toml, /etc/basewatch/basewatch.toml)")
	flags.StringVar(&c.url, "url", os.Getenv("BASEWATCH_URL"), "the daemon's address, such as http://127.0.0.1:8080")
	flags.StringVar(&c.token, "token", "", "token for --url (default $BASEWATCH_TOKEN)")
	flags.StringVarP(&c.output, "output", "o", "table", "table or json")
	flags.BoolVar(&c.utc, "utc", false, "print exact times in UTC")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		return oneOf("output", c.output, "table", "json")
	}
	root.AddCommand(c.commands()...)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	strict(root)
	return root
}

// strict gives a command, and all below it, our words and our exit code for
// wrong arguments, and refuses what cobra answers with help: a subcommand or a
// help topic that does not exist.
func strict(cmd *cobra.Command) {
	switch {
	case cmd.Name() == "help":
		cmd.Args = func(cmd *cobra.Command, a []string) error { return known(cmd.Root(), a) }
	case cmd.HasSubCommands():
		cmd.Args = known
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	case cmd.Args != nil:
		cmd.Args = counted(cmd.Args)
	}
	for _, sub := range cmd.Commands() {
		strict(sub)
	}
}

// counted is one of cobra's checks of how many arguments there are.
func counted(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, a []string) error {
		switch err := check(cmd, a); {
		case err == nil:
			return nil
		case len(a) == 0:
			return usageError(fmt.Errorf("%s: an argument is missing; usage: %s", cmd.Name(), cmd.UseLine()))
		}
		return usageError(fmt.Errorf("%s: %q is one argument too many; usage: %s", cmd.Name(), a[len(a)-1], cmd.UseLine()))
	}
}

// known refuses a path of subcommands that does not lead to one.
func known(cmd *cobra.Command, path []string) error {
	for _, name := range path {
		i := slices.IndexFunc(cmd.Commands(), func(sub *cobra.Command) bool { return sub.Name() == name || sub.HasAlias(name) })
		if i < 0 {
			remedy := "see: " + cmd.CommandPath() + " --help"
			cmd.SuggestionsMinimumDistance = 2
			if near := cmd.SuggestionsFor(name); len(near) > 0 {
				remedy = "did you mean " + strings.Join(near, " or ") + "?"
			}
			return usageError(fmt.Errorf("%q is no command of %s; %s", name, cmd.CommandPath(), remedy))
		}
		cmd = cmd.Commands()[i]
	}
	return nil
}

// oneOf refuses a flag's value that is not listed; empty is none at all.
func oneOf(flag, value string, list ...string) error {
	if value == "" || slices.Contains(list, value) {
		return nil
	}
	return usageError(fmt.Errorf("--%s: %q is none of %s", flag, value, strings.Join(list, ", ")))
}

// maxLimit is the most that a listing shows at once.
const maxLimit = 1000

func withinLimit(n int) error {
	if n < 1 || n > maxLimit {
		return usageError(fmt.Errorf("--limit: %d is not between 1 and %d", n, maxLimit))
	}
	return nil
}
