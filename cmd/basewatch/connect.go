package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/store/bolt"
	"basewatch/internal/web"
	"basewatch/watcher"
)

// access is what a command needs of the store when no daemon runs.
type access int

const (
	daemonOnly access = iota // only a running daemon can do it
	reading                  // the file may be read
	replaying                // the file may be written: replay and retry
)

// connection is a daemon to ask: the one that runs, or the store's file behind
// the same API when none does.
type connection struct {
	*web.Client
	// Live: a running daemon answers.
	Live  bool
	close func()
}

// connect finds the daemon: by --url when that is given, else by the socket
// beside its store, else by http.listen, else (as far as need allows) by
// opening the store's file, which works only while nobody holds it.
func (c *cli) connect(ctx context.Context, need access) (*connection, error) {
	if c.url != "" {
		u, err := url.Parse(c.url)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, usageError(fmt.Errorf("--url: %q is no address; write it like http://127.0.0.1:8080", c.url))
		}
		return c.overTCP(c.url), nil
	}
	cfg, err := loadClientConfig(loadOptions{File: c.configPath, Optional: true})
	if cfg == nil {
		return nil, err
	}
	if conn := c.live(ctx, cfg.HTTP); conn != nil {
		return conn, nil
	}
	if err != nil {
		return nil, err
	}
	if need == daemonOnly {
		return nil, noDaemon(cfg, "")
	}
	return openStore(ctx, cfg, need)
}

// live is the daemon that answers, nil when none does.
func (c *cli) live(ctx context.Context, h HTTPConfig) *connection {
	if conn := overSocket(ctx, h.Socket); conn != nil {
		return conn
	}
	return c.overListen(ctx, h)
}

// noDaemon says where a daemon was looked for, and what to do.
func noDaemon(cfg *Config, also string) error {
	remedy := "start one with: basewatch run"
	if cfg.File == "" {
		remedy = "there is no configuration file here either; name it with --config, or the daemon with --url"
	}
	return &codeError{exitUnreachable, fmt.Errorf("no daemon answers on %s%s; %s", addresses(cfg.HTTP), also, remedy)}
}

// addresses are where a daemon is looked for.
func addresses(h HTTPConfig) string {
	where := relative(h.Socket)
	if _, port, err := net.SplitHostPort(h.Listen); err == nil && port != "0" {
		where += " or " + h.Listen
	}
	return where
}

func overSocket(ctx context.Context, path string) *connection {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil
	}
	_ = conn.Close()
	h := web.OverSocket(path)
	return &connection{Client: web.NewClient("", h, ""), Live: true, close: h.CloseIdleConnections}
}

// overListen tries the configured address, for a daemon whose socket is out of
// reach (another user's, another container's).
func (c *cli) overListen(ctx context.Context, h HTTPConfig) *connection {
	host, port, err := net.SplitHostPort(h.Listen)
	if err != nil || port == "0" {
		return nil
	}
	if host == "" || net.ParseIP(host) != nil && net.ParseIP(host).IsUnspecified() {
		host = "127.0.0.1"
	}
	address := net.JoinHostPort(host, port)
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil
	}
	_ = conn.Close()
	if c.token == "" && os.Getenv("BASEWATCH_TOKEN") == "" && len(h.Tokens) > 0 {
		if token, err := h.Tokens[0].Value(); err == nil {
			c.token = token
		}
	}
	found := c.overTCP("http://" + address)
	if _, err := found.Ready(ctx); err != nil {
		found.close()
		return nil // something else listens there
	}
	return found
}

