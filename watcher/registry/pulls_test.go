package registry

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"basewatch/internal/standin"
	"basewatch/watcher"
)

const pullLimitText = `{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"}]}`

// hub makes the registry refuse GETs with the limit of pulls until the time
// given, and counts those. Header stands on all answers until then, after on
// those that follow.
func hub(w *world, until time.Time, header, after map[string]string) (early *int) {
	early = new(int)
	w.Behave(func(b *standin.Behaviour) {
		b.Answer = func(rw http.ResponseWriter, r *http.Request) bool {
			open := !time.Now().Before(until)
			if open {
				header = after
			}
			for k, v := range header {
				rw.Header().Set(k, v)
			}
			if open || r.Method == http.MethodHead {
				return false
			}
			*early++
			rw.WriteHeader(http.StatusTooManyRequests)
			_, _ = rw.Write([]byte(pullLimitText))
			return true
		}
	})
	return early
}

// TestThePullLimitStopsGetsUntilItsWindowAndHeadsGoOn: whatever the host says
// of its window, the GET that meets the limit is the last one before its end.
func TestThePullLimitStopsGetsUntilItsWindowAndHeadsGoOn(t *testing.T) {
	for name, tc := range map[string]struct {
		window time.Duration
		header map[string]string
		after  map[string]string // once the window is over
		late   time.Duration     // how long after it the next GET may be
	}{
		"Retry-After":          {time.Hour, map[string]string{"Retry-After": "3600"}, nil, 5 * time.Minute},
		"nothing said":         {6 * time.Hour, nil, nil, time.Minute},
		"Docker's headers":     {6 * time.Hour, map[string]string{"RateLimit-Remaining": "0;w=21600", "RateLimit-Limit": "100;w=21600"}, nil, time.Minute},
		"a HEAD tells the end": {time.Hour, map[string]string{"RateLimit-Remaining": "0;w=21600", "RateLimit-Limit": "100;w=21600"}, map[string]string{"RateLimit-Remaining": "100;w=21600", "RateLimit-Limit": "100;w=21600"}, time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, standin.Behaviour{}, nil)
			d := w.Push(repoName, "1", linux)
			end := time.Now().Add(tc.window)
			early := hub(w, end, tc.header, tc.after)
			pulled := time.Time{}
			for heads := 1; pulled.IsZero() && time.Now().Before(end.Add(time.Hour)); heads++ {
				mustDigest(t, w.us, tagRef, d)
				if got := w.Counts().Head; got != heads {
					t.Fatalf("%s: %d HEADs for %d looks", name, got, heads)
				}
				_, err := w.us.Snapshot(t.Context(), target(tagRef), d)
				if err == nil {
					pulled = time.Now()
					break
				}
				wantProblem(t, err, watcher.Throttled, "tags are watched on", "username and password")
				var le *watcher.LookError
				if asLookError(err, &le); !le.PullsOnly || le.RetryAt.Before(time.Now()) {
					t.Fatalf("%s: pulls only %t, again at %s", name, le.PullsOnly, le.RetryAt)
				}
				if n, _ := w.us.Allowance(hostName); n == 0 {
					t.Fatalf("%s: the whole host is paused", name)
				}
				if s := w.us.Hosts()[0]; len(s.Troubles) != 1 || !strings.Contains(s.Troubles[0], "details wait") {
					t.Errorf("%s: status says %q", name, s.Troubles)
				}
				time.Sleep(time.Minute)
			}
			if *early > 1 || pulled.Before(end) || pulled.After(end.Add(tc.late)) {
				t.Errorf("%s: %d GETs before the end of the window, then one %s after it", name, *early, pulled.Sub(end))
			}
			if s := w.us.Hosts()[0]; len(s.Troubles) > 0 {
				t.Errorf("%s: afterwards status says %q", name, s.Troubles)
			}
		})
	}
}

