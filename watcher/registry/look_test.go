package registry

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"basewatch/internal/standin"
	"basewatch/watcher"
)

// counter is an Observer that counts.
type counter struct {
	mu        sync.Mutex
	requests  map[string]int
	remaining int
}

func (c *counter) Request(_ string, kind Kind, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.requests == nil {
		c.requests = map[string]int{}
	}
	c.requests[fmt.Sprint(kind, " ", status)]++
}

func (c *counter) Quota(_ string, remaining, _ int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remaining = remaining
}

// looks makes one look at every ref, as many at a time as a daemon would, and
// returns the errors.
func looks(t *testing.T, us *Registries, refs []string) []error {
	t.Helper()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
		work = make(chan string)
	)
	for range 20 {
		wg.Go(func() {
			for ref := range work {
				if _, err := us.Digest(t.Context(), hostName+"/"+ref); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	for _, ref := range refs {
		work <- ref
	}
	close(work)
	wg.Wait()
	return errs
}

func TestUnchangedTagsCostAtMost1Point06RequestsEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, standin.Behaviour{Auth: standin.Bearer, Latency: 40 * time.Millisecond}, nil)
		refs := w.Fleet(50, 20, linux)
		for pass, want := range []standin.Counts{{Head: 1001, Token: 50}, {Head: 1000, Token: 50}} {
			w.ResetCounts()
			if errs := looks(t, w.us, refs); len(errs) > 0 {
				t.Fatal(errs[0])
			}
			if got := w.Counts(); got != want || float64(got.Total()) > 1.06*1000 {
				t.Errorf("pass %d cost %+v, want %+v", pass, got, want)
			}
			if w.Peak() > 10 {
				t.Errorf("%d requests in flight, at most 10", w.Peak())
			}
			time.Sleep(time.Hour) // virtual; the tokens expire
		}
	})
}

func TestEachRepositorysTokenIsFetchedOnceWhateverAsksAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, standin.Behaviour{Auth: standin.Bearer, Latency: time.Second, TokenTTL: 100 * time.Second}, nil)
		refs := w.Fleet(1, 20, linux)
		if errs := looks(t, w.us, refs); len(errs) > 0 {
			t.Fatal(errs[0])
		}
		if got := w.Counts(); got.Token != 1 {
			t.Errorf("%d tokens", got.Token)
		}
		// Renewed at nine tenths of its life, before it is refused.
		time.Sleep(89 * time.Second)
		w.ResetCounts()
		if errs := looks(t, w.us, refs[:1]); len(errs) > 0 || w.Counts() != (standin.Counts{Head: 1, Token: 1}) {
			t.Errorf("near its end: %+v, %v", w.Counts(), errs)
		}
	})
}

func TestAForgottenTokenIsRenewedOnceAndWithoutAnError(t *testing.T) {
	w := newWorld(t, standin.Behaviour{Auth: standin.Bearer}, nil)
	want := w.Push(repoName, "1", linux)
	mustDigest(t, w.us, tagRef, want)
	w.ForgetTokens()
	w.ResetCounts()
	mustDigest(t, w.us, tagRef, want)
	if got := w.Counts(); got != (standin.Counts{Head: 2, Token: 1}) {
		t.Errorf("got %+v", got)
	}
}

func TestARepositoryThatIsNotThereIsDeniedAndSaysWhatToDo(t *testing.T) {
	w := newWorld(t, standin.Behaviour{Auth: standin.Bearer}, nil)
	_, err := w.us.Digest(t.Context(), tagRef)
	wantProblem(t, err, watcher.Denied, tagRef+": ", "no such repository", `[registry."registry.example.com"]`)
	if n := w.Counts().Total(); n > 5 {
		t.Errorf("it cost %d requests", n)
	}
}

func TestARegistryWithoutHeadIsAskedByGetAndRemembered(t *testing.T) {
	for name, b := range map[string]standin.Behaviour{"405": {NoHead: true}, "no digest header": {NoDigest: true}} {
		w := newWorld(t, b, nil)
		want := w.Push(repoName, "1", linux)
		mustDigest(t, w.us, tagRef, want)
		mustDigest(t, w.us, tagRef, want)
		if got := w.Counts(); got != (standin.Counts{Head: 1, Get: 2}) {
			t.Errorf("%s: got %+v", name, got)
		}
		if s := w.us.Hosts(); !s[0].WithoutHead {
			t.Errorf("%s: the status does not say so", name)
		}
	}
}

func TestA404OfHeadAloneIsNoAbsence(t *testing.T) {
	w := newWorld(t, standin.Behaviour{}, nil)
	want := w.Push(repoName, "1", linux)
	w.Next(standin.Answer{Status: http.StatusNotFound})
	mustDigest(t, w.us, tagRef, want)
	mustDigest(t, w.us, tagRef, want)
	if got := w.Counts(); got != (standin.Counts{Head: 2, Get: 1}) {
		t.Errorf("got %+v; one false 404 must not cost HEAD its trust", got)
	}
	_, err := w.us.Digest(t.Context(), hostName+"/"+repoName+":2")
	wantProblem(t, err, watcher.NotFound, hostName+"/"+repoName+":2: no such tag (HEAD and GET answered 404)")
}

