package registry

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"basewatch/internal/standin"
	"basewatch/watcher"
)

func TestAnIdentityTokenIsExchanged(t *testing.T) {
	var form url.Values
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token" && r.Method == http.MethodPost:
			_ = r.ParseForm()
			mu.Lock()
			form = r.PostForm
			mu.Unlock()
			fmt.Fprint(w, `{"access_token":"good","expires_in":300}`)
		case r.Header.Get("Authorization") == "Bearer good":
			w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("a", 64))
		default:
			w.Header().Set("Www-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="svc"`, r.Host))
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(s.Close)
	host := s.Listener.Addr().String()
	helper(t, "ident", `{"Username":"<token>","Secret":"refresh-me"}`)
	h := plain()
	h.Helper = "ident"
	us, err := New(Config{Hosts: map[string]HostConfig{host: h}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(us.Close)
	mustDigest(t, us, host+"/acme/base:1", "sha256:"+strings.Repeat("a", 64))
	mu.Lock()
	defer mu.Unlock()
	want := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"refresh-me"}, "service": {"svc"},
		"scope": {"repository:acme/base:pull"}, "client_id": {"basewatch"}}
	if diff := cmp.Diff(want, form); diff != "" {
		t.Error(diff)
	}
}

// helper puts a docker credential helper on the path that answers so, and
// returns the file where it notes what it was asked.
func helper(t *testing.T, name, answer string) string {
	t.Helper()
	dir := t.TempDir()
	asked := filepath.Join(dir, "asked")
	script := fmt.Sprintf("#!/bin/sh\ncat >> %s\necho >> %s\ncat <<'EOF'\n%s\nEOF\n", asked, asked, answer)
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte(script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return asked
}

func TestAHelperIsAskedOncePerHostAndNotPerLook(t *testing.T) {
	asked := helper(t, "corp", `{"Username":"bot","Secret":"hunter2"}`)
	w := newWorld(t, standin.Behaviour{Auth: standin.Basic, Username: "bot", Password: "hunter2"}, edit(func(h *HostConfig) { h.Helper = "corp" }))
	refs := w.Fleet(5, 5, linux)
	if errs := looks(t, w.us, refs); len(errs) > 0 {
		t.Fatal(errs[0])
	}
	if got, _ := os.ReadFile(asked); string(got) != hostName+"\n" {
		t.Errorf("asked %q", got)
	}
}

func TestAHelperIsAskedAgainWhenItsPasswordIsRefused(t *testing.T) {
	helper(t, "corp", `{"Username":"bot","Secret":"old"}`)
	w := newWorld(t, standin.Behaviour{Auth: standin.Basic, Username: "bot", Password: "old"}, edit(func(h *HostConfig) { h.Helper = "corp" }))
	d := w.Push(repoName, "1", linux)
	mustDigest(t, w.us, tagRef, d)
	helper(t, "corp", `{"Username":"bot","Secret":"new"}`)
	w.Behave(func(b *standin.Behaviour) { b.Password = "new" })
	mustDigest(t, w.us, tagRef, d)
}

func TestAHelperThatFailsSaysSo(t *testing.T) {
	w := newWorld(t, standin.Behaviour{Auth: standin.Basic, Username: "bot", Password: "x"}, edit(func(h *HostConfig) { h.Helper = "absent" }))
	_, err := w.us.Digest(t.Context(), tagRef)
	wantProblem(t, err, watcher.Denied, "docker-credential-absent get")
	helper(t, "empty", `{}`)
	w = newWorld(t, standin.Behaviour{Auth: standin.Basic, Username: "bot", Password: "x"}, edit(func(h *HostConfig) { h.Helper = "empty" }))
	_, err = w.us.Digest(t.Context(), tagRef)
	wantProblem(t, err, watcher.Denied, "docker-credential-empty get: it printed no credentials")
}

func TestDockersConfigurationIsUsedForItsHostAlone(t *testing.T) {
	dir := t.TempDir()
	config := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, hostName, base64.StdEncoding.EncodeToString([]byte("bot:hunter2")))
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", dir)
	w := newWorld(t, standin.Behaviour{Auth: standin.Basic, Username: "bot", Password: "hunter2"}, nil)
	d := w.Push(repoName, "1", linux)
	mustDigest(t, w.us, tagRef, d)

	const other = "other.example.com"
	w.serve(t, other, w.Registry)
	us := w.connect(t, Config{Hosts: map[string]HostConfig{other: plain()}})
	_, err := us.Digest(t.Context(), other+"/"+repoName+":1")
	wantProblem(t, err, watcher.Denied, "set username and password")
	if got := w.Authorizations(other); len(got) > 0 {
		t.Errorf("the other host saw %q", got)
	}
}

func TestGitHubsTokenGoesToGHCR(t *testing.T) {
	t.Setenv("GITHUB_TOKEN", "ghs_1")
	t.Setenv("GITHUB_ACTOR", "octo")
	w := newWorld(t, standin.Behaviour{Auth: standin.Basic, Username: "octo", Password: "ghs_1"}, nil)
	w.serve(t, "ghcr.io", w.Registry)
	d := w.Push(repoName, "1", linux)
	us := w.connect(t, Config{Hosts: map[string]HostConfig{"ghcr.io": plain()}})
	mustDigest(t, us, "ghcr.io/"+repoName+":1", d)
	if got := w.Authorizations("ghcr.io"); !slices.Equal(got, []string{basicHeader("octo", "ghs_1")}) {
		t.Errorf("ghcr.io saw %q", got)
	}
}

func TestAHelperThatHangsFailsTheLookAndIsNotStartedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		starts, hang := 0, make(chan struct{})
		c := &credentials{host: "h"}
		c.lookup = func(context.Context) (credential, error) {
			starts++
			<-hang
			return credential{username: "u"}, nil
		}
		for range 3 {
			began := time.Now()
			_, err := c.get(t.Context())
			wantProblem(t, err, watcher.Unreachable, "has not answered for 20s")
			if took := time.Since(began); took != credentialTimeout {
				t.Errorf("took %s", took)
			}
		}
		close(hang)
		synctest.Wait()
		if got, err := c.get(t.Context()); err != nil || got.username != "u" || starts != 1 {
			t.Errorf("got %+v, %v after %d starts", got, err, starts)
		}
	})
}

// TestWhatARegistryRepeatsOfALoginIsNotTold: an answer that echoes the request
// shows neither password, nor token, nor the proxy's password.
func TestWhatARegistryRepeatsOfALoginIsNotTold(t *testing.T) {
	echo := func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "" {
			return false
		}
		_, password, _ := r.BasicAuth()
		rw.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(rw, `{"errors":[{"message":"refused: %s %s"}]}`, r.Header.Get("Authorization"), password)
		return true
	}
	for _, auth := range []standin.Auth{standin.Basic, standin.Bearer} {
		w := newWorld(t, standin.Behaviour{Auth: auth, Username: "bot", Password: "hunter2-canary", NoHead: true}, edit(login("bot", "hunter2-canary")))
		w.Push(repoName, "1", linux)
		w.Behave(func(b *standin.Behaviour) { b.Answer = echo })
		_, err := w.us.Digest(t.Context(), tagRef)
		wantProblem(t, err, watcher.Denied, "refused: ", "***")
		for _, secret := range []string{"hunter2-canary", strings.TrimPrefix(basicHeader("bot", "hunter2-canary"), "Basic "), "stand-in-token"} {
			if strings.Contains(err.Error(), secret) || strings.Contains(fmt.Sprint(w.us.Hosts()), secret) {
				t.Errorf("auth %d: %q", auth, err)
			}
		}
	}
}
