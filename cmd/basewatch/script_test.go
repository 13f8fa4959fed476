package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"basewatch/internal/outbox"
	"basewatch/internal/standin"
	"basewatch/internal/web"
)

// TestMain lets this test binary be the basewatch command of the scripts: each
// line of a script that runs it is a process of its own. It is also the child
// process that the daemon of a test has its store checked by.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == checkStoreName {
		main()
	}
	useSwitchboard() // before any test may read what it sets
	testscript.Main(m, map[string]func(){"basewatch": main})
}

// TestScripts runs testdata/script/*.txtar, the specification of the command
// line. A script has a registry, a Slack and a webhook of its own, which run in
// this process; their commands are those of [scene.commands]. In its
// environment are REGISTRY (host and port; its certificate is trusted), SLACK
// and WEBHOOK (URLs). The daemon is started with
//
//	exec basewatch run &daemon&
//	wait-ready
//
// and what it said can be read after
//
//	kill -INT daemon
//	wait daemon
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUp,
		Cmds:                commands(),
	})
}

// scene is what a script's daemon talks to.
type scene struct {
	registry *standin.Registry
	slack    *standin.Slack
	webhook  *standin.Webhook
}

type sceneKey struct{}

func setUp(env *testscript.Env) error {
	s := &scene{standin.NewRegistry(standin.Behaviour{}), standin.NewSlack("xoxb-script"), standin.NewWebhook()}
	registry, slack, webhook := standin.ServeTLS(s.registry), standin.Serve(s.slack), standin.Serve(s.webhook)
	for _, server := range []*standin.Server{registry, slack, webhook} {
		env.Defer(server.Close)
	}
	env.Values[sceneKey{}] = s
	ca := filepath.Join(env.WorkDir, ".ca.pem")
	env.Setenv("SSL_CERT_FILE", ca)
	env.Setenv("REGISTRY", registry.Host)
	env.Setenv("SLACK", slack.URL)
	env.Setenv("WEBHOOK", webhook.URL)
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("TZ", "UTC")
	// With the race detector every process would wait a second at its end.
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	// Scripts run side by side, and perhaps beside somebody's daemon.
	env.Setenv("BASEWATCH_HTTP__LISTEN", "127.0.0.1:0")
	return os.WriteFile(ca, registry.CA.PEM(), 0o600)
}

// command is a command of a script; what it returns fails the script.
type command func(ts *testscript.TestScript, s *scene, args []string) error

func commands() map[string]func(*testscript.TestScript, bool, []string) {
	cmds := map[string]func(*testscript.TestScript, bool, []string){}
	for name, run := range map[string]command{
		"exits":           exits,
		"json":            isJSON,
		"expand":          expand,
		"free-port":       freePort,
		"first-word":      firstWord,
		"push":            push,
		"delete":          remove,
		"registry":        func(_ *testscript.TestScript, s *scene, args []string) error { return behave(&s.registry.Script, args) },
		"slack":           func(_ *testscript.TestScript, s *scene, args []string) error { return behave(&s.slack.Script, args) },
		"webhook":         func(_ *testscript.TestScript, s *scene, args []string) error { return behave(&s.webhook.Script, args) },
		"wait-ready":      waitReady,
		"wait-deliveries": waitDeliveries,
		"wait-posts":      waitPosts,
		"wait-output":     waitOutput,
	} {
		cmds[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			if neg {
				ts.Fatalf("%s cannot be negated", name)
			}
			s, ok := ts.Value(sceneKey{}).(*scene)
			if !ok {
				ts.Fatalf("no scene")
			}
			if err := run(ts, s, args); err != nil {
				ts.Fatalf("%s: %v", name, err)
			}
		}
	}
	return cmds
}

// exits CODE PROGRAM [ARG…] runs a program, which must end with the code.
func exits(ts *testscript.TestScript, _ *scene, args []string) error {
	want, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	err = ts.Exec(args[1], args[2:]...)
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended) && ended.ExitCode() == want, err == nil && want == 0:
		return nil
	case err == nil:
		return fmt.Errorf("exit 0, want %d", want)
	}
	return fmt.Errorf("%w, want exit %d", err, want)
}

// json: standard output of the last program is one JSON value.
func isJSON(ts *testscript.TestScript, _ *scene, _ []string) error {
	var v any
	return json.Unmarshal([]byte(ts.ReadFile("stdout")), &v)
}

// first-word NAME puts the first word of the second line of standard output, an
// ID in a table, into a variable.
func firstWord(ts *testscript.TestScript, _ *scene, args []string) error {
	lines := strings.Split(ts.ReadFile("stdout"), "\n")
	if len(lines) < 2 || len(strings.Fields(lines[1])) == 0 {
		return errors.New("there is no second line")
	}
	ts.Setenv(args[0], strings.Fields(lines[1])[0])
	return nil
}

