package registry

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"basewatch/internal/standin"
	"basewatch/watcher"
)

func TestMain(m *testing.M) {
	home, err := os.MkdirTemp("", "registry-test")
	if err != nil {
		panic(err)
	}
	// Nobody's own logins and proxies take part.
	for _, k := range []string{"HOME", "DOCKER_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"} {
		_ = os.Setenv(k, home)
	}
	for _, k := range []string{"REGISTRY_AUTH_FILE", "GITHUB_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		_ = os.Unsetenv(k)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(home)
		os.Exit(code)
	}))
}

const (
	hostName = "registry.example.com"
	repoName = "acme/base"
	tagRef   = hostName + "/" + repoName + ":1"
)

var linux = standin.Image{Platforms: map[string]string{"linux/amd64": "a", "linux/arm64": "b"}} //nolint:gochecknoglobals // a test's constant

// world is a network in memory, with a registry at registry.example.com that
// speaks plain http, and us.
type world struct {
	*standin.Registry
	net *standin.MemNet
	us  *Registries
	obs *counter
}

// newWorld makes a world, inside a bubble of testing/synctest too. Change may
// edit our configuration.
func newWorld(t *testing.T, b standin.Behaviour, change func(*Config)) *world {
	t.Helper()
	w := &world{Registry: standin.NewRegistry(b), net: &standin.MemNet{}, obs: &counter{}}
	w.serve(t, hostName, w.Registry)
	c := Config{Hosts: map[string]HostConfig{hostName: plain()}}
	if change != nil {
		change(&c)
	}
	w.us = w.connect(t, c)
	return w
}

// plain is a host without TLS and without a ceiling.
func plain() HostConfig {
	h := DefaultHost()
	h.PlainHTTP, h.PerMinute = true, 0
	return h
}

func edit(change func(*HostConfig)) func(*Config) {
	return func(c *Config) {
		h := c.Hosts[hostName]
		change(&h)
		c.Hosts[hostName] = h
	}
}

func (w *world) serve(t *testing.T, host string, r *standin.Registry) {
	t.Helper()
	s := standin.ServeOn(w.net.Listen(host+":80"), r)
	t.Cleanup(s.Close)
}

// serveTLS adds a host that speaks TLS, and returns the file of its CA.
func (w *world) serveTLS(t *testing.T, r *standin.Registry, hosts ...string) string {
	t.Helper()
	ca, err := standin.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Certificate(hosts...)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range hosts {
		ln := tls.NewListener(w.net.Listen(host+":443"), &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
		s := standin.ServeOn(ln, r)
		t.Cleanup(s.Close)
	}
	return writeCA(t, ca)
}

func writeCA(tb testing.TB, ca *standin.CA) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca.PEM(), 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}

func (w *world) connect(t *testing.T, c Config) *Registries {
	t.Helper()
	us, err := New(c, Options{Dial: w.net.DialContext, Observer: w.obs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(us.Close)
	return us
}

func target(ref string, platforms ...string) watcher.Target {
	if len(platforms) == 0 {
		platforms = []string{"linux/amd64"}
	}
	return watcher.Target{Ref: ref, Platforms: platforms, Every: time.Minute}
}

func mustDigest(t *testing.T, us *Registries, ref, want string) {
	t.Helper()
	if got, err := us.Digest(t.Context(), ref); err != nil || got != want {
		t.Fatalf("Digest(%s) = %q, %v; want %q", ref, got, err, want)
	}
}

// wantProblem checks the class of an error, and what its text must hold.
func wantProblem(t *testing.T, err error, p watcher.Problem, words ...string) {
	t.Helper()
	var le *watcher.LookError
	if err == nil || watcher.ProblemOf(err) != p {
		t.Fatalf("got %v (%s), want a problem %s", err, watcher.ProblemOf(err), p)
	}
	if !asLookError(err, &le) {
		t.Fatalf("%v is no *watcher.LookError", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func asLookError(err error, to **watcher.LookError) bool {
	le, ok := err.(*watcher.LookError) //nolint:errorlint // the contract is the type itself
	*to = le
	return ok
}
