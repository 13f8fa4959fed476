package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"basewatch/internal/store/bolt"
	"basewatch/internal/store/boltfile"
	"basewatch/internal/text"
)

// checkStoreName is the hidden command that a daemon runs of its own binary.
const checkStoreName = "check-store"

// checkStoreCommand reads a store's file to the end. Damage may end the process
// that finds it, so the daemon has it done by this one.
func (c *cli) checkStoreCommand() *cobra.Command {
	return &cobra.Command{
		Use:    checkStoreName + " FILE",
		Short:  "Reads a store's file to the end and says whether it is sound",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			found, err := bolt.Check(args[0])
			switch {
			case errors.Is(err, bolt.ErrLocked):
				return &codeError{exitUnreachable, err}
			case err != nil:
				return err
			}
			return json.NewEncoder(c.out).Encode(found)
		},
	}
}

const (
	// A disk that reads less than this in a second is broken.
	checkBytesPerSecond = 8 << 20
	checkAtLeast        = 30 * time.Second
	maxSaid             = 4 << 10 // bytes of what the check said
)

// checkStore has a file checked by a child process of this binary, within a
// time that its size allows. The error has the remedy.
func checkStore(ctx context.Context, path string) (found bolt.Soundness, err error) {
	limit := checkAtLeast
	if info, err := os.Stat(path); err == nil {
		limit += time.Duration(info.Size()/checkBytesPerSecond) * time.Second
	}
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	exe, err := os.Executable()
	if err != nil {
		return found, fmt.Errorf("check the store: %w", err)
	}
	var out, said bytes.Buffer
	cmd := exec.CommandContext(timed, exe, checkStoreName, path)
	cmd.Args[0] = os.Args[0]
	cmd.Env = []string{"GOTRACEBACK=none"} // it needs no secret, and nobody reads its stack
	cmd.Stdout, cmd.Stderr = &out, &limitedBuffer{buf: &said, left: maxSaid}
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return found, ctx.Err()
	case err == nil:
		return found, json.Unmarshal(out.Bytes(), &found)
	}
	return found, unsound(path, err, said.String(), timed.Err())
}

// unsound says what the end of a check means.
func unsound(path string, err error, said string, late error) error {
	said = strings.TrimPrefix(strings.TrimSpace(said), "basewatch: ")
	var exit *exec.ExitError
	switch {
	case !errors.As(err, &exit):
		return fmt.Errorf("check the store: %w", err)
	case late != nil:
		said = "reading it took too long"
	case exit.ExitCode() == exitUnreachable:
		return bolt.ErrLocked
	case exit.ExitCode() == exitFailed && said != "":
		// It found the damage itself and said all there is to say; Open adds the
		// path again.
		return errors.New(strings.TrimPrefix(text.Plain(said, maxSaid), "store "+path+": "))
	default:
		said = "reading it ended the process that did: " + firstLine(said, exit)
	}
	return fmt.Errorf("%w: %s; %s", boltfile.ErrDamaged, said, boltfile.RestoreHint(path))
}

func firstLine(said string, exit *exec.ExitError) string {
	line, _, _ := strings.Cut(said, "\n")
	if line == "" {
		line = exit.String()
	}
	return text.Plain(line, 200)
}

// storeOptions are what a configuration says of its store.
func storeOptions(cfg *Config, log *slog.Logger) bolt.Options {
	return bolt.Options{
		Path: cfg.Store.Path, MaxSize: cfg.Store.MaxSize, Network: cfg.Store.Network,
		Check: storeChecker(log), Logger: log,
	}
}

// storeChecker is [checkStore] as the store asks for it. Damaged values are no
// reason not to start: each harms only itself.
func storeChecker(log *slog.Logger) func(context.Context, string) error {
	return func(ctx context.Context, path string) error {
		began := time.Now()
		found, err := checkStore(ctx, path)
		if err != nil {
			return err
		}
		if found.Damaged > 0 {
			log.Error("the store has damaged values; they are not used", "path", path, "damaged", found.Damaged, "values", found.Values, "first", found.First)
			return nil
		}
		log.Debug("the store was not closed in order, and is sound", "path", path, "values", found.Values, "took", time.Since(began))
		return nil
	}
}

// limitedBuffer keeps the beginning of what is written to it.
type limitedBuffer struct {
	buf  *bytes.Buffer
	left int
}

func (l *limitedBuffer) Write(p []byte) (int, error) {
	keep := min(len(p), l.left)
	l.left -= keep
	l.buf.Write(p[:keep])
	return len(p), nil
}
