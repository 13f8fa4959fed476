// Command basewatch watches the base images that others build FROM and tells
// people and machines when one really changes.
//
// Run it with `basewatch run`; every other command asks the daemon that runs,
// or reads its store when none does.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // windows name time zones, and slim images have none
)

// version is set at build time by -ldflags "-X main.version=…".
var version = "0.1.0-dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends us at once
	code := execute(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}

// execute runs one command line and gives the exit code.
func execute(ctx context.Context, args []string, std streams) int {
	c := newCLI(std)
	root := c.rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	var wrong *configError
	switch msg := err.Error(); {
	case errors.As(err, &wrong):
		// One problem a line, each beginning with its place, as editors and
		// people look for it.
		fmt.Fprintf(std.err, "%s\n%s; nothing was taken\n", wrong.Error(), noun(len(wrong.problems), "error"))
	case msg != "":
		fmt.Fprintln(std.err, "basewatch: "+msg)
	}
	return exitCode(err)
}