// free-port NAME puts a port that nobody uses now into a variable.
func freePort(ts *testscript.TestScript, _ *scene, args []string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	ts.Setenv(args[0], port)
	return errors.Join(err, l.Close())
}

// expand FILE… puts the script's variables into files. What is no variable of
// the script stays.
func expand(ts *testscript.TestScript, _ *scene, files []string) error {
	for _, name := range files {
		text := os.Expand(ts.ReadFile(name), func(key string) string {
			if v := ts.Getenv(key); v != "" {
				return v
			}
			return "$" + key
		})
		if err := os.WriteFile(ts.MkAbs(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// push REPO:TAG SEED [KEY=VALUE…] pushes an image with three platforms, all of
// the seed. Keys: other (the seed of all but linux/amd64), attestations (theirs),
// version, created. NEW and NEW12 are its digest afterwards, OLD and OLD12 the
// one that the tag had.
func push(ts *testscript.TestScript, s *scene, args []string) error {
	repo, tag, ok := strings.Cut(args[0], ":")
	if !ok || len(args) < 2 {
		return errors.New("usage: push REPO:TAG SEED [KEY=VALUE…]")
	}
	other, img := args[1], standin.Image{Annotations: map[string]string{}}
	for _, set := range args[2:] {
		switch key, value, _ := strings.Cut(set, "="); key {
		case "other":
			other = value
		case "attestations":
			img.Attestations = value
		default:
			img.Annotations["org.opencontainers.image."+key] = value
		}
	}
	img.Platforms = map[string]string{"linux/amd64": args[1], "linux/arm64": other, "linux/s390x": other}
	old := s.registry.Digest(repo, tag)
	digest := s.registry.Push(repo, tag, img)
	ts.Setenv("OLD", old)
	ts.Setenv("OLD12", short(old))
	ts.Setenv("NEW", digest)
	ts.Setenv("NEW12", short(digest))
	return nil
}

// delete REPO:TAG takes a tag away.
func remove(_ *testscript.TestScript, s *scene, args []string) error {
	repo, tag, _ := strings.Cut(args[0], ":")
	s.registry.Delete(repo, tag)
	return nil
}

// registry|slack|webhook fail STATUS | heal.
func behave(s *standin.Script, args []string) error {
	switch args[0] {
	case "heal":
		s.Heal()
		return nil
	case "fail":
		status, err := strconv.Atoi(args[1])
		s.Always(standin.Answer{Status: status, Body: "out of order"})
		return err
	}
	return fmt.Errorf("%q is neither fail nor heal", args[0])
}

// patience is how long a script waits for what its daemon does by itself.
const patience = 20 * time.Second

// waitReady: the daemon in this directory answers and has looked at everything.
func waitReady(ts *testscript.TestScript, _ *scene, _ []string) error {
	return poll(ts, func(ctx context.Context, c *web.Client) (bool, any, error) {
		st, err := c.Status(ctx)
		return err == nil && st.Images.Unseen == 0, st, err
	})
}

// wait-deliveries STATE N [tried]: the daemon has N deliveries in a state; with
// tried, only those that were attempted count.
func waitDeliveries(ts *testscript.TestScript, _ *scene, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	return poll(ts, func(ctx context.Context, c *web.Client) (bool, any, error) {
		list, err := c.Deliveries(ctx, web.DeliveriesQuery{State: args[0]})
		if err != nil {
			return false, nil, err
		}
		got := 0
		for _, d := range list.Deliveries {
			if len(args) < 3 || d.Attempts > 0 || d.State != outbox.Waiting {
				got++
			}
		}
		return got >= n, list, nil
	})
}

// wait-posts N: the webhook has taken N messages.
func waitPosts(_ *testscript.TestScript, s *scene, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err = s.webhook.Wait(ctx, n)
	return err
}

// wait-output FILE TEXT: a file that a daemon writes has a text.
func waitOutput(ts *testscript.TestScript, _ *scene, args []string) error {
	return until(func(context.Context) (bool, any, error) {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		return strings.Contains(string(b), args[1]), string(b), err
	})
}

// poll asks the daemon of the script's directory until it answers what is
// waited for.
func poll(ts *testscript.TestScript, ask func(context.Context, *web.Client) (bool, any, error)) error {
	h := web.OverSocket(ts.MkAbs("basewatch.db.sock"))
	defer h.CloseIdleConnections()
	client := web.NewClient("", h, "")
	return until(func(ctx context.Context) (bool, any, error) { return ask(ctx, client) })
}

func until(ask func(context.Context) (ok bool, last any, err error)) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, last, err := ask(ctx)
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			answer, _ := json.MarshalIndent(last, "", "  ")
			return fmt.Errorf("not within %s: %w\n%s", patience, err, answer)
		case <-tick.C:
		}
	}
}
