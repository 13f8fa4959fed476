package dockerregistry_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"go.uber.org/goleak"

	"basewatch/internal/standin"
	"basewatch/internal/standin/dockerregistry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func image(seed string) standin.Image {
	return standin.Image{Platforms: map[string]string{"linux/amd64": seed, "linux/arm64": seed}, Attestations: seed}
}

// head asks for a tag's digest as a client with only these means would.
func head(t *testing.T, reg *dockerregistry.Registry, auth authn.Authenticator, caFile string) (string, error) {
	t.Helper()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			t.Fatalf("%s is no PEM", caFile)
		}
		tr.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	ref, err := name.ParseReference(reg.Host + "/acme/base:1")
	if err != nil {
		t.Fatal(err)
	}
	d, err := remote.Head(ref, remote.WithTransport(tr), remote.WithAuth(auth), remote.WithContext(t.Context()))
	if err != nil {
		return "", err
	}
	return d.Digest.String(), nil
}

func TestDebiansRegistryServesWhatIsPushed(t *testing.T) {
	bot := &authn.Basic{Username: "bot", Password: "se cret"}
	for name, o := range map[string]dockerregistry.Options{
		"open":           {},
		"htpasswd":       {Username: bot.Username, Password: bot.Password},
		"TLS":            {TLS: true},
		"TLS + htpasswd": {TLS: true, Username: bot.Username, Password: bot.Password},
	} {
		t.Run(name, func(t *testing.T) {
			reg := dockerregistry.Start(t, o)
			auth := authn.Anonymous
			if o.Username != "" {
				auth = bot
			}
			for _, seed := range []string{"1", "2"} {
				want := reg.Push(t, "acme/base", "1", image(seed))
				if got, err := head(t, reg, auth, reg.CAFile); err != nil || got != want {
					t.Errorf("seed %s: %s, %v; want %s", seed, got, err, want)
				}
			}
			if o.Username != "" {
				if _, err := head(t, reg, authn.Anonymous, reg.CAFile); err == nil || !strings.Contains(err.Error(), "401") {
					t.Errorf("without a password: %v", err)
				}
			}
			if o.TLS {
				if _, err := head(t, reg, auth, ""); err == nil {
					t.Error("without the CA: no error")
				}
			}
		})
	}
}

func TestAStoppedRegistryComesBackWithItsStore(t *testing.T) {
	reg := dockerregistry.Start(t, dockerregistry.Options{})
	one := image("1")
	one.Attestations, one.Single, one.Platforms = "", true, map[string]string{"linux/amd64": "1"}
	want := reg.Push(t, "acme/base", "1", one)
	reg.Stop()
	reg.Stop()
	if _, err := head(t, reg, authn.Anonymous, ""); err == nil {
		t.Error("a stopped registry answers")
	}
	reg.Restart(t)
	if got, err := head(t, reg, authn.Anonymous, ""); err != nil || got != want {
		t.Errorf("after restart %s, %v; want %s", got, err, want)
	}
}
