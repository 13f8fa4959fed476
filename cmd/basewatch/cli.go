package main

import (
	"errors"
	"io"
	"os"

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
		if c.output != "table" && c.output != "json" {
			return usageError(errors.New(`--output: "` + c.output + `" is neither table nor json`))
		}
		return nil
	}
	root.AddCommand(c.commands()...)
	return root
}

// exactly and its kin are cobra's argument checks with our exit code.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, a []string) error {
		if err := check(cmd, a); err != nil {
			return usageError(errors.New(err.Error() + "; usage: " + cmd.UseLine()))
		}
		return nil
	}
}
