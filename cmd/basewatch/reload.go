package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"basewatch/internal/outbox"
	"basewatch/internal/web"
	"basewatch/watcher"
)

func (c *cli) reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Makes the daemon read its configuration again",
		Long: `Makes the daemon read its configuration again. One that is wrong is refused as
a whole, and the old one stays in force. Messages that wait go as they were
planned; those of a receiver that is gone are parked.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.ask(cmd.Context(), daemonOnly, func(conn *connection) error {
				r, err := conn.Reload(cmd.Context())
				var p *web.Problem
				if errors.As(err, &p) && p.Status == http.StatusUnprocessableEntity {
					// Each line begins with a place, as when run says it.
					fmt.Fprintf(c.err, "%s\nrefused; the daemon keeps its configuration\n", p.Detail)
					return &codeError{code: exitUsage}
				}
				if err != nil {
					return err
				}
				if c.output == "json" {
					return printJSON(c.out, r)
				}
				fmt.Fprintf(c.out, "config %s is in force\n", r.Sum)
				for _, n := range r.Restart {
					fmt.Fprintln(c.out, n+" changed and counts from the next start")
				}
				return nil
			})
		},
	}
}

// Reload implements web.Reloader: it puts the configuration in force that is in
// the files now, or leaves everything as it is and says why.
func (a *app) Reload(ctx context.Context) (web.Reloaded, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	cfg, err := loadConfig(a.load)
	if err == nil {
		err = a.swap(ctx, cfg)
	}
	if err != nil {
		a.refuse(ctx, err)
		return web.Reloaded{}, err
	}
	a.refused = nil
	r := web.Reloaded{File: cfg.File, Sum: cfg.Sum, Restart: needRestart(a.boot, cfg)}
	a.log.Info("configuration reloaded", "file", r.File, "sum", r.Sum, "restart_for", r.Restart)
	return r, nil
}

// swap builds everything that a reload replaces before it replaces any of it.
func (a *app) swap(ctx context.Context, cfg *Config) error {
	router, err := newRouter(cfg)
	if err != nil {
		return err
	}
	receivers, err := a.buildReceivers(cfg)
	if err != nil {
		return err
	}
	regs, err := a.newRegistries(cfg)
	if err != nil {
		return err
	}
	if err := a.store.Watch(ctx, source, cfg.Targets); err != nil {
		regs.Close()
		return err
	}
	a.cfg.Store(cfg)
	a.router.Store(router)
	a.registries.swap(regs)
	a.dispatcher.Reload(receivers)
	a.loop.Wake()
	return nil
}

// refuse records that an edited configuration was not taken, and tells it.
func (a *app) refuse(ctx context.Context, err error) {
	first, _, _ := strings.Cut(err.Error(), "\n")
	a.log.Error("configuration refused; the old one stays in force", "error", first)
	a.refused = &web.Refusal{At: time.Now(), Why: first}
	e := watcher.Event{Kind: watcher.ConfigRefused, Ref: "config", At: a.refused.At, Reason: first}
	e.Identify()
	if err := a.store.Outbox().Settle(ctx, outbox.Settlement{Born: []watcher.Event{e}}); err != nil {
		a.log.Error("config-refused could not be recorded", "error", err)
	}
}

// inForce is the configuration that counts now, and the edit that does not.
func (a *app) inForce() web.StatusConfig {
	a.mu.Lock()
	defer a.mu.Unlock()
	cfg := a.cfg.Load()
	return web.StatusConfig{File: cfg.File, Sum: cfg.Sum, Refused: a.refused}
}

// needRestart lists the settings that changed and only count at the next start.
func needRestart(old, now *Config) []string {
	var notes []string
	for _, s := range []struct {
		key     string
		differs bool
	}{
		{"name (in status and the API)", old.Name != now.Name},
		{"store.path", old.Store.Path != now.Store.Path},
		{"http.listen", old.HTTP.Listen != now.HTTP.Listen},
		{"http.socket", old.HTTP.Socket != now.HTTP.Socket},
		{"http.public_url (for the API's own checks)", old.HTTP.PublicURL != now.HTTP.PublicURL},
		{"poll.settle and settle_max", old.Poll.Settle != now.Poll.Settle || old.Poll.SettleMax != now.Poll.SettleMax},
	} {
		if s.differs {
			notes = append(notes, s.key)
		}
	}
	return notes
}