// TestAnEmptyQuotaSendsNoGetAndIsTriedOncePerWindow: what HEADs say is enough;
// a host that never counts up again is not given up.
func TestAnEmptyQuotaSendsNoGetAndIsTriedOncePerWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, standin.Behaviour{Header: map[string]string{"RateLimit-Remaining": "0;w=3600", "RateLimit-Limit": "100;w=3600"}}, nil)
		d := w.Push(repoName, "1", linux)
		for range 10 * 60 {
			mustDigest(t, w.us, tagRef, d)
			_, err := w.us.Snapshot(t.Context(), target(tagRef), d)
			if err != nil {
				wantProblem(t, err, watcher.Throttled, "none of 100 pulls")
			}
			time.Sleep(time.Minute)
		}
		if n := w.Counts().Get; n != 9 {
			t.Errorf("%d GETs in ten hours of an empty quota of one hour", n)
		}
	})
}

// TestRefusedPullsWithoutAQuotaComeRarer: a host that says there are pulls left
// and refuses them all the same is asked ever less often.
func TestRefusedPullsWithoutAQuotaComeRarer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, standin.Behaviour{}, nil)
		d := w.Push(repoName, "1", linux)
		early := hub(w, time.Now().Add(24*time.Hour), map[string]string{"RateLimit-Remaining": "50;w=21600", "RateLimit-Limit": "100;w=21600"}, nil)
		for range 6 * 60 {
			mustDigest(t, w.us, tagRef, d)
			_, _ = w.us.Snapshot(t.Context(), target(tagRef), d)
			time.Sleep(time.Minute)
		}
		if *early > 18 { // 1, 2, 4, 8, 16, then every 30 minutes
			t.Errorf("%d refused GETs in six hours", *early)
		}
	})
}

func TestALimitOfRequestsIsNotTakenForThatOfPulls(t *testing.T) {
	w := newWorld(t, standin.Behaviour{NoHead: true}, nil)
	w.Push(repoName, "1", linux)
	w.Next(standin.Answer{Status: http.StatusTooManyRequests, Body: "Too Many Requests", Match: get,
		Header: map[string]string{"RateLimit-Remaining": "0", "RateLimit-Reset": "300"}})
	_, err := w.us.Digest(t.Context(), tagRef)
	wantProblem(t, err, watcher.Throttled, "asked to wait until")
	n, again := w.us.Allowance(hostName)
	if wait := time.Until(again); n != 0 || wait < 299*time.Second || wait > 316*time.Second {
		t.Errorf("%d looks may begin, the rest in %s; want 300 s", n, wait)
	}
}

func get(r *http.Request) bool { return r.Method == http.MethodGet }

// TestGitHubsThrottleIsFoundByItsWordsAlone: under any status, without the
// code, and where HEAD has no words at all.
func TestGitHubsThrottleIsFoundByItsWordsAlone(t *testing.T) {
	const text = "retry-after: 880.092µs, allowed: 44000/minute"
	for _, status := range []int{http.StatusOK, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, standin.Behaviour{}, nil)
			d := w.Push(repoName, "1", linux)
			until := time.Now().Add(time.Second)
			w.Behave(func(b *standin.Behaviour) {
				b.Answer = func(rw http.ResponseWriter, _ *http.Request) bool {
					if time.Now().After(until) {
						return false
					}
					rw.Header().Set("Content-Type", "text/plain")
					rw.WriteHeader(status)
					_, _ = rw.Write([]byte(text))
					return true
				}
			})
			_, err := w.us.Digest(t.Context(), tagRef)
			if status == http.StatusTooManyRequests { // HEAD has no body: a minute, since nothing is said
				wantProblem(t, err, watcher.Throttled)
				return
			}
			if status == http.StatusUnauthorized { // a 401 without words and without a way in
				wantProblem(t, err, watcher.Denied)
				return
			}
			if err != nil {
				t.Fatalf("%d: %v", status, err)
			}
			mustDigest(t, w.us, tagRef, d)
			if n := w.Counts().Total(); n > 5 {
				t.Errorf("%d: %d requests", status, n)
			}
		})
	}
}

func TestAnImagesOwnTextCannotStopUs(t *testing.T) {
	w := newWorld(t, standin.Behaviour{NoHead: true}, nil)
	d := w.PutRaw(repoName, ociIndex, fmt.Appendf(nil,
		`{"schemaVersion":2,"manifests":[%s],"annotations":{"org.opencontainers.image.title":"toomanyrequests: retry-after: 6h, allowed: 0/minute"}}`, entryJSON(1)))
	w.Move(repoName, "1", d)
	mustDigest(t, w.us, tagRef, d)
	if n, _ := w.us.Allowance(hostName); n == 0 {
		t.Error("an annotation paused the host")
	}
}

