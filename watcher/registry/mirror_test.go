package registry

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"basewatch/internal/standin"
	"basewatch/watcher"
)

const mirrorHost = "harbor.corp.example"

// mirrored is a world whose host has a mirror under a path, with a login of its
// own.
func mirrored(t *testing.T, upstream bool) (w *world, mirror *standin.Registry) {
	t.Helper()
	w = newWorld(t, standin.Behaviour{}, nil)
	mirror = standin.NewRegistry(standin.Behaviour{Auth: standin.Bearer, Username: "robot", Password: "m1rror"})
	w.serve(t, mirrorHost, mirror)
	own, theirs := plain(), plain()
	own.Mirrors, own.Upstream = []string{"down.corp.example", mirrorHost + "/cache/"}, upstream
	login("own", "upstream-secret")(&own)
	login("robot", "m1rror")(&theirs)
	w.us = w.connect(t, Config{Hosts: map[string]HostConfig{hostName: own, mirrorHost: theirs, "down.corp.example": plain()}})
	return w, mirror
}

func TestMirrorsAreAskedInOrderUnderTheirPathWithTheirOwnLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mirror := mirrored(t, true)
		d := mirror.Push("cache/"+repoName, "1", linux)
		mustDigest(t, w.us, tagRef, d)
		if _, err := w.us.Snapshot(t.Context(), target(tagRef), d); err != nil {
			t.Fatal(err)
		}
		if n := w.Counts().Total(); n != 0 {
			t.Errorf("the host itself was asked %d times", n)
		}
		for _, h := range mirror.Authorizations(mirrorHost) {
			if h == basicHeader("own", "upstream-secret") {
				t.Error("the mirror saw the upstream's password")
			}
		}
	})
}

func TestAMirrorThatFailsOrHasItNotGivesWayToTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mirror := mirrored(t, true)
		d := w.Push(repoName, "1", linux)
		mirror.Push("cache/"+repoName, "other", linux)
		mustDigest(t, w.us, tagRef, d) // 404 there
		mirror.Always(standin.Answer{Status: http.StatusBadGateway})
		mustDigest(t, w.us, tagRef, d)
		_, err := w.us.Digest(t.Context(), hostName+"/"+repoName+":2")
		wantProblem(t, err, watcher.NotFound)
	})
}

func TestWithoutUpstreamTheHostIsNeverAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mirror := mirrored(t, false)
		w.Push(repoName, "1", linux)
		mirror.Push("cache/"+repoName, "other", linux)
		_, err := w.us.Digest(t.Context(), tagRef)
		wantProblem(t, err, watcher.Unreachable, "down.corp.example") // it may have the tag
		if n := w.Counts().Total(); n != 0 {
			t.Errorf("it was asked %d times", n)
		}
	})
}

func TestAPausedMirrorLeavesTheHostsAllowance(t *testing.T) {
	w, _ := mirrored(t, true)
	for _, h := range []string{mirrorHost, "down.corp.example"} {
		c, err := w.us.host(h)
		if err != nil {
			t.Fatal(err)
		}
		c.gate.pause(time.Now(), time.Hour, "429")
	}
	if n, _ := w.us.Allowance(hostName); n == 0 {
		t.Error("nothing may begin")
	}
}

func TestDockerHubIsReachedByItsRealName(t *testing.T) {
	w := newWorld(t, standin.Behaviour{}, nil)
	ca := w.serveTLS(t, w.Registry, "registry-1.docker.io")
	d := w.Push("library/alpine", "latest", linux)
	us := w.connect(t, Config{Hosts: map[string]HostConfig{"index.docker.io": withCA(ca)}})
	mustDigest(t, us, "docker.io/library/alpine:latest", d)
	mustDigest(t, us, "alpine", d)
	if s := us.Hosts(); len(s) != 1 || s[0].Host != "docker.io" {
		t.Errorf("hosts %+v", s)
	}
}

func withCA(file string) HostConfig {
	h := DefaultHost()
	h.CAFile = file
	return h
}

