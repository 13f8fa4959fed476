package web

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestWhoMayDoWhatOverTCP(t *testing.T) {
	const here, there = "127.0.0.1:50000", "192.0.2.7:50000"
	tests := []struct {
		name          string
		tokens, reads []string
		from          string
		present       string
		read, change  int
	}{
		{"none set, from here", nil, nil, here, "", 200, 403},
		{"none set, a token changes nothing", nil, nil, here, "any", 200, 403},
		{"none set, from IPv6 here", nil, nil, "[::1]:50000", "", 200, 403},
		{"none set, from beyond", nil, nil, there, "", 403, 403},
		{"token set, none given", []string{"t"}, nil, here, "", 401, 401},
		{"token set, wrong given", []string{"t"}, nil, here, "x", 401, 401},
		{"token set, its prefix given", []string{"tt"}, nil, here, "t", 401, 401},
		{"token set and given", []string{"t"}, nil, there, "t", 200, 200},
		{"both set, read given", []string{"t"}, []string{"r"}, there, "r", 200, 403},
		{"both set, token given", []string{"t"}, []string{"r"}, there, "t", 200, 200},
		{"both set, none given", []string{"t"}, []string{"r"}, here, "", 401, 401},
		{"only read set, read given", nil, []string{"r"}, there, "r", 200, 403},
		{"only read set, none given", nil, []string{"r"}, here, "", 401, 403},
		{"rotation: old", []string{"new", "old"}, nil, there, "old", 200, 200},
		{"rotation: new", []string{"new", "old"}, nil, there, "new", 200, 200},
		{"an unreadable token allows nobody", []string{"unreadable"}, nil, here, "unreadable", 401, 401},
		{"and locks out no other", []string{"unreadable", "t"}, nil, here, "t", 200, 200},
		{"an empty token allows nobody", []string{""}, nil, here, "", 401, 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newShop(time.Now())
			cfg := s.config(t)
			cfg.Tokens, cfg.ReadTokens = token(tt.tokens...), token(tt.reads...)
			h := server(t, cfg).Handler()
			for _, c := range []struct {
				method, path, body string
				want               int
			}{
				{"GET", "/api/v1/status", "", tt.read},
				{"HEAD", "/api/v1/status", "", tt.read},
				{"GET", "/api/v1/openapi.json", "", tt.read},
				{"POST", "/api/v1/retry", `{"receiver":"slack"}`, tt.change},
				{"GET", "/healthz", "", 200},
				{"GET", "/readyz", "", 200},
			} {
				r := request(t, c.method, c.path, c.body)
				r.RemoteAddr = tt.from
				if tt.present != "" {
					r.Header.Set("Authorization", "Bearer "+tt.present)
				}
				if got, body := fetch(t, h, r); got != c.want {
					t.Errorf("%s %s = %d, want %d: %s", c.method, c.path, got, c.want, body)
				}
			}
		})
	}
}

func TestTheSocketNeedsNoToken(t *testing.T) {
	cfg := newShop(time.Now()).config(t)
	cfg.Tokens = token("t")
	h := server(t, cfg).SocketHandler()
	r := request(t, "POST", "/api/v1/retry", `{"receiver":"slack"}`, "Host", "evil.example")
	if got, body := fetch(t, h, r); got != http.StatusOK {
		t.Errorf("POST over the socket = %d: %s", got, body)
	}
}

func TestARotatedTokenCountsAtOnce(t *testing.T) {
	now := "first"
	cfg := newShop(time.Now()).config(t)
	cfg.Tokens = func() []func() (string, error) {
		return []func() (string, error){func() (string, error) { return now, nil }}
	}
	h := server(t, cfg).Handler()
	ask := func() int {
		got, _ := fetch(t, h, request(t, "GET", "/api/v1/targets", "", "Authorization", "bearer second"))
		return got
	}
	if got := ask(); got != http.StatusUnauthorized {
		t.Errorf("before the rotation = %d", got)
	}
	now = "second"
	if got := ask(); got != http.StatusOK {
		t.Errorf("after the rotation = %d", got)
	}
}

func TestWhatAProxyForwardsIsNotFromHere(t *testing.T) {
	h := server(t, newShop(time.Now()).config(t)).Handler()
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP"} {
		if got, _ := fetch(t, h, request(t, "GET", "/api/v1/status", "", header, "192.0.2.7")); got != http.StatusForbidden {
			t.Errorf("%s: %d, want 403", header, got)
		}
	}
}

