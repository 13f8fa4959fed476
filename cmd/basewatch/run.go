package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"basewatch/internal/text"
)

func (c *cli) runCommand() *cobra.Command {
	var once bool
	var format, level string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Runs the daemon",
		Long: `Watches what the configuration names until it is told to stop. SIGTERM and
SIGINT stop it within ten seconds, SIGHUP makes it read its configuration again.
What people read goes to standard output, the log to standard error.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLogger(c.err, format, level)
			if err != nil {
				return usageError(err)
			}
			return c.run(cmd.Context(), log, once)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "look at everything once, deliver, and end; exit 1 when a look failed")
	cmd.Flags().StringVar(&format, "log-format", "text", "text or json")
	cmd.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func (c *cli) run(ctx context.Context, log *slog.Logger, once bool) error {
	load := loadOptions{File: c.configPath}
	cfg, err := loadConfig(load)
	if err != nil {
		return err
	}
	a, err := newApp(ctx, cfg, surroundings{load: load, log: log, out: c.out})
	if err != nil {
		return err
	}
	if err := a.listen(ctx, cfg); err != nil {
		return errors.Join(err, a.close())
	}
	a.story.head(a)
	if once {
		err = a.once(ctx)
	} else {
		stop := a.reloadOnHangup(ctx)
		err = a.run(ctx)
		stop()
	}
	return errors.Join(err, a.close())
}

// reloadOnHangup reloads at each SIGHUP until stop is called.
func (a *app) reloadOnHangup(ctx context.Context) (stop func()) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hup:
				_, _ = a.Reload(ctx) // told and logged there
			}
		}
	}()
	return func() { signal.Stop(hup); cancel(); <-done }
}

// deliverFor is how long a single run waits for receivers.
const deliverFor = time.Minute

// once looks at everything now and delivers what follows from it, and what
// waited before.
func (a *app) once(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- a.dispatcher.Run(ctx) }()
	failed, err := a.lookOnce(ctx)
	if err == nil {
		err = a.drain(ctx)
	}
	cancel()
	err = errors.Join(err, <-ended)
	if err == nil && failed > 0 {
		err = fmt.Errorf("%s failed; see: basewatch status --problems", noun(failed, "look"))
	}
	return err
}

func (a *app) lookOnce(ctx context.Context) (failed int, err error) {
	var refs []string
	hosts := map[string]bool{}
	for _, t := range a.cfg.Load().Targets {
		refs = append(refs, t.Ref)
		hosts[hostPart(t.Ref)] = true
	}
	results, err := a.loop.Check(ctx, refs)
	for _, r := range results {
		for _, e := range r.Events {
			a.happened(e)
		}
		if r.Err != nil {
			failed++
			fmt.Fprintf(a.out, "failed    %s\n", text.Plain(r.Err.Error(), 500))
		}
	}
	for host := range hosts {
		err = errors.Join(err, a.EndPass(ctx, host))
	}
	return failed, err
}

// drain waits until nothing is due any more, or the receivers had their time.
func (a *app) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, deliverFor)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		lanes, err := a.store.Lanes(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		waiting, healthy := 0, false
		for _, l := range lanes {
			if l.Lane.ParkedSince.IsZero() {
				waiting += l.Waiting
				healthy = healthy || l.Waiting > 0 && !l.Lane.Failing()
			}
		}
		if err == nil && waiting == 0 {
			return nil
		}
		if err == nil && !healthy {
			return fmt.Errorf("%d messages wait for receivers that fail; they go with the next run", waiting)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d messages still wait; they go with the next run", waiting)
		case <-tick.C:
		}
	}
}

func newLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	o := &slog.HandlerOptions{}
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level: %q is none of debug, info, warn, error", level)
	}
	o.Level = l
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, fmt.Errorf("--log-format: %q is neither text nor json", format)
}
