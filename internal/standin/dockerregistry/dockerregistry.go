// Package dockerregistry runs Debian's docker-registry (the reference
// implementation, 2.8.2 in Debian 12) as a child process for a test: open, with
// passwords, with TLS of a private CA. What the stand-in of package standin
// only imitates is real here.
//
// A test that needs it is skipped where the program is missing, and fails
// instead when the variable CI is "true". `make test` installs it.
package dockerregistry

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"text/template"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"basewatch/internal/standin"
)

// startTimeout bounds the wait for the program to answer; it takes well under
// a second on an idle machine.
const startTimeout = 30 * time.Second

// Options say how the registry is protected. The zero Options are open and
// plain HTTP.
type Options struct {
	// Username and Password, when set, are asked for (Basic, from an htpasswd
	// file).
	Username, Password string
	// TLS serves HTTPS with a certificate of a private CA for 127.0.0.1 and
	// localhost.
	TLS bool
}

// Registry is a running docker-registry. It ends with the test.
type Registry struct {
	// Host is 127.0.0.1 and a port, as in image names.
	Host string
	// CAFile is the private CA's certificate (PEM); empty without TLS.
	CAFile string

	opts   Options
	config string // path of config.yml
	client *http.Transport
	source *standin.Server // what is pushed comes from here
	images *standin.Registry
	stop   func()
}

// Start runs a registry on a free loopback port with an empty store in the
// test's own directory, and returns when it answers.
func Start(t testing.TB, o Options) *Registry {
	t.Helper()
	need(t, "docker-registry")
	dir := t.TempDir()
	r := &Registry{opts: o, config: filepath.Join(dir, "config.yml"), client: &http.Transport{}}
	files := map[string]string{"Root": filepath.Join(dir, "data")}
	if o.Username != "" {
		files["Htpasswd"] = filepath.Join(dir, "htpasswd")
		write(t, files["Htpasswd"], htpasswd(t, o))
	}
	if o.TLS {
		r.makeTLS(t, dir, files)
	}
	r.images = standin.NewRegistry(standin.Behaviour{})
	r.source = standin.Serve(r.images)
	t.Cleanup(func() {
		r.Stop()
		r.client.CloseIdleConnections()
		r.source.Close()
	})
	r.launchAnywhere(t, files)
	return r
}

// Push copies the image to repo:tag and returns the digest that the tag has
// then. The digests are those that a [standin.Registry] gives the same image.
func (r *Registry) Push(t testing.TB, repo, tag string, img standin.Image) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	digest := r.images.Push(repo, tag, img)
	from, err := name.ParseReference(r.source.Host + "/" + repo + ":" + tag)
	check(t, err)
	to, err := name.ParseReference(r.Host + "/" + repo + ":" + tag)
	check(t, err)
	opts := []remote.Option{remote.WithContext(ctx), remote.WithTransport(r.client)}
	desc, err := remote.Get(from, opts...)
	check(t, err)
	if r.opts.Username != "" {
		opts = append(opts, remote.WithAuth(&authn.Basic{Username: r.opts.Username, Password: r.opts.Password}))
	}
	if img.Single {
		one, err := desc.Image()
		check(t, err)
		check(t, remote.Write(to, one, opts...))
		return digest
	}
	index, err := desc.ImageIndex()
	check(t, err)
	check(t, remote.WriteIndex(to, index, opts...))
	return digest
}

// Stop kills the registry and waits for its end. It may be called twice.
func (r *Registry) Stop() {
	if r.stop != nil {
		r.stop()
	}
}

// Restart runs a stopped registry again, with its store, on the same port.
func (r *Registry) Restart(t testing.TB) {
	t.Helper()
	r.Stop()
	check(t, r.launch(t.Context()))
}

// launchAnywhere finds a free port. Another process may take it before the
// registry does, so it is tried a few times.
func (r *Registry) launchAnywhere(t testing.TB, files map[string]string) {
	t.Helper()
	var failed error
	for range 3 {
		r.Host = freePort(t)
		var config bytes.Buffer
		check(t, configTemplate.Execute(&config, map[string]any{"Addr": r.Host, "Files": files}))
		write(t, r.config, config.Bytes())
		err := r.launch(t.Context())
		if err == nil {
			return
		}
		failed = errors.Join(failed, err)
	}
	t.Fatal(failed)
}

// launch starts the program and waits until it answers.
func (r *Registry) launch(ctx context.Context) error {
	var said bytes.Buffer
	cmd := exec.Command("docker-registry", "serve", r.config) //nolint:noctx // it lives until Stop
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start docker-registry: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	r.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	if err := r.ready(ctx, ended); err != nil {
		r.stop()
		return fmt.Errorf("docker-registry on %s: %w\n%s", r.Host, err, said.Bytes())
	}
	return nil
}

// ready asks for /v2/ until something answers, be it 401.
func (r *Registry) ready(ctx context.Context, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := r.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ended:
			return errors.New("ended at once")
		case <-ctx.Done():
			return fmt.Errorf("no answer within %v: %w", startTimeout, err)
		}
	}
}

func (r *Registry) ping(ctx context.Context) error {
	scheme := "http"
	if r.opts.TLS {
		scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+r.Host+"/v2/", nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: r.client}).Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Body.Close()
}

func (r *Registry) makeTLS(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	ca, err := standin.NewCA()
	check(t, err)
	cert, key, err := ca.Issue("127.0.0.1", "localhost")
	check(t, err)
	files["Cert"], files["Key"] = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	r.CAFile = filepath.Join(dir, "ca.pem")
	write(t, files["Cert"], cert)
	write(t, files["Key"], key)
	write(t, r.CAFile, ca.PEM())
	r.client.TLSClientConfig = &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12}
}

// htpasswd makes the password file with the tool that people use for it; the
// registry takes bcrypt alone.
func htpasswd(t testing.TB, o Options) []byte {
	t.Helper()
	need(t, "htpasswd")
	cmd := exec.CommandContext(t.Context(), "htpasswd", "-niB", "-C", "5", o.Username)
	cmd.Stdin = bytes.NewReader([]byte(o.Password))
	out, err := cmd.Output()
	check(t, err)
	return out
}

// need skips the test without the program, or fails it in CI.
func need(t testing.TB, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	const remedy = "%s is not installed: run `make test`, or apt-get install docker-registry apache2-utils"
	if os.Getenv("CI") == "true" {
		t.Fatalf(remedy, program)
	}
	t.Skipf("SKIPPED: "+remedy, program)
}

func freePort(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	check(t, ln.Close())
	return ln.Addr().String()
}

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	check(t, os.WriteFile(path, content, 0o600))
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var configTemplate = template.Must(template.New("config.yml").Parse(`version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  delete:
    enabled: true
  filesystem:
    rootdirectory: {{.Files.Root}}
http:
  addr: {{.Addr}}
{{- if .Files.Cert}}
  tls:
    certificate: {{.Files.Cert}}
    key: {{.Files.Key}}
{{- end}}
{{- if .Files.Htpasswd}}
auth:
  htpasswd:
    realm: private
    path: {{.Files.Htpasswd}}
{{- end}}
`))