func TestADigestThatTheBodyDoesNotHaveIsQuarantined(t *testing.T) {
	w := newWorld(t, standin.Behaviour{NoHead: true}, nil)
	lie := strings.Repeat("0", 64)
	w.Behave(func(b *standin.Behaviour) {
		b.Answer = func(rw http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead {
				return false
			}
			rw.Header().Set("Docker-Content-Digest", "sha256:"+lie)
			_, _ = rw.Write([]byte(`{"schemaVersion":2,"manifests":[]}`))
			return true
		}
	})
	_, err := w.us.Digest(t.Context(), tagRef)
	wantProblem(t, err, watcher.Invalid, "000000000000", "not taken")
	_, err = w.us.Snapshot(t.Context(), target(tagRef), "sha256:"+lie)
	wantProblem(t, err, watcher.Invalid, "000000000000", "not taken")
}

func TestALoginPageIsNoManifest(t *testing.T) {
	w := newWorld(t, standin.Behaviour{}, nil)
	w.Always(standin.Answer{Status: http.StatusOK, Header: map[string]string{"Content-Type": "text/html"}, Body: "<html>sign in</html>"})
	_, err := w.us.Digest(t.Context(), tagRef)
	wantProblem(t, err, watcher.Invalid, "not taken", tagRef)
}

func TestSchema1IsSaidToBeUnsupportedByHeadAlready(t *testing.T) {
	w := newWorld(t, standin.Behaviour{}, nil)
	w.Next(standin.Answer{Status: http.StatusOK, Header: map[string]string{
		"Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws", "Docker-Content-Digest": "sha256:" + strings.Repeat("0", 64)}})
	_, err := w.us.Digest(t.Context(), tagRef)
	wantProblem(t, err, watcher.Invalid, "schema 1")
}

func TestFivePercentOfFailuresFailNoLook(t *testing.T) {
	for name, b := range map[string]standin.Behaviour{
		"503":   {Auth: standin.Bearer, FailPercent: 5},
		"reset": {Auth: standin.Bearer, ResetPercent: 5},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, b, nil)
			refs := w.Fleet(50, 20, linux)
			if errs := looks(t, w.us, refs); len(errs) > 0 {
				t.Errorf("%s: %d of 1000 looks failed: %v", name, len(errs), errs[0])
			}
			if n := w.Counts().Total(); n < 1080 || n > 1200 {
				t.Errorf("%s: %d requests", name, n)
			}
		})
	}
}

func TestAHostThatIsDownIsNotAskedAsOftenAsAllTriesWouldBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, standin.Behaviour{FailPercent: 100}, nil)
		refs := w.Fleet(10, 10, linux)
		errs := looks(t, w.us, refs)
		if len(errs) != 100 {
			t.Fatalf("%d of 100 looks failed", len(errs))
		}
		wantProblem(t, errs[0], watcher.Unreachable, hostName+": 503 Service Unavailable")
		if n := w.Counts().Total(); n > 100+(maxTries-1)*20+10*(maxTries-1) {
			t.Errorf("%d requests for 100 looks", n)
		}
	})
}

func TestNothingIsAskedTwiceAfterItsContextEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, standin.Behaviour{Latency: time.Hour}, nil)
		ctx, cancel := contextWithTimeout(t, time.Second)
		defer cancel()
		began := time.Now()
		_, err := w.us.Digest(ctx, tagRef)
		wantProblem(t, err, watcher.Unreachable, "not asked to the end")
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestTheObserverHearsOfEveryRequest(t *testing.T) {
	w := newWorld(t, standin.Behaviour{Auth: standin.Bearer, Header: map[string]string{"RateLimit-Remaining": "76;w=21600", "RateLimit-Limit": "100;w=21600"}}, nil)
	d := w.Push(repoName, "1", linux)
	mustDigest(t, w.us, tagRef, d)
	if _, err := w.us.Snapshot(t.Context(), target(tagRef), d); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(w.obs.requests); got != "map[get 200:1 head 200:1 head 401:1 token 200:1]" || w.obs.remaining != 76 {
		t.Errorf("heard %s, %d remaining", got, w.obs.remaining)
	}
}

func TestNearTagsAreNamedForATypingError(t *testing.T) {
	w := newWorld(t, standin.Behaviour{}, nil)
	for _, tag := range []string{"alpine", "alpine3.22", "latest", "slim"} {
		w.Push(repoName, tag, linux)
	}
	got, err := w.us.Near(t.Context(), hostName+"/"+repoName+":alpne")
	if err != nil || fmt.Sprint(got) != "[alpine]" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestNearest(t *testing.T) {
	for tag, want := range map[string]string{
		"3.13-slm": "[3.13-slim 3.12-slim]", "3.13-slim": "[3.12-slim]", "lates": "[latest]", "zzz": "[]",
	} {
		if got := fmt.Sprint(nearest(tag, []string{"3.12-slim", "3.13-slim", "latest", "la\u202etest", "1"})); got != want {
			t.Errorf("nearest(%s) = %s, want %s", tag, got, want)
		}
	}
}
