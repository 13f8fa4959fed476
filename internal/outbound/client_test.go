package outbound

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	for _, v := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"} {
		_ = os.Unsetenv(v)
	}
	goleak.VerifyTestMain(m)
}

// elsewhere makes a connection claim another remote address.
type elsewhere struct {
	net.Conn
	at net.Addr
}

func (e elsewhere) RemoteAddr() net.Addr { return e.at }

// names is a network where each name stands at an address, and everything is
// really served by one listener.
func names(to string, table map[string]string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, _ := net.SplitHostPort(address)
		ip := net.ParseIP(table[host])
		if ip == nil {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, network, to)
		if err != nil {
			return nil, err
		}
		return elsewhere{conn, &net.TCPAddr{IP: ip, Port: 80}}, nil
	}
}

func client(t *testing.T, o Options) *http.Client {
	t.Helper()
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func get(t *testing.T, c *http.Client, url string, header ...string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	if err == nil {
		t.Cleanup(func() { Drain(res.Body) })
	}
	return res, err
}

func TestRedirectToTheMetadataServiceIsRefusedByItsResolvedAddress(t *testing.T) {
	for _, inner := range []string{"169.254.169.254", "127.0.0.1", "10.0.0.7", "fd00:ec2::254"} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Host == "trap.example.com" {
				t.Errorf("a request reached %s", inner)
			}
			http.Redirect(w, r, "http://trap.example.com/secret", http.StatusFound)
		})
		c := client(t, Options{Host: "registry.example.com", Redirects: 5, Dial: names(s.Listener.Addr().String(), map[string]string{
			"registry.example.com": "93.184.216.34", "trap.example.com": inner,
		})})
		_, err := get(t, c, "http://registry.example.com/")
		var refused *AddressError
		if !errors.As(err, &refused) || refused.Host != "trap.example.com" {
			t.Errorf("%s: got %v, want an AddressError about trap.example.com", inner, err)
		}
	}
}

func TestTheUsersOwnHostMayBePrivateAndSendUsToAPrivateOne(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "registry.corp.example" {
			http.Redirect(w, r, "http://blobs.corp.example/", http.StatusFound)
		}
	})
	c := client(t, Options{Host: "registry.corp.example", Redirects: 1, Dial: names(s.Listener.Addr().String(), map[string]string{
		"registry.corp.example": "10.0.0.5", "blobs.corp.example": "10.0.0.6",
	})})
	if res, err := get(t, c, "http://registry.corp.example/"); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("got %v, %v", res, err)
	}
}

func TestARealDialIsCheckedOnTheSocket(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	c := client(t, Options{Host: "registry.example.com"})
	var refused *AddressError
	if _, err := get(t, c, "http://127.0.0.1:"+port); !errors.As(err, &refused) {
		t.Fatalf("got %v, want an AddressError", err)
	}
	own := client(t, Options{Host: "127.0.0.1:" + port})
	if _, err := get(t, own, "http://127.0.0.1:"+port); err != nil {
		t.Fatal(err)
	}
}

