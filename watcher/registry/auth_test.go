package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"basewatch/internal/standin"
	"basewatch/watcher"
)

func TestParseChallenges(t *testing.T) {
	for _, tc := range []struct {
		headers []string
		want    string
	}{
		{[]string{`Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"`},
			"[{bearer map[realm:https://auth.docker.io/token scope:repository:a/b:pull,push service:registry.docker.io]}]"},
		{[]string{`Basic realm="a, b", Bearer realm="https://x/token" , service = s`}, "[{basic map[realm:a, b]} {bearer map[realm:https://x/token service:s]}]"},
		{[]string{`Basic realm=x`, `bearer REALM=https://y/`}, "[{basic map[realm:x]} {bearer map[realm:https://y/]}]"},
		{[]string{`Negotiate`, `Negotiate YII=, Basic realm="r"`}, "[{negotiate map[]} {negotiate map[yii:]} {basic map[realm:r]}]"},
		{[]string{`Bearer realm="say \"hi\"",realm="twice"`}, `[{bearer map[realm:say "hi"]}]`},
		{[]string{`Bearer realm="open`}, "[{bearer map[realm:open]}]"},
		{[]string{`realm="orphan"`, ` ,, ;"`, ""}, "[]"},
		{nil, "[]"},
	} {
		if got := fmt.Sprint(parseChallenges(tc.headers)); got != tc.want {
			t.Errorf("%q\n got %s\nwant %s", tc.headers, got, tc.want)
		}
	}
}

func FuzzChallenge(f *testing.F) {
	f.Add(`Bearer realm="https://auth.example.com/token",service="x",scope="repository:a:pull"`)
	f.Add(`Basic realm="a\"b", Bearer realm=x, =, "`)
	f.Add("Negotiate YII==,\x00é")
	f.Fuzz(func(t *testing.T, header string) {
		got := parseChallenges([]string{header, header})
		if len(got) > maxChallenges {
			t.Errorf("%d challenges", len(got))
		}
		for _, c := range got {
			if c.scheme == "" || c.params == nil {
				t.Errorf("%q gave %+v", header, c)
			}
		}
		pickScheme(got)
	})
}

func TestPickScheme(t *testing.T) {
	for header, want := range map[string]scheme{
		`Basic realm="r", Bearer realm="https://x/t",service="s",scope="repository:a:pull"`: {kind: "bearer", realm: "https://x/t", service: "s"},
		`Bearer realm="https://x/t",scope="aws"`:                                            {kind: "bearer", realm: "https://x/t", scope: "aws"},
		`Bearer service="s", Basic realm="r"`:                                               {kind: "basic"},
		`Negotiate`:                                                                         {},
	} {
		if got := pickScheme(parseChallenges([]string{header})); got != want {
			t.Errorf("%s: got %+v", header, got)
		}
	}
}

func TestRealm(t *testing.T) {
	for _, tc := range []struct {
		host, realm        string
		plain, credentials bool
		refused            string // part of the error; empty: allowed
	}{
		{"docker.io", "https://auth.docker.io/token", false, true, ""},
		{"dhi.io", "https://auth.docker.io/token", false, true, ""},
		{"ghcr.io", "https://ghcr.io/token", false, true, ""},
		{"registry.gitlab.com", "https://gitlab.com/jwt/auth", false, true, ""},
		{"registry.git.corp.example", "https://git.corp.example/jwt/auth", false, true, ""},
		{"public.ecr.aws", "https://public.ecr.aws/token/", false, true, ""},
		{"lscr.io", "https://ghcr.io/token", false, false, ""},
		{"lscr.io", "https://ghcr.io/token", false, true, "not under its own domain"},
		{"a.github.io", "https://b.github.io/token", false, true, "not under its own domain"},
		{"registry.co.uk", "https://evil.co.uk/token", false, true, "not under its own domain"},
		{"localhost:5000", "https://localhost:5001/token", false, true, ""},
		{"localhost:5000", "http://localhost:5001/token", true, true, ""},
		{"localhost:5000", "http://localhost:5001/token", false, true, "plain_http = true"},
		{"localhost:5000", "http://auth.example.com/token", true, false, "only https"},
		{"10.0.0.5:5000", "https://10.0.0.5:5001/token", false, true, ""},
		{"registry.example.com", "https://10.0.0.5/token", false, false, "by a host name"},
		{"registry.example.com", "https://[::1]/token", false, false, "by a host name"},
		{"registry.example.com", "https://169.254.169.254/latest", false, false, "by a host name"},
		{"registry.example.com", "ftp://registry.example.com/token", true, false, "only https"},
		{"registry.example.com", "file:///etc/passwd", false, false, "no usable token server"},
		{"registry.example.com", "https://u:p@registry.example.com/t", false, false, "no usable token server"},
		{"registry.example.com", "/token", false, false, "no usable token server"},
		{"registry.example.com", "https://%zz", false, false, "no usable token server"},
	} {
		addr := tc.host
		if addr == "docker.io" {
			addr = "registry-1.docker.io"
		}
		u, err := realmRule{tc.host, addr, tc.plain, tc.credentials}.check(tc.realm)
		if tc.refused == "" && (err != nil || u == nil) || tc.refused != "" && (err == nil || !strings.Contains(err.Error(), tc.refused)) {
			t.Errorf("%s → %s (plain %t, credentials %t): got %v, want %q", tc.host, tc.realm, tc.plain, tc.credentials, err, tc.refused)
		}
	}
}

