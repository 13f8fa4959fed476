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

	"basewatch/watcher"
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
	useSwitchboard()
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
	found, err2 := a.lookAtMembers(ctx)
	results, err = append(results, found...), errors.Join(err, err2)
	for _, r := range results {
		if r.Err != nil {
			failed++
			a.story.failing(ctx, r.Ref, watcher.ProblemOf(r.Err), r.Err.Error())
		}
	}
	for host := range hosts {
		err = errors.Join(err, a.EndPass(ctx, host, true))
	}
	return failed, err
}

// lookAtMembers looks at what families found, also just now.
func (a *app) lookAtMembers(ctx context.Context) ([]watcher.CheckResult, error) {
	var refs []string
	err := a.store.Each(ctx, func(r watcher.Record) error {
		if r.Target.Member {
			refs = append(refs, r.Target.Ref)
		}
		return nil
	})
	if err != nil || len(refs) == 0 {
		return nil, err
	}
	return a.loop.Check(ctx, refs)
}

// drain waits until nothing is due any more, or the receivers had their time.
// What gathers in a wave is waited for; what a window or the day's message holds
// goes with a later run.
func (a *app) drain(ctx context.Context) error {
	limit := deliverFor
	for _, n := range a.cfg.Load().Notify {
		limit = max(limit, deliverFor+n.Pace.GroupWait)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	reach := time.Now().Add(limit - deliverFor/2)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		lanes, err := a.store.Lanes(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		waiting, healthy := 0, false
		for _, l := range lanes {
			n := l.Waiting - l.Held
			if n == 0 && l.NextDue.Before(reach) {
				n = l.Held
			}
			if l.Lane.ParkedSince.IsZero() {
				waiting += n
				healthy = healthy || n > 0 && !l.Lane.Failing()
			}
		}
		if err == nil && waiting == 0 {
			return nil
		}
		if err == nil && !healthy {
			return fmt.Errorf("%s not delivered, since receivers fail; the next run tries again", noun(waiting, "message"))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s not delivered within %s; the next run tries again", noun(waiting, "message"), deliverFor)
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
