package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"basewatch/internal/web"
)

// These tests run the built binary as a user does: a configuration file, a
// process, signals, commands. What it talks to are real servers.

// binary is built once for all tests of the package.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "basewatch-test")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "basewatch")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// daemon is a directory with a configuration, and the process that runs there.
type daemon struct {
	t    *testing.T
	dir  string
	env  []string
	cmd  *exec.Cmd
	out  *lockedBuffer
	exit chan error
}

// newDaemon writes the configuration; the store and the socket stand beside it.
func newDaemon(t *testing.T, config string) *daemon {
	t.Helper()
	d := &daemon{t: t, dir: t.TempDir(), out: &lockedBuffer{}}
	d.configure(config)
	return d
}

func (d *daemon) configure(config string) {
	d.t.Helper()
	config = "name = \"test\"\n[http]\nlisten = \"127.0.0.1:0\"\n" + config
	if err := os.WriteFile(filepath.Join(d.dir, "basewatch.toml"), []byte(config), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// command is one command line in the daemon's directory, with an environment
// that holds nothing of the machine's.
func (d *daemon) command(args ...string) *exec.Cmd {
	d.t.Helper()
	path, err := binary()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = d.dir
	cmd.Env = append([]string{"HOME=" + d.dir, "PATH=" + os.Getenv("PATH"), "TZ=UTC", "DOCKER_CONFIG=" + d.dir}, d.env...)
	return cmd
}

// start runs the daemon until the end of the test and waits until it answers.
func (d *daemon) start() {
	d.t.Helper()
	d.spawn()
	d.t.Cleanup(d.kill)
	d.eventually("the daemon answers", func() bool {
		_, err := d.client().Status(d.t.Context())
		return err == nil
	})
}

// spawn runs the daemon and does not wait for it.
func (d *daemon) spawn() {
	d.t.Helper()
	d.cmd = d.command("run")
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.exit = make(chan error, 1)
	go func(cmd *exec.Cmd, exit chan<- error) { exit <- cmd.Wait() }(d.cmd, d.exit)
}

// kill is kill -9: no chance to write anything down.
func (d *daemon) kill() {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Kill()
	<-d.exit
	d.cmd = nil
}

// stop is SIGTERM; it fails the test when the daemon takes longer than 10 s or
// does not end well.
func (d *daemon) stop() {
	d.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	select {
	case err := <-d.exit:
		if err != nil {
			d.t.Errorf("stop: %v\n%s", err, d.out)
		}
	case <-time.After(10 * time.Second):
		d.t.Errorf("stop took more than 10 s\n%s", d.out)
		_ = d.cmd.Process.Kill()
		<-d.exit
	}
	d.cmd = nil
}

func (d *daemon) client() *web.Client {
	return web.NewClient("", web.OverSocket(filepath.Join(d.dir, "basewatch.db.sock")), "")
}

// run is one command's output; it must end with the code.
func (d *daemon) run(code int, args ...string) string {
	d.t.Helper()
	cmd := d.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		d.t.Fatalf("basewatch %s: exit %d, want %d (%v)\n%s%s", strings.Join(args, " "), got, code, err, out.String(), errs.String())
	}
	return out.String() + errs.String()
}

// eventually polls a condition that another process brings about.
func (d *daemon) eventually(what string, ok func() bool) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			d.t.Fatalf("never: %s\n%s", what, d.out)
		case err := <-d.exit:
			d.exit <- err
			d.t.Fatalf("the daemon ended (%v) before: %s\n%s", err, what, d.out)
		case <-tick.C:
		}
	}
}

// fresh waits until all targets had a good look.
func (d *daemon) fresh(targets int) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("%d targets are fresh", targets), func() bool {
		st, err := d.client().Status(d.t.Context())
		return err == nil && st.Images.Fresh == targets
	})
}

// lockedBuffer takes what a process prints while a test may read it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// cloudEvent is what tests read of a webhook's body.
type cloudEvent struct {
	ID, Type, Subject, Source string
	Data                      struct {
		Image    string
		Seq      uint64
		Old, New struct {
			Digest    string
			Platforms map[string]string
		}
		LateSeconds int `json:"late_seconds"`
	}
}

func readCloudEvent(t *testing.T, body []byte) cloudEvent {
	t.Helper()
	var e cloudEvent
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatalf("not a CloudEvent: %v\n%s", err, body)
	}
	return e
}