func login(user, password string) func(*HostConfig) {
	return func(h *HostConfig) {
		h.Username, h.Password = user, func() (string, error) { return password, nil }
	}
}

func basicHeader(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestALoginWorksWithBasicAndWithTokens(t *testing.T) {
	for _, auth := range []standin.Auth{standin.Basic, standin.Bearer} {
		w := newWorld(t, standin.Behaviour{Auth: auth, Username: "bot", Password: "hunter2"}, edit(login("bot", "hunter2")))
		d := w.Push(repoName, "1", linux)
		mustDigest(t, w.us, tagRef, d)
		if _, err := w.us.Snapshot(t.Context(), target(tagRef), d); err != nil {
			t.Fatal(err)
		}
		if n := w.Counts().Total(); n > 4 {
			t.Errorf("auth %d cost %d requests", auth, n)
		}
	}
}

func TestARotatedPasswordIsTakenWithoutARestart(t *testing.T) {
	password := "old"
	w := newWorld(t, standin.Behaviour{Auth: standin.Basic, Username: "bot", Password: "old"}, edit(func(h *HostConfig) {
		h.Username, h.Password = "bot", func() (string, error) { return password, nil }
	}))
	d := w.Push(repoName, "1", linux)
	mustDigest(t, w.us, tagRef, d)
	w.Behave(func(b *standin.Behaviour) { b.Password = "new" })
	password = "new"
	mustDigest(t, w.us, tagRef, d)
}

func TestAWrongPasswordStopsBeingSent(t *testing.T) {
	for _, auth := range []standin.Auth{standin.Basic, standin.Bearer} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, standin.Behaviour{Auth: auth, Username: "bot", Password: "right"}, edit(login("bot", "wr0ng")))
			refs := w.Fleet(30, 1, linux)
			for range 3 {
				for _, err := range looks(t, w.us, refs) {
					wantProblem(t, err, watcher.Denied)
					if strings.Contains(err.Error(), "wr0ng") {
						t.Errorf("secret in %q", err)
					}
				}
			}
			sent := 0
			for _, r := range w.Requests() {
				if r.Authorized {
					sent++
				}
			}
			if sent > maxLoginFailures+20 { // those in flight when it was noticed
				t.Errorf("auth %d: the password was sent %d times", auth, sent)
			}
			w.Behave(func(b *standin.Behaviour) { b.Password = "wr0ng" })
			time.Sleep(refusedFor + deniedFor)
			if errs := looks(t, w.us, refs); len(errs) > 0 {
				t.Errorf("auth %d, after the rest: %v", auth, errs[0])
			}
		})
	}
}

func TestARefusedRepositoryCostsOneLoginForAllItsTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, standin.Behaviour{Auth: standin.Bearer, Username: "bot", Password: "right"}, nil)
		refs := w.Fleet(1, 20, linux)
		for range 2 {
			if errs := looks(t, w.us, refs); len(errs) != 20 {
				t.Errorf("%d of 20 were refused", len(errs))
			}
		}
		if got := w.Counts(); got.Token != 1 {
			t.Errorf("it cost %+v", got)
		}
	})
}

func TestAScopeThatIsNoRepositorysIsAskedForAsWell(t *testing.T) {
	w := newWorld(t, standin.Behaviour{Auth: standin.Bearer}, nil)
	d := w.Push(repoName, "1", linux)
	w.Next(standin.Answer{Status: http.StatusUnauthorized, Header: map[string]string{
		"Www-Authenticate": `Bearer realm="http://registry.example.com/token",service="public.ecr.aws",scope="aws"`}})
	mustDigest(t, w.us, tagRef, d)
	if got, want := w.Requests()[1].Query, "scope=repository%3Aacme%2Fbase%3Apull&scope=aws&service=public.ecr.aws"; got != want {
		t.Errorf("asked for %s", got)
	}
}