func TestAuthorizationNeverComesBackAfterARedirectLeftTheHost(t *testing.T) {
	var seen []string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Host+r.URL.Path+" "+r.Header.Get("Authorization")+r.Header.Get("Referer"))
		to := map[string]string{
			"a.example.com/1":      "/2",
			"a.example.com/2":      "http://a.example.com:81/3",
			"a.example.com:81/3":   "http://cdn.a.example.com/4",
			"cdn.a.example.com/4":  "http://a.example.com/5",
			"a.example.com/absent": "",
		}[r.Host+r.URL.Path]
		if to != "" {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
		}
	})
	c := client(t, Options{Host: "a.example.com", Redirects: 5, Dial: names(s.Listener.Addr().String(), map[string]string{
		"a.example.com": "93.184.216.34", "cdn.a.example.com": "93.184.216.34",
	})})
	if _, err := get(t, c, "http://a.example.com/1", "Authorization", "Bearer T"); err != nil {
		t.Fatal(err)
	}
	want := "a.example.com/1 Bearer T|a.example.com/2 Bearer T|a.example.com:81/3 |cdn.a.example.com/4 |a.example.com/5 "
	if got := strings.Join(seen, "|"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRedirectsAreLimitedAndNeverLeaveTLS(t *testing.T) {
	plain := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) })
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	t.Cleanup(secure.Close)

	none := client(t, Options{Host: plain.Listener.Addr().String()})
	if res, err := get(t, none, plain.URL); err != nil || res.StatusCode != http.StatusFound {
		t.Errorf("without redirects: got %v, %v, want the 302 itself", res, err)
	}
	loop := client(t, Options{Host: plain.Listener.Addr().String(), Redirects: 3})
	if _, err := get(t, loop, plain.URL); err == nil || !strings.Contains(err.Error(), "at most 3 are followed") {
		t.Errorf("a loop: got %v", err)
	}
	down := client(t, Options{Host: secure.Listener.Addr().String(), Redirects: 3, Config: Config{CAFile: caFile(t, secure)}})
	if _, err := get(t, down, secure.URL); err == nil || !strings.Contains(err.Error(), "only https may follow https") {
		t.Errorf("https to http: got %v", err)
	}
}

func caFile(t *testing.T, s *httptest.Server) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}
	if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestPrivateCAAndHTTP2AndNoTLSBelow12(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	host := s.Listener.Addr().String()
	c := client(t, Options{Host: host, Config: Config{CAFile: caFile(t, s)}})
	res, err := get(t, c, s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if res.ProtoMajor != 2 {
		t.Errorf("spoke %s, want HTTP/2", res.Proto)
	}
	var unverified *tls.CertificateVerificationError
	if _, err := get(t, client(t, Options{Host: host}), s.URL); !errors.As(err, &unverified) {
		t.Errorf("without the CA: got %v", err)
	}
	old := httptest.NewUnstartedServer(nil)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10} //nolint:gosec // what the client must refuse
	old.Config.ErrorLog = quiet()
	old.StartTLS()
	t.Cleanup(old.Close)
	c = client(t, Options{Host: old.Listener.Addr().String(), Config: Config{CAFile: caFile(t, old)}})
	if _, err := get(t, c, old.URL); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: got %v", err)
	}
}

func TestBrokenSettingsAreRefusedWithoutShowingThem(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]Config{
		"no certificate in it":                  {CAFile: empty},
		"no such file":                          {CAFile: "absent.pem"},
		"proxy: not a URL":                      {Proxy: "http://bot:hunter2@%zz"},
		`scheme "ftp" of proxy.example.com is`:  {Proxy: "ftp://bot:hunter2@proxy.example.com"},
		"proxy: not a URL; write it as http://": {Proxy: "http://"},
	} {
		_, err := NewClient(Options{Host: "example.com", Config: c})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: got %v, want %q", c, err, want)
		}
	}
	if _, err := NewClient(Options{}); err == nil {
		t.Error("a client for no host was made")
	}
}

func TestAPipeHasNoAddressAndPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		go func() {
			defer func() { _ = there.Close() }()
			_, _ = there.Read(make([]byte, 4096))
			_, _ = io.WriteString(there, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
		}()
		c, err := NewClient(Options{Host: "pipe.example.com", Dial: func(context.Context, string, string) (net.Conn, error) { return here, nil }})
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Get("http://pipe.example.com/")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	})
}

func TestASilentHostEndsWithTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer func() { _ = there.Close() }()
		go func() { _, _ = io.Copy(io.Discard, there) }()
		c, err := NewClient(Options{Host: "pipe.example.com", Timeout: time.Minute,
			Dial: func(context.Context, string, string) (net.Conn, error) { return here, nil }})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err = c.Get("http://pipe.example.com/"); err == nil {
			t.Fatal("no error")
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("took %s", took)
		}
	})
}