func (c *cli) overTCP(base string) *connection {
	token := c.token
	if token == "" {
		token = os.Getenv("BASEWATCH_TOKEN")
	}
	h := &http.Client{
		Timeout:       10 * time.Minute, // a check of everything may take that long
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &connection{Client: web.NewClient(base, h, token), Live: true, close: h.CloseIdleConnections}
}

// openStore serves the API from the file to this process alone.
func openStore(ctx context.Context, cfg *Config, need access) (*connection, error) {
	path := cfg.Store.Path
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, noDaemon(cfg, ", and there is no store at "+relative(path))
	}
	router, err := newRouter(cfg)
	if err != nil {
		return nil, usageError(err)
	}
	o := storeOptions(cfg, slog.New(slog.DiscardHandler))
	o.ReadOnly, o.Plan = need != replaying, router.Plan
	store, err := bolt.Open(ctx, o)
	if errors.Is(err, bolt.ErrLocked) {
		return nil, &codeError{exitUnreachable, fmt.Errorf("a process holds the store %s, but no daemon answers on %s; if it runs as another user, pass --url and --token", relative(path), addresses(cfg.HTTP))}
	}
	if err != nil {
		return nil, err
	}
	server, err := web.New(offline(cfg, store, router, need))
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	h := web.InProcess(server.SocketHandler())
	return &connection{Client: web.NewClient("", h, ""), close: func() { _ = store.Close() }}, nil
}

func offline(cfg *Config, store *bolt.Store, router *outbox.Router, need access) web.Config {
	c := web.Config{
		Name: cfg.Name, Version: version,
		InForce:   func() web.StatusConfig { return web.StatusConfig{File: cfg.File, Sum: cfg.Sum} },
		StorePath: cfg.Store.Path, Offline: true,
		Targets: store, Queue: store, Router: router,
		Canonical: cfg.Aliases.Canonical, Receivers: func() []web.Receiver { return listReceivers(cfg) },
		Logger: slog.New(slog.DiscardHandler),
	}
	if need == replaying {
		c.Mover = store
	}
	return c
}

func newRouter(cfg *Config) (*outbox.Router, error) {
	infos := make([]outbox.ReceiverInfo, len(cfg.Notify))
	for i, n := range cfg.Notify {
		infos[i] = n.Info
	}
	return outbox.NewRouter(cfg.Routes, infos)
}

func listReceivers(cfg *Config) []web.Receiver {
	var list []web.Receiver
	for _, n := range cfg.Notify {
		list = append(list, web.Receiver{Name: n.Name, Kind: n.Kind})
	}
	return list
}

// ask runs one question against the daemon and turns what went wrong into an
// exit code and a remedy.
func (c *cli) ask(ctx context.Context, need access, question func(*connection) error) error {
	conn, err := c.connect(ctx, need)
	if err != nil {
		return err
	}
	defer conn.close()
	err = question(conn)
	var p *web.Problem
	switch {
	case errors.Is(err, web.ErrUnreachable) && c.url != "":
		return &codeError{exitUnreachable, fmt.Errorf("%w; is --url (or $BASEWATCH_URL) right, and does a daemon run there?", err)}
	case errors.Is(err, web.ErrUnreachable):
		return &codeError{exitUnreachable, err}
	case !errors.As(err, &p):
		return err
	case p.Status == http.StatusBadRequest, p.Status == http.StatusUnprocessableEntity:
		return usageError(err)
	case p.Status == http.StatusServiceUnavailable && !conn.Live:
		return &codeError{exitUnreachable, err}
	}
	return err
}

// unwatched adds to "is not watched" where to see what is, unless something
// near was named.
func unwatched(err error) error {
	var p *web.Problem
	if errors.As(err, &p) && strings.HasSuffix(p.Detail, "is not watched") && len(p.Near) == 0 {
		return fmt.Errorf("%w; what is: basewatch status --images", err)
	}
	return err
}

// relative shortens a path below the working directory.
func relative(path string) string {
	dir, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
		return "./" + rel
	}
	return path
}

// noun is "1 image" or "3 images".
func noun(n int, one string) string { return nouns(n, one, one+"s") }

// nouns is noun for a plural of its own.
func nouns(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func short(digest string) string {
	if digest == "" {
		return "-"
	}
	return watcher.Digest12(digest)
}
