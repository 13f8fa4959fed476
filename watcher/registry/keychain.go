package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/authn/github"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/google"
	"golang.org/x/oauth2"

	"basewatch/internal/outbound"
	"basewatch/internal/text"
	"basewatch/watcher"
)

func newCredentials(h *host, o Options) *credentials {
	c := &credentials{host: h.name, cfg: h.cfg}
	c.lookup = func(ctx context.Context) (credential, error) {
		if h.cfg.Helper != "" {
			return askHelper(ctx, h.cfg.Helper, h.name)
		}
		return fromKeychains(ctx, h, o)
	}
	return c
}

// fromKeychains asks docker's (and podman's) configuration, then GitHub's
// environment for ghcr.io, then Google's for its registries. A docker
// configuration that cannot be used is logged and counts as none: most of what
// is watched is public, and a helper of somebody's desktop must not stop that.
func fromKeychains(ctx context.Context, h *host, o Options) (credential, error) {
	reg, err := name.NewRegistry(h.name)
	if err != nil {
		return credential{}, err
	}
	found, err := authn.Resolve(ctx, authn.DefaultKeychain, reg)
	if err != nil {
		h.log.Warn("docker's configuration gives no credentials, asking without", "err", text.Plain(err.Error(), 200))
	}
	if err == nil && found != authn.Anonymous {
		return fromAuthenticator(ctx, found)
	}
	switch {
	case h.name == "ghcr.io":
		found, err = github.Keychain.Resolve(reg)
	case isGoogle(h.name):
		found, err = googleCredential(ctx, h, o)
	default:
		return credential{}, nil
	}
	if err != nil {
		return credential{}, err
	}
	return fromAuthenticator(ctx, found)
}

func fromAuthenticator(ctx context.Context, a authn.Authenticator) (credential, error) {
	c, err := authn.Authorization(ctx, a)
	if err != nil {
		return credential{}, err
	}
	return credential{username: c.Username, password: c.Password, identity: c.IdentityToken, bearer: c.RegistryToken}, nil
}

func isGoogle(host string) bool {
	return host == "gcr.io" || strings.HasSuffix(host, ".gcr.io") || strings.HasSuffix(host, ".pkg.dev")
}

// googleCredential asks for Google's application default credentials, then
// gcloud. The library's own keychain is not used: it asks once for all time and
// keeps the context that it was first called with.
func googleCredential(ctx context.Context, h *host, o Options) (authn.Authenticator, error) {
	client, err := outbound.NewClient(outbound.Options{Config: h.cfg.Config, Host: "oauth2.googleapis.com", Dial: o.Dial})
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	env := context.WithValue(ctx, oauth2.HTTPClient, client)
	if a, err := google.NewEnvAuthenticator(env); err == nil {
		return fixed(env, a)
	}
	a, err := google.NewGcloudAuthenticator(ctx)
	if err != nil {
		h.log.Warn("gcloud gives no credentials, asking without", "err", text.Plain(err.Error(), 200))
		return authn.Anonymous, nil
	}
	return fixed(ctx, a)
}

// fixed takes the credential out while its context still lives.
func fixed(ctx context.Context, a authn.Authenticator) (authn.Authenticator, error) {
	c, err := authn.Authorization(ctx, a)
	if err != nil {
		return nil, err
	}
	return authn.FromConfig(*c), nil
}

// askHelper runs a docker credential helper: the server's name on its standard
// input, JSON on its output.
func askHelper(ctx context.Context, helper, host string) (credential, error) {
	program := "docker-credential-" + helper
	server := host
	if host == watcher.DockerHub {
		server = authn.DefaultAuthKey
	}
	var out limitedBuffer
	cmd := exec.CommandContext(ctx, program, "get")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(server), &out, io.Discard
	cmd.WaitDelay = credentialTimeout / 10
	if err := cmd.Run(); err != nil {
		return credential{}, fmt.Errorf("%s get: %w: %s", program, err, text.Plain(out.String(), 200))
	}
	var answer struct{ Username, Secret string }
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil || answer.Secret == "" {
		return credential{}, fmt.Errorf("%s get: %w", program, errNoHelperOutput)
	}
	if answer.Username == "<token>" { // how helpers mark an identity token
		return credential{identity: answer.Secret}, nil
	}
	return credential{username: answer.Username, password: answer.Secret}, nil
}

// limitedBuffer keeps the first bytes of a program's output.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := maxTokenBytes - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}
