package registry

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"basewatch/internal/standin"
)

// lean is a registry handler that allocates next to nothing, so that what is
// measured is us. (The server's half of a request is still in the figure.)
func lean(host string) http.HandlerFunc {
	digest := "sha256:" + strings.Repeat("a", 64)
	challenge := fmt.Sprintf(`Bearer realm="https://%s/token",service="s"`, host)
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			fmt.Fprint(w, `{"token":"t","expires_in":3600}`)
		case r.Header.Get("Authorization") == "":
			w.Header().Set("Www-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			w.Header().Set("Docker-Content-Digest", digest)
		}
	}
}

func leanRegistries(tb testing.TB) (us *Registries, ref string) {
	tb.Helper()
	var host string
	s := standin.ServeTLS(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { lean(host)(w, r) }))
	tb.Cleanup(s.Close)
	host = s.Host
	h := withCA(writeCA(tb, s.CA))
	h.PerMinute = 0
	us, err := New(Config{Hosts: map[string]HostConfig{s.Host: h}}, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(us.Close)
	ref = s.Host + "/acme/base:1"
	if _, err := us.Digest(tb.Context(), ref); err != nil {
		tb.Fatal(err)
	}
	return us, ref
}

func TestAnUnchangedHeadAllocatesLittle(t *testing.T) {
	us, ref := leanRegistries(t)
	const bound = 120 // over TLS and HTTP/2, the test server's own included
	got := testing.AllocsPerRun(500, func() {
		if _, err := us.Digest(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%.0f allocations per unchanged HEAD", got)
	if got > bound {
		t.Errorf("%.0f allocations, at most %d", got, bound)
	}
}

func BenchmarkUnchangedHead(b *testing.B) {
	us, ref := leanRegistries(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := us.Digest(b.Context(), ref); err != nil {
			b.Fatal(err)
		}
	}
}