func TestAGoodPasswordIsNotBarredByRepositoriesThatItMayNotRead(t *testing.T) {
	w := newWorld(t, standin.Behaviour{Auth: standin.Basic, Username: "bot", Password: "right"}, edit(login("bot", "right")))
	d := w.Push(repoName, "1", linux)
	mustDigest(t, w.us, tagRef, d)
	w.Behave(func(b *standin.Behaviour) {
		b.Answer = func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "secret") {
				return false
			}
			rw.Header().Set("Www-Authenticate", `Basic realm="r"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return true
		}
	})
	for range maxLoginFailures {
		_, err := w.us.Digest(t.Context(), hostName+"/acme/secret:1")
		wantProblem(t, err, watcher.Denied)
	}
	mustDigest(t, w.us, tagRef, d)
}

func TestAGoodLoginIsNotBarredByRepositoriesThatItMayNotRead(t *testing.T) {
	w := newWorld(t, standin.Behaviour{Auth: standin.Bearer, Username: "bot", Password: "right"}, edit(login("bot", "right")))
	d := w.Push(repoName, "1", linux)
	mustDigest(t, w.us, tagRef, d)
	for i := range 2 * maxLoginFailures {
		w.Next(standin.Answer{Status: http.StatusForbidden, Match: standin.PathContains("/token")})
		_, err := w.us.Digest(t.Context(), fmt.Sprintf("%s/acme/secret-%d:1", hostName, i))
		wantProblem(t, err, watcher.Denied)
	}
	w.ForgetTokens()
	mustDigest(t, w.us, tagRef, d)
}

func TestATokenServerInsideIsRefusedByItsResolvedAddress(t *testing.T) {
	w := newWorld(t, standin.Behaviour{Auth: standin.Bearer, Realm: "https://auth.example.com/token"}, nil)
	inside := standin.NewRegistry(standin.Behaviour{Auth: standin.Bearer})
	s := standin.ServeOn(w.net.Listen("10.0.0.9:443"), inside)
	t.Cleanup(s.Close)
	us, err := New(w.us.config, Options{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		return w.net.DialContext(ctx, network, strings.Replace(address, "auth.example.com", "10.0.0.9", 1))
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(us.Close)
	_, err = us.Digest(t.Context(), tagRef)
	wantProblem(t, err, watcher.Unreachable, "auth.example.com has the private address 10.0.0.9", "by its own host name")
	if got := inside.Requests(); len(got) > 0 {
		t.Errorf("it was asked: %+v", got)
	}
}

func TestALockedOutLoginIsNotSentAgainForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, standin.Behaviour{Auth: standin.Bearer, Username: "bot", Password: "x"}, edit(login("bot", "wr0ng")))
		w.Next(standin.Answer{Status: http.StatusTooManyRequests, Match: standin.PathContains("/token"),
			Body: `{"details":"too many failed login attempts for username or IP address"}`})
		_, err := w.us.Digest(t.Context(), tagRef)
		wantProblem(t, err, watcher.Denied, "too many failed login attempts", "check the credentials")
		time.Sleep(59 * time.Minute)
		w.ResetCounts()
		_, err = w.us.Digest(t.Context(), hostName+"/other:1")
		wantProblem(t, err, watcher.Denied, "not sent again before")
		if n := w.Counts().Token; n != 0 {
			t.Errorf("%d token requests during the lock", n)
		}
		if n, _ := w.us.Allowance(hostName); n == 0 {
			t.Error("a wrong password paused the whole host")
		}
	})
}

func TestAPasswordIsNeverSentToAnotherHostsTokenServer(t *testing.T) {
	w := newWorld(t, standin.Behaviour{Auth: standin.Bearer, Username: "bot", Password: "hunter2"}, edit(login("bot", "hunter2")))
	thief := standin.NewRegistry(standin.Behaviour{Auth: standin.Bearer})
	w.serveTLS(t, thief, "auth.evil.example")
	w.Behave(func(b *standin.Behaviour) { b.Realm = "https://auth.evil.example/token" })
	_, err := w.us.Digest(t.Context(), tagRef)
	wantProblem(t, err, watcher.Denied, "auth.evil.example", "not under its own domain")
	if got := thief.Requests(); len(got) > 0 {
		t.Errorf("the other host was asked: %+v", got)
	}
}

func TestAnAnonymousTokenMayComeFromAnotherHostOverTLS(t *testing.T) {
	w := newWorld(t, standin.Behaviour{Auth: standin.Bearer}, nil)
	ca := w.serveTLS(t, w.Registry, "auth.example.net")
	w.Behave(func(b *standin.Behaviour) { b.Realm = "https://auth.example.net/token" })
	d := w.Push(repoName, "1", linux)
	h := plain()
	h.CAFile = ca
	mustDigest(t, w.connect(t, Config{Hosts: map[string]HostConfig{hostName: h}}), tagRef, d)
}

func TestAuthorizationDoesNotFollowABlobToAnotherHost(t *testing.T) {
	w := newWorld(t, standin.Behaviour{Auth: standin.Bearer}, nil)
	img := linux
	img.Platforms, img.Single = map[string]string{"linux/amd64": "a"}, true
	d := w.Push(repoName, "1", img)
	cdn := standin.NewRegistry(standin.Behaviour{})
	cdn.Push(repoName, "1", img)
	w.serve(t, "cdn.example.net", cdn)
	w.Behave(func(b *standin.Behaviour) {
		b.Answer = func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/blobs/") {
				return false
			}
			http.Redirect(rw, r, "http://cdn.example.net"+r.URL.Path, http.StatusTemporaryRedirect)
			return true
		}
	})
	mustDigest(t, w.us, tagRef, d)
	if _, err := w.us.Snapshot(t.Context(), target(tagRef), d); err != nil {
		t.Fatal(err)
	}
	if got := cdn.Authorizations("cdn.example.net"); len(got) > 0 || cdn.Counts().Blob != 1 {
		t.Errorf("the other host saw %q in %+v", got, cdn.Counts())
	}
}

func TestReadToken(t *testing.T) {
	now := time.Unix(1e9, 0)
	for body, want := range map[string]struct {
		value string
		life  time.Duration
	}{
		`{"token":"t","expires_in":300}`:                          {"Bearer t", 270 * time.Second},
		`{"access_token":"a"}`:                                    {"Bearer a", 54 * time.Second},
		`{"token":"t","access_token":"a","expires_in":-1}`:        {"Bearer t", 54 * time.Second},
		`{"token":"t","expires_in":1e300}`:                        {"Bearer t", maxLifetime * 9 / 10},
		`{"token":"t","issued_at":"2001-01-01","expires_in":600}`: {"Bearer t", 9 * time.Minute},
	} {
		got, err := readToken([]byte(body), "auth.example.com", now)
		if err != nil || got.header[0] != want.value || got.renewAt.Sub(now) != want.life {
			t.Errorf("%s: got %v for %s, %v", body, got.header, got.renewAt.Sub(now), err)
		}
	}
	for _, body := range []string{``, `{}`, `[]`, `{"token":"a\r\nX-Evil: 1"}`, `<html>`} {
		if _, err := readToken([]byte(body), "auth.example.com", now); watcher.ProblemOf(err) != watcher.Invalid || err == nil {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestTokensAreBounded(t *testing.T) {
	var ts tokens
	for i := range maxTokens + 100 {
		fetch := func() (token, error) { return token{header: []string{"t"}, renewAt: time.Now().Add(time.Hour)}, nil }
		if _, err := ts.get(t.Context(), fmt.Sprint(i), fetch); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(ts.byRepo); n > maxTokens {
		t.Errorf("%d tokens are kept", n)
	}
}

func TestAnAbandonedTokenFetchFailsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ts tokens
		ctx, cancel := contextWithTimeout(t, time.Second)
		defer cancel()
		go func() {
			_, _ = ts.get(ctx, "r", func() (token, error) { <-ctx.Done(); return token{}, errors.New("cancelled") })
		}()
		synctest.Wait()
		got, err := ts.get(t.Context(), "r", func() (token, error) {
			return token{header: []string{"Bearer t"}, renewAt: time.Now().Add(time.Hour)}, nil
		})
		if err != nil || len(got) != 1 {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

// A host may move its token server, or be mended: the next look asks it anew
// instead of asking the old one for ever.
func TestATokenServerThatMovedIsFoundAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, standin.Behaviour{Auth: standin.Bearer, TokenTTL: time.Minute}, nil)
		d := w.Push(repoName, "1", linux)
		mustDigest(t, w.us, tagRef, d)
		w.Behave(func(b *standin.Behaviour) {
			b.Realm = "http://" + hostName + "/token2"
			b.Answer = func(rw http.ResponseWriter, r *http.Request) bool {
				switch r.URL.Path {
				case "/token":
					rw.WriteHeader(http.StatusUnauthorized)
					return true
				case "/token2":
					r.URL.Path = "/token"
				}
				return false
			}
		})
		time.Sleep(2 * time.Minute) // the token has expired
		if _, err := w.us.Digest(t.Context(), tagRef); err == nil {
			t.Fatal("the old token server still gives tokens")
		}
		mustDigest(t, w.us, tagRef, d)
	})
}

// A host that wants a login we do not have costs one request a look.
func TestAMissingLoginCostsOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, standin.Behaviour{Auth: standin.Basic, Username: "bot", Password: "hunter22"}, nil)
		w.Push(repoName, "1", linux)
		for range 3 {
			_, err := w.us.Digest(t.Context(), tagRef)
			if watcher.ProblemOf(err) != watcher.Denied {
				t.Fatalf("got %v, want Denied", err)
			}
		}
		if c := w.Counts(); c.Total() != 3 {
			t.Errorf("3 looks cost %+v", c)
		}
	})
}
