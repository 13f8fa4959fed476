package standin_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"basewatch/internal/standin"
)

func tlsConfig(ca *standin.CA) *tls.Config { return &tls.Config{RootCAs: ca.Pool()} }

func tokenFor(t *testing.T, c *http.Client, base, repo string) string {
	t.Helper()
	r := must(t, c, "GET", base+"/token?service=x&scope=repository:"+repo+":pull", nil)
	var v struct {
		Token     string `json:"token"`
		ExpiresIn int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(r.body), &v); err != nil || v.Token == "" || v.ExpiresIn != 60 {
		t.Fatalf("token answer %d %s: %v", r.status, r.body, err)
	}
	return v.Token
}

// watched is a registry with one tag, and a HEAD of it.
func watched(t *testing.T, b standin.Behaviour) (*standin.Registry, func() (reply, error)) {
	t.Helper()
	reg := standin.NewRegistry(b)
	reg.Push("acme/base", "1", twoPlatforms("1"))
	srv := standin.Serve(reg)
	t.Cleanup(srv.Close)
	c := client(t, &http.Transport{DisableKeepAlives: true}) // so that net/http never retries by itself
	return reg, func() (reply, error) {
		return do(t, c, "HEAD", srv.URL+"/v2/acme/base/manifests/1", nil, "Accept", accept)
	}
}

func TestSwitchesOfBehaviour(t *testing.T) {
	reg, head := watched(t, standin.Behaviour{Header: map[string]string{"RateLimit-Remaining": "0;w=21600"}})
	if r, err := head(); err != nil || r.status != 200 || r.header.Get("Docker-Content-Digest") == "" || r.header.Get("RateLimit-Remaining") != "0;w=21600" {
		t.Errorf("well: %v %v", r, err)
	}
	reg.Behave(func(b *standin.Behaviour) { b.NoDigest = true })
	if r, _ := head(); r.status != 200 || r.header.Get("Docker-Content-Digest") != "" {
		t.Errorf("NoDigest: %v", r)
	}
	reg.Behave(func(b *standin.Behaviour) { b.NoHead = true })
	if r, _ := head(); r.status != 405 {
		t.Errorf("NoHead: %v", r)
	}
	reg.Behave(func(b *standin.Behaviour) {
		b.Answer = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusTeapot); return true }
	})
	if r, _ := head(); r.status != http.StatusTeapot {
		t.Errorf("Answer: %v", r)
	}
}

func TestAScriptIsFollowedRequestByRequest(t *testing.T) {
	reg, head := watched(t, standin.Behaviour{})
	reg.Next(
		standin.Answer{Status: 418, Match: standin.PathContains("/token")},
		standin.Answer{Status: 429, Header: map[string]string{"Retry-After": "7"}},
		standin.Answer{Reset: true},
	)
	r, err := head()
	if err != nil || r.status != 429 || r.header.Get("Retry-After") != "7" {
		t.Errorf("first: %v %v", r, err)
	}
	if _, err := head(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("second: %v, want a reset connection", err)
	}
	if r, _ := head(); r.status != 200 {
		t.Errorf("third: %v", r)
	}
	var statuses []int
	for _, q := range reg.Requests() {
		statuses = append(statuses, q.Status)
	}
	if got := fmt.Sprint(statuses); got != "[429 0 200]" {
		t.Errorf("journal %s", got)
	}
}

func TestFailuresHitTheirShareOfRequestsAlikeInEveryRun(t *testing.T) {
	run := func() (failed, reset int, pattern string) {
		_, head := watched(t, standin.Behaviour{FailPercent: 10, ResetPercent: 5})
		for range 400 {
			switch r, err := head(); {
			case err != nil:
				reset++
				pattern += "r"
			case r.status == 503:
				failed++
				pattern += "f"
			default:
				pattern += "."
			}
		}
		return failed, reset, pattern
	}
	failed, reset, pattern := run()
	if failed < 20 || failed > 60 || reset < 8 || reset > 32 {
		t.Errorf("%d failed and %d reset of 400; want about 40 and 20", failed, reset)
	}
	if _, _, again := run(); again != pattern {
		t.Error("two runs differ")
	}
}

func TestLatencyIsVirtualInABubbleAndThePeakIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := standin.NewRegistry(standin.Behaviour{Latency: 40 * time.Millisecond})
		reg.Push("acme/base", "1", twoPlatforms("1"))
		ln := standin.NewMemListener("registry.example.com:80")
		srv := standin.ServeOn(ln, reg)
		defer srv.Close()
		tr := &http.Transport{DialContext: ln.DialContext}
		defer tr.CloseIdleConnections()
		start, done := time.Now(), make(chan int)
		for range 3 {
			go func() {
				r := must(t, &http.Client{Transport: tr}, "HEAD", srv.URL+"/v2/acme/base/manifests/1", nil, "Accept", accept)
				done <- r.status
			}()
		}
		for range 3 {
			if status := <-done; status != 200 {
				t.Errorf("status %d", status)
			}
		}
		if took := time.Since(start); took != 40*time.Millisecond {
			t.Errorf("three requests at once took %v of virtual time, want 40ms", took)
		}
		if got := reg.Peak(); got != 3 {
			t.Errorf("peak %d, want 3", got)
		}
	})
}

func TestAMemNetRefusesWhereNobodyListens(t *testing.T) {
	var net standin.MemNet
	ln := net.Listen("a.example.com:443")
	if _, err := net.DialContext(t.Context(), "tcp", "b.example.com:443"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("unknown host: %v", err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := net.DialContext(t.Context(), "tcp", "a.example.com:443"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("closed host: %v", err)
	}
}

func TestConnectionsInMemoryBearAddresses(t *testing.T) {
	for host, want := range map[string]string{
		"registry.example.com:443": "203.0.113.1:443",
		"localhost:5000":           "127.0.0.1:5000",
		"10.1.2.3:80":              "10.1.2.3:80",
		"[fd00::1]:80":             "[fd00::1]:80",
	} {
		ln := standin.NewMemListener(host)
		go func() {
			if c, err := ln.Accept(); err == nil {
				_ = c.Close()
			}
		}()
		conn, err := ln.DialContext(limited(t), "tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.RemoteAddr().String(); got != want {
			t.Errorf("%s: remote address %s, want %s", host, got, want)
		}
		_ = conn.Close()
		_ = ln.Close()
	}
}

func TestAPrivateCAIsTrustedOnlyByWhoHasIt(t *testing.T) {
	srv := standin.ServeTLS(standin.NewWebhook())
	t.Cleanup(srv.Close)
	if _, err := do(t, client(t, &http.Transport{}), "POST", srv.URL, nil); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("without the CA: %v", err)
	}
	if r := must(t, client(t, transport(t, srv)), "POST", srv.URL, nil); r.status != 200 {
		t.Errorf("with the CA: %d", r.status)
	}
	if !strings.HasPrefix(string(srv.CA.PEM()), "-----BEGIN CERTIFICATE-----") {
		t.Error("the CA is no PEM")
	}
}

func TestTenThousandTagsAreCheap(t *testing.T) {
	reg := standin.NewRegistry(standin.Behaviour{})
	refs := reg.Fleet(500, 20, twoPlatforms("1"))
	if len(refs) != 10000 || refs[0] != "acme/base-0001:t01" {
		t.Fatalf("%d references, first %s", len(refs), refs[0])
	}
	if reg.Digest("acme/base-0500", "t20") == "" || reg.Digest("acme/base-0501", "t01") != "" {
		t.Error("the last repository lacks a tag, or there is one too many")
	}
}