func TestALoopbackListenerAnswersOnlyToItsNames(t *testing.T) {
	tests := []struct {
		listen, public, host string
		want                 int
	}{
		{"127.0.0.1:8080", "", "127.0.0.1:8080", 200},
		{"127.0.0.1:8080", "", "localhost:8080", 200},
		{"127.0.0.1:8080", "", "LOCALHOST", 200},
		{"127.0.0.1:8080", "", "localhost.:8080", 200},
		{"127.0.0.1:8080", "", "[::1]:8080", 200},
		{"127.0.0.1:8080", "", "127.0.0.2", 200},
		{"127.0.0.1:8080", "", "rebind.example:8080", 403},
		{"127.0.0.1:8080", "", "localhost.rebind.example", 403},
		{"127.0.0.1:8080", "", "127.0.0.1.rebind.example", 403},
		{"127.0.0.1:8080", "", "192.0.2.1:8080", 403},
		{"127.0.0.1:8080", "https://basewatch.example.com", "basewatch.example.com", 200},
		{"127.0.0.1:8080", "https://basewatch.example.com", "other.example.com", 403},
		{"localhost:8080", "", "rebind.example:8080", 403},
		{"[::1]:8080", "", "rebind.example:8080", 403},
		{"0.0.0.0:8080", "", "anything.example", 200},
		{":8080", "", "anything.example", 200},
	}
	for _, tt := range tests {
		cfg := newShop(time.Now()).config(t)
		cfg.Listen, cfg.PublicURL = tt.listen, tt.public
		h := server(t, cfg).Handler()
		if got, _ := fetch(t, h, request(t, "GET", "/api/v1/status", "", "Host", tt.host)); got != tt.want {
			t.Errorf("listen %s, public %q, Host %s: %d, want %d", tt.listen, tt.public, tt.host, got, tt.want)
		}
		if got, _ := fetch(t, h, request(t, "GET", "/healthz", "", "Host", tt.host)); got != 200 {
			t.Errorf("healthz, Host %s: %d", tt.host, got)
		}
	}
}

func TestAPageOfAnotherOriginChangesNothing(t *testing.T) {
	tests := []struct {
		header, value string
		want          int
	}{
		{"Sec-Fetch-Site", "cross-site", 403},
		{"Sec-Fetch-Site", "same-site", 403},
		{"Sec-Fetch-Site", "same-origin", 200},
		{"Origin", "https://evil.example", 403},
		{"Origin", "https://basewatch.example.com", 200},
		{"X-Nothing", "", 200},
	}
	for _, tt := range tests {
		s := newShop(time.Now())
		cfg := s.config(t)
		cfg.Tokens, cfg.PublicURL = token("t"), "https://basewatch.example.com/"
		r := request(t, "POST", "/api/v1/retry", `{"receiver":"slack"}`, "Authorization", "Bearer t", tt.header, tt.value)
		if got, _ := fetch(t, server(t, cfg).Handler(), r); got != tt.want {
			t.Errorf("%s: %s = %d, want %d", tt.header, tt.value, got, tt.want)
		}
		if refused := tt.want != 200; refused == (len(s.retried) > 0) {
			t.Errorf("%s: %s: retried %v", tt.header, tt.value, s.retried)
		}
	}
}

func TestARefusalSaysTheRemedy(t *testing.T) {
	cfg := newShop(time.Now()).config(t)
	h := server(t, cfg).Handler()
	_, body := fetch(t, h, request(t, "POST", "/api/v1/retry", `{"receiver":"slack"}`))
	if !strings.Contains(body, "set token under [http]") {
		t.Errorf("no remedy in %s", body)
	}
	cfg.Tokens = token("t")
	resp, err := inProcess{server(t, cfg).Handler()}.RoundTrip(request(t, "GET", "/api/v1/status", ""))
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("WWW-Authenticate"); got != `Bearer realm="basewatch"` {
		t.Errorf("WWW-Authenticate = %q", got)
	}
}

func TestAPublicURLThatIsNoneIsRefused(t *testing.T) {
	for _, u := range []string{"basewatch.example.com", "ftp://basewatch.example.com", "https://", ":"} {
		cfg := newShop(time.Now()).config(t)
		cfg.PublicURL = u
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "http.public_url") {
			t.Errorf("public_url %q: %v", u, err)
		}
	}
}
