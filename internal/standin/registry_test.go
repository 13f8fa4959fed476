package standin_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"basewatch/internal/standin"
)

const accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " +
	"application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"

func twoPlatforms(seed string) standin.Image {
	return standin.Image{
		Platforms:    map[string]string{"linux/amd64": seed, "linux/arm/v6": seed},
		Attestations: seed,
		Annotations:  map[string]string{"org.opencontainers.image.version": "3.22." + seed},
	}
}

// transport trusts the server's CA and speaks HTTP/2 where it is offered.
func transport(t *testing.T, s *standin.Server) *http.Transport {
	t.Helper()
	tr := &http.Transport{ForceAttemptHTTP2: true}
	if s.CA != nil {
		tr.TLSClientConfig = tlsConfig(s.CA)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func TestARealClientReadsEveryKindOfImageByEveryAuth(t *testing.T) {
	auths := map[string]standin.Behaviour{
		"open":           {},
		"basic":          {Auth: standin.Basic, Username: "bot", Password: "secret"},
		"bearer":         {Auth: standin.Bearer},
		"bearer + login": {Auth: standin.Bearer, Username: "bot", Password: "secret"},
	}
	images := map[string]standin.Image{
		// Without attestations: validate finds fault with BuildKit's own, too.
		"oci":             {Platforms: map[string]string{"linux/amd64": "1", "linux/arm/v6": "1"}},
		"docker children": {Platforms: map[string]string{"linux/amd64": "1", "linux/arm64": "2"}, Docker: true},
		"docker list":     {Platforms: map[string]string{"linux/amd64": "1", "windows/amd64:10.0.1": "2"}, DockerList: true},
	}
	for authName, b := range auths {
		t.Run(authName, func(t *testing.T) {
			reg := standin.NewRegistry(b)
			srv := standin.ServeTLS(reg)
			t.Cleanup(srv.Close)
			opts := []remote.Option{remote.WithTransport(transport(t, srv)), remote.WithContext(t.Context())}
			if b.Username != "" {
				opts = append(opts, remote.WithAuth(&authn.Basic{Username: b.Username, Password: b.Password}))
			}
			for tag, img := range images {
				tag = strings.ReplaceAll(tag, " ", "-")
				want := reg.Push("acme/base", tag, img)
				ref, err := name.ParseReference(srv.Host + "/acme/base:" + tag)
				if err != nil {
					t.Fatal(err)
				}
				d, err := remote.Head(ref, opts...)
				if err != nil || d.Digest.String() != want {
					t.Fatalf("HEAD %s = %v, %v; want %s", ref, d, err, want)
				}
				idx, err := remote.Index(ref, opts...)
				if err != nil {
					t.Fatal(err)
				}
				if err := validate.Index(idx); err != nil {
					t.Errorf("%s is no valid index: %v", tag, err)
				}
			}
		})
	}
}

func TestAnIndexListsPlatformsAnnotationsAndAttestations(t *testing.T) {
	reg := standin.NewRegistry(standin.Behaviour{})
	srv := standin.Serve(reg)
	t.Cleanup(srv.Close)
	img := twoPlatforms("1")
	reg.Push("acme/base", "1", img)
	ref, err := name.ParseReference(srv.Host + "/acme/base:1")
	if err != nil {
		t.Fatal(err)
	}
	idx, err := remote.Index(ref, remote.WithTransport(transport(t, srv)))
	if err != nil {
		t.Fatal(err)
	}
	m, err := idx.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range m.Manifests {
		got = append(got, d.Platform.String()+" "+d.Annotations["vnd.docker.reference.type"]+d.Annotations["org.opencontainers.image.version"])
	}
	want := []string{"linux/amd64 3.22.1", "linux/arm/v6 3.22.1", "unknown/unknown attestation-manifest", "unknown/unknown attestation-manifest"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if m.MediaType != types.OCIImageIndex {
		t.Errorf("media type %s", m.MediaType)
	}
	if got := m.Manifests[0].Digest.String(); got != reg.PlatformDigest(img, "linux/amd64") {
		t.Errorf("PlatformDigest differs from the index's entry %s", got)
	}
}

func TestASeedMovesItsPlatformAloneAndAnAttestationNone(t *testing.T) {
	reg := standin.NewRegistry(standin.Behaviour{})
	before := twoPlatforms("1")
	moved, noise := twoPlatforms("1"), twoPlatforms("1")
	moved.Platforms["linux/amd64"] = "2"
	noise.Attestations = "2"
	digests := map[string]bool{
		reg.Put("r", before): true, reg.Put("r", moved): true, reg.Put("r", noise): true,
	}
	if len(digests) != 3 {
		t.Errorf("three different images have %d index digests", len(digests))
	}
	for platform, want := range map[string]bool{"linux/amd64": true, "linux/arm/v6": false} {
		if got := reg.PlatformDigest(before, platform) != reg.PlatformDigest(moved, platform); got != want {
			t.Errorf("%s moved: %v, want %v", platform, got, want)
		}
		if reg.PlatformDigest(before, platform) != reg.PlatformDigest(noise, platform) {
			t.Errorf("a new attestation moved %s", platform)
		}
	}
	if got := reg.Put("other", before); got != reg.Put("r", before) {
		t.Error("one image has two digests")
	}
}

func TestASingleManifestHasItsPlatformInTheConfig(t *testing.T) {
	reg := standin.NewRegistry(standin.Behaviour{})
	srv := standin.Serve(reg)
	t.Cleanup(srv.Close)
	reg.Push("acme/one", "1", standin.Image{Platforms: map[string]string{"linux/arm/v7": "1"}, Single: true, Labels: map[string]string{"k": "v"}})
	ref, err := name.ParseReference(srv.Host + "/acme/one:1")
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(ref, remote.WithTransport(transport(t, srv)))
	if err != nil {
		t.Fatal(err)
	}
	c, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if p := c.Platform(); !p.Equals(v1.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}) || c.Config.Labels["k"] != "v" {
		t.Errorf("platform %s, labels %v", p, c.Config.Labels)
	}
}

func TestTheRegistryRefusesWhatRealOnesRefuse(t *testing.T) {
	reg := standin.NewRegistry(standin.Behaviour{})
	srv := standin.Serve(reg)
	t.Cleanup(srv.Close)
	c := client(t, &http.Transport{})
	reg.Push("acme/base", "1", twoPlatforms("1"))
	reg.Push("acme/base", "gone", twoPlatforms("1"))
	reg.Delete("acme/base", "gone")
	for _, tc := range []struct {
		name, method, path, accept string
		status                     int
		says                       string
	}{
		{"unknown tag", "GET", "/v2/acme/base/manifests/2", accept, 404, "MANIFEST_UNKNOWN"},
		{"deleted tag", "HEAD", "/v2/acme/base/manifests/gone", accept, 404, ""},
		{"unknown repository", "GET", "/v2/acme/nothing/tags/list", "", 404, "NAME_UNKNOWN"},
		{"no index in Accept", "GET", "/v2/acme/base/manifests/1", "application/vnd.oci.image.manifest.v1+json", 404, "does not support"},
		{"no Accept", "HEAD", "/v2/acme/base/manifests/1", "", 404, ""},
		{"push", "PUT", "/v2/acme/base/manifests/1", accept, 405, "UNSUPPORTED"},
		{"other path", "GET", "/v1/search", "", 404, "NOT_FOUND"},
		{"token of an open registry", "GET", "/token", "", 404, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := must(t, c, tc.method, srv.URL+tc.path, nil, "Accept", tc.accept)
			if got.status != tc.status || !strings.Contains(got.body, tc.says) {
				t.Errorf("%d %s; want %d with %q", got.status, got.body, tc.status, tc.says)
			}
		})
	}
}

func TestATokenIsForItsRepositoryAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := standin.NewRegistry(standin.Behaviour{Auth: standin.Bearer, TokenTTL: time.Minute})
		reg.Push("acme/a", "1", twoPlatforms("1"))
		reg.Push("acme/b", "1", twoPlatforms("1"))
		net := &standin.MemNet{}
		srv := standin.ServeOn(net.Listen("registry.example.com:80"), reg)
		defer srv.Close()
		tr := &http.Transport{DialContext: net.DialContext}
		defer tr.CloseIdleConnections()
		c := &http.Client{Transport: tr}

		status := func(repo, token string) reply {
			return must(t, c, "HEAD", "http://registry.example.com/v2/"+repo+"/manifests/1", nil, "Accept", accept, "Authorization", "Bearer "+token)
		}
		first := must(t, c, "GET", "http://registry.example.com/v2/acme/a/manifests/1", nil, "Accept", accept)
		want := `Bearer realm="http://registry.example.com/token",service="registry.example.com",scope="repository:acme/a:pull"`
		if got := first.header.Get("Www-Authenticate"); first.status != 401 || got != want {
			t.Fatalf("%d, challenge %s\nwant %s", first.status, got, want)
		}
		token := tokenFor(t, c, "http://registry.example.com", "acme/a")
		if got := status("acme/a", token); got.status != 200 {
			t.Errorf("good token: %d", got.status)
		}
		if got := status("acme/b", token); got.status != 401 || !strings.Contains(got.header.Get("Www-Authenticate"), "insufficient_scope") {
			t.Errorf("another repository's token: %d %v", got.status, got.header)
		}
		if got := status("acme/missing", tokenFor(t, c, "http://registry.example.com", "acme/missing")); got.status != 401 {
			t.Errorf("missing repository: %d, want 401 as at Docker Hub", got.status)
		}
		time.Sleep(time.Minute)
		if got := status("acme/a", token); got.status != 401 || !strings.Contains(got.header.Get("Www-Authenticate"), "invalid_token") {
			t.Errorf("expired token: %d", got.status)
		}
		if got, want := reg.CountsOf("acme/a"), (standin.Counts{Token: 1, Head: 2, Get: 1}); got != want {
			t.Errorf("counts of acme/a %+v, want %+v", got, want)
		}
		if got := reg.Authorizations("registry.example.com"); len(got) != 2 {
			t.Errorf("authorizations %q, want the two tokens", got)
		}
	})
}