func TestALockedLoginIsSwitchedOffAndStatusSaysSo(t *testing.T) {
	for _, auth := range []standin.Auth{standin.Basic, standin.Bearer} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, standin.Behaviour{Auth: auth, Username: "bot", Password: "wr0ng", NoHead: true}, edit(login("bot", "wr0ng")))
			w.Push(repoName, "1", linux)
			tries := 0
			w.Behave(func(b *standin.Behaviour) {
				b.Answer = func(rw http.ResponseWriter, r *http.Request) bool {
					if !strings.HasPrefix(r.Header.Get("Authorization"), "Basic ") || r.Method == http.MethodHead {
						return false
					}
					tries++
					rw.WriteHeader(http.StatusTooManyRequests)
					_, _ = rw.Write([]byte(`{"details":"too many failed login attempts for username or IP address"}`))
					return true
				}
			})
			for range 59 {
				_, err := w.us.Digest(t.Context(), tagRef)
				wantProblem(t, err, watcher.Denied)
				if s := err.Error(); !strings.Contains(s, "locked this login after too many wrong passwords") || !strings.Contains(s, "switched off") || strings.Contains(s, "wr0ng") {
					t.Fatalf("it says %q", s)
				}
				if s := w.us.Hosts()[0]; len(s.Troubles) != 1 || !strings.Contains(s.Troubles[0], "not sent again before") {
					t.Fatalf("status says %q", s.Troubles)
				}
				time.Sleep(time.Minute)
			}
			if tries != 1 {
				t.Errorf("auth %d: the login was sent %d times in an hour", auth, tries)
			}
			if n, _ := w.us.Allowance(hostName); n == 0 {
				t.Error("a locked login paused the whole host")
			}
		})
	}
}

// TestTokensThatEndInTheMiddleOfAScanMakeNoStorm: when the registry forgets all
// tokens, that costs as
// many 401 as looks were under way, at most, and one new token.
func TestTokensThatEndInTheMiddleOfAScanMakeNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, standin.Behaviour{Auth: standin.Bearer, Latency: 40 * time.Millisecond}, nil)
		refs := w.Fleet(1, 99, linux)
		time.AfterFunc(200*time.Millisecond, w.ForgetTokens)
		if errs := looks(t, w.us, refs); len(errs) > 0 {
			t.Fatalf("%d of %d looks failed: %v", len(errs), len(refs), errs[0])
		}
		refused := 0
		for _, r := range w.Requests() {
			if r.Status == http.StatusUnauthorized {
				refused++
			}
		}
		if got := w.Counts(); got.Token != 2 || refused > 1+20 {
			t.Errorf("%+v, %d of them 401", got, refused)
		}
	})
}

func TestTokensThatEndSoonerThanTheirWordMakeNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, standin.Behaviour{Auth: standin.Bearer, Latency: 40 * time.Millisecond, TokenTTL: time.Second}, nil)
		refs := w.Fleet(1, 99, linux)
		if errs := looks(t, w.us, refs); len(errs) > 0 {
			t.Fatalf("%d of %d looks failed: %v", len(errs), len(refs), errs[0])
		}
		if got := w.Counts(); got.Token > 3 || got.Total() > 99+3+11 {
			t.Errorf("it cost %+v", got)
		}
	})
}

func TestSeveralChallengesInOneHeaderAreAnsweredByTheBest(t *testing.T) {
	w := newWorld(t, standin.Behaviour{Auth: standin.Bearer}, nil)
	d := w.Push(repoName, "1", linux)
	w.Next(standin.Answer{Status: http.StatusUnauthorized, Header: map[string]string{
		"Www-Authenticate": `Basic realm="a, b", Bearer realm="http://registry.example.com/token",service="x", Negotiate`}})
	mustDigest(t, w.us, tagRef, d)
	if got := w.Counts(); got.Token != 1 || got.Head != 2 {
		t.Errorf("it cost %+v", got)
	}
}
