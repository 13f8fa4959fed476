package outbound

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

func TestRequestsGoThroughTheProxyButForThoseExempt(t *testing.T) {
	var asked []string
	px := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Host+" "+r.Header.Get("Proxy-Authorization"))
	})
	direct := serve(t, func(http.ResponseWriter, *http.Request) {})
	_, port, _ := net.SplitHostPort(px.Listener.Addr().String())
	c := client(t, Options{
		Host:   "registry.example.com",
		Config: Config{Proxy: "http://u:p@proxy.corp.example:" + port, NoProxy: []string{"direct.example.com"}},
		Dial: names(px.Listener.Addr().String(), map[string]string{
			"proxy.corp.example": "127.0.0.1", "direct.example.com": "93.184.216.34", "registry.example.com": "93.184.216.34",
		}),
	})
	if _, err := get(t, c, "http://registry.example.com/"); err != nil {
		t.Fatal(err)
	}
	if len(asked) != 1 || asked[0] != "registry.example.com Basic dTpw" {
		t.Fatalf("the proxy saw %q", asked)
	}
	if _, err := get(t, c, "http://direct.example.com/"); err != nil {
		t.Fatal(err)
	}
	if len(asked) != 2 || asked[1] != " " {
		t.Errorf("no_proxy: the server saw %q, want an ordinary request", asked[1:])
	}
	// Loopback is never proxied, also when a proxy is configured.
	own := client(t, Options{Host: direct.Listener.Addr().String(), Config: Config{Proxy: "http://127.0.0.1:1"}})
	if _, err := get(t, own, direct.URL); err != nil {
		t.Error(err)
	}
}

func TestWhatARefusalRepeatsOfAProxysLoginIsHidden(t *testing.T) {
	px := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
		_, _ = io.WriteString(w, "no: "+r.Header.Get("Proxy-Authorization")+" bot:hunter%2F2 hunter/2 end")
	})
	_, port, _ := net.SplitHostPort(px.Listener.Addr().String())
	c := client(t, Options{
		Host:   "registry.example.com",
		Config: Config{Proxy: "http://bot:hunter%2F2@proxy.corp.example:" + port},
		Dial:   names(px.Listener.Addr().String(), map[string]string{"proxy.corp.example": "127.0.0.1"}),
	})
	res, err := get(t, c, "http://registry.example.com/")
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "no: Basic *** *** *** end" {
		t.Errorf("got %q, %v", body, err)
	}
}

func TestAProxyCarriesNoRequestToAnInnerAddress(t *testing.T) {
	px := serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the proxy was asked for %s", r.URL) })
	_, port, _ := net.SplitHostPort(px.Listener.Addr().String())
	c := client(t, Options{
		Host:   "registry.example.com",
		Config: Config{Proxy: "proxy.corp.example:" + port},
		Dial:   names(px.Listener.Addr().String(), map[string]string{"proxy.corp.example": "127.0.0.1"}),
	})
	var refused *AddressError
	if _, err := get(t, c, "http://169.254.169.254/latest"); !errors.As(err, &refused) {
		t.Errorf("got %v, want an AddressError", err)
	}
}

func TestTheEnvironmentNamesTheProxyWhenNoneIsSet(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://env.corp.example:3128")
	t.Setenv("NO_PROXY", ".inner.example")
	p, err := newProxy(Config{NoProxy: []string{"also.example"}})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{"ghcr.io": true, "x.inner.example": false, "also.example": false, "localhost:5000": false} {
		req, _ := http.NewRequest(http.MethodGet, "https://"+host+"/", nil)
		u, err := p.forRequest(func(string) error { return nil })(req)
		if err != nil || (u != nil) != want {
			t.Errorf("%s: got %v, %v", host, u, err)
		}
	}
	if p.addresses[0] != "env.corp.example:3128" {
		t.Errorf("proxy address %q", p.addresses[0])
	}
}