func TestWrongCredentialsGetNoToken(t *testing.T) {
	reg := standin.NewRegistry(standin.Behaviour{Auth: standin.Bearer, Username: "bot", Password: "secret"})
	srv := standin.Serve(reg)
	t.Cleanup(srv.Close)
	c := client(t, &http.Transport{})
	for header, want := range map[string]int{"": 401, "Basic Ym90Ondyb25n": 401, "Basic Ym90OnNlY3JldA==": 200} {
		got := must(t, c, "GET", srv.URL+"/token?scope=repository:a:pull", nil, "Authorization", header)
		if got.status != want {
			t.Errorf("%q: %d, want %d", header, got.status, want)
		}
	}
}

func TestTagsComeInPages(t *testing.T) {
	reg := standin.NewRegistry(standin.Behaviour{})
	srv := standin.Serve(reg)
	t.Cleanup(srv.Close)
	c := client(t, &http.Transport{})
	for _, tag := range []string{"a", "b", "c"} {
		reg.Push("acme/base", tag, twoPlatforms("1"))
	}
	first := must(t, c, "GET", srv.URL+"/v2/acme/base/tags/list?n=2", nil)
	if got, want := first.header.Get("Link"), `</v2/acme/base/tags/list?last=b&n=2>; rel="next"`; got != want {
		t.Errorf("Link %s, want %s", got, want)
	}
	second := must(t, c, "GET", srv.URL+"/v2/acme/base/tags/list?last=b&n=2", nil)
	if want := `{"name":"acme/base","tags":["c"]}` + "\n"; second.body != want || second.header.Get("Link") != "" {
		t.Errorf("%s %v, want %s and no Link", second.body, second.header, want)
	}
}