func TestTLSErrorsSayWhatToSet(t *testing.T) {
	w := newWorld(t, standin.Behaviour{}, nil)
	d := w.Push(repoName, "1", linux)
	ca := w.serveTLS(t, w.Registry, hostName)
	mustDigest(t, w.connect(t, Config{Hosts: map[string]HostConfig{hostName: withCA(ca)}}), tagRef, d)
	network := Config{}
	network.Network.CAFile = ca
	mustDigest(t, w.connect(t, network), tagRef, d)

	us, err := New(Config{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(us.Close)
	secure, open := standin.ServeTLS(w.Registry), standin.Serve(w.Registry)
	t.Cleanup(secure.Close)
	t.Cleanup(open.Close)
	_, err = us.Digest(t.Context(), secure.Host+"/"+repoName+":1")
	wantProblem(t, err, watcher.Unreachable, `ca_file under [registry."`+secure.Host+`"]`)
	_, err = us.Digest(t.Context(), open.Host+"/"+repoName+":1")
	wantProblem(t, err, watcher.Unreachable, `plain_http = true under [registry."`+open.Host+`"]`)
}

func TestAMirrorThatIsDownIsLeftOutForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mirror := mirrored(t, true)
		d := w.Push(repoName, "1", linux)
		dials := 0
		us, err := New(w.us.config, Options{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasPrefix(address, "down.") {
				dials++
				time.Sleep(9 * time.Second)
			}
			return w.net.DialContext(ctx, network, address)
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(us.Close)
		mirror.Push("cache/"+repoName, "1", linux)
		for range 200 {
			mustDigest(t, us, tagRef, d)
		}
		if dials > maxTries*failingForGood {
			t.Errorf("dialed %d times for 200 looks", dials)
		}
		time.Sleep(downFor)
		before := dials
		mustDigest(t, us, tagRef, d)
		if dials != before+1 {
			t.Errorf("after a while it was dialed %d times", dials-before)
		}
	})
}

func TestConfigErrorsNameTheKeyAndTheRemedy(t *testing.T) {
	for want, c := range map[string]func(*HostConfig){
		`.username: username and password belong together`: func(h *HostConfig) { h.Username = "bot" },
		`.helper: give either`:                             func(h *HostConfig) { login("bot", "x")(h); h.Helper = "gcloud" },
		`.helper: "/bin/sh" is not a helper's name`:        func(h *HostConfig) { h.Helper = "/bin/sh" },
		`.in_flight: 0 is not between 1 and 100`:           func(h *HostConfig) { h.InFlight = 0 },
		`.per_minute: -1 is not between`:                   func(h *HostConfig) { h.PerMinute = -1 },
		`.upstream: false leaves nobody to ask`:            func(h *HostConfig) { h.Upstream = false },
		`.mirror: "https://m.example.com": write the host`: func(h *HostConfig) { h.Mirrors = []string{"https://m.example.com"} },
		`.mirror: "mirror" is not a registry's host`:       func(h *HostConfig) { h.Mirrors = []string{"mirror"} },
		`.mirror: "m.example.com/UP": "UP" cannot stand`:   func(h *HostConfig) { h.Mirrors = []string{"m.example.com/UP"} },
		`.mirror: 9 mirrors are too many`:                  func(h *HostConfig) { h.Mirrors = slices.Repeat([]string{"m.example.com"}, 9) },
	} {
		h := DefaultHost()
		c(&h)
		err := Config{Hosts: map[string]HostConfig{"ghcr.io": h}}.Validate()
		if err == nil || !strings.Contains(err.Error(), `registry."ghcr.io"`+want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	err := Config{Hosts: map[string]HostConfig{"docker.io": DefaultHost(), "registry-1.docker.io": DefaultHost(), "registry": DefaultHost()}}.Validate()
	for _, want := range []string{`registry."registry-1.docker.io": means the same registry as registry."docker.io"`, `registry."registry": is not a registry's host`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := (Config{}).Validate(); err != nil {
		t.Error(err)
	}
	if _, err := New(Config{Hosts: map[string]HostConfig{"registry": DefaultHost()}}, Options{}); err == nil {
		t.Error("New took what Validate refuses")
	}
}

func TestABrokenCAFileIsFoundAtTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Hosts: map[string]HostConfig{"ghcr.io": withCA(file)}}, Options{}); err == nil || !strings.Contains(err.Error(), `registry."ghcr.io": ca_file`) {
		t.Errorf("got %v", err)
	}
	c := Config{}
	c.Network.CAFile = file
	if _, err := New(c, Options{}); err == nil || !strings.Contains(err.Error(), "network: ca_file") {
		t.Errorf("got %v", err)
	}
}
