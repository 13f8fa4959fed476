package registry

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"basewatch/internal/standin"
	"basewatch/watcher"
)

func contextWithTimeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

func TestAskedWait(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		header, body string
		want         time.Duration
		ok           bool
	}{
		{"120", "", 2 * time.Minute, true},
		{" 120 ", "", 2 * time.Minute, true},
		{"0", "", time.Second, true},
		{"999999999999999999999999", "", 6 * time.Hour, true},
		{"86400", "", 6 * time.Hour, true},
		{"1.5", "", 1500 * time.Millisecond, true},
		{"1.2.3", "", 0, false},
		{"Sun, 22 Nov 2026 10:05:00 GMT", "", 5 * time.Minute, true},
		{"Sun, 22 Nov 2020 10:05:00 GMT", "", time.Second, true},
		{"1m30s", "", 90 * time.Second, true},
		{"880.092µs", "", time.Second, true},
		{"", `{"errors":[{"message":"toomanyrequests: Retry-After: 42s, allowed: 44000/minute"}]}`, 42 * time.Second, true},
		{"", "toomanyrequests: retry-after: 880.092µs, allowed: 44000/minute", time.Second, true},
		{"soon", "retry-after: 7", 7 * time.Second, true},
		{"", "", 0, false},
		{"soon", "", 0, false},
		{"-5", "", 0, false},
		{"-5s", "", 0, false},
		{"1e9", "", 0, false},
		{"", "retry-after:", 0, false},
	} {
		got, ok := askedWait(http.Header{"Retry-After": {tc.header}}, []byte(tc.body), now)
		if got != tc.want || ok != tc.ok {
			t.Errorf("askedWait(%q, %q) = %s, %t; want %s, %t", tc.header, tc.body, got, ok, tc.want, tc.ok)
		}
	}
	skewed := http.Header{"Retry-After": {"Sun, 22 Nov 2026 10:05:00 GMT"}, "Date": {"Sun, 22 Nov 2026 10:04:00 GMT"}}
	if got, _ := askedWait(skewed, nil, now); got != time.Minute {
		t.Errorf("by the server's own clock it is a minute, got %s", got)
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"120", "880.092µs", "Sun, 22 Nov 2026 10:05:00 GMT", "retry-after: 1h", "-1", "١٢٣", "İretry-after:1"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, header, body string) {
		d, ok := askedWait(http.Header{"Retry-After": {header}}, []byte(body), time.Now())
		if ok != (d != 0) || ok && (d < minPause || d > maxPause) {
			t.Errorf("askedWait(%q, %q) = %s, %t", header, body, d, ok)
		}
	})
}

func TestNoRequestGoesToAHostBeforeItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, standin.Behaviour{}, nil)
		want := w.Push(repoName, "1", linux)
		w.Next(standin.Answer{Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "600"}, Body: "slow down"})
		paused := time.Now()
		_, err := w.us.Digest(t.Context(), tagRef)
		wantProblem(t, err, watcher.Throttled, "asked to wait until")
		var le *watcher.LookError
		asLookError(err, &le)
		if d := le.RetryAt.Sub(paused); d < 10*time.Minute || d > 11*time.Minute {
			t.Errorf("told to come back after %s", d)
		}
		n, again := w.us.Allowance(hostName)
		if s := w.us.Hosts()[0]; n != 0 || !again.Equal(le.RetryAt) || !s.PausedUntil.Equal(again) || !strings.Contains(s.Reason, "429") {
			t.Errorf("allowance %d, again %s; status %+v", n, again, s)
		}
		for range 59 {
			time.Sleep(10 * time.Second)
			if _, err := w.us.Digest(t.Context(), tagRef); watcher.ProblemOf(err) != watcher.Throttled {
				t.Fatalf("during the pause: %v", err)
			}
		}
		if n := w.Counts().Total(); n != 1 {
			t.Fatalf("%d requests before the time", n)
		}
		time.Sleep(time.Minute)
		mustDigest(t, w.us, tagRef, want)
	})
}

func TestARequestToWaitCountsUnderAnyStatus(t *testing.T) {
	for name, a := range map[string]standin.Answer{
		"GitHub's text under 403":  {Status: http.StatusForbidden, Body: "toomanyrequests: retry-after: 20m, allowed: 44000/minute"},
		"no time under 403":        {Status: http.StatusForbidden, Body: `{"errors":[{"code":"TOOMANYREQUESTS"}]}`},
		"503 with a time":          {Status: http.StatusServiceUnavailable, Header: map[string]string{"Retry-After": "1200"}},
		"429 of the token server":  {Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "1200"}, Match: standin.PathContains("/token")},
		"429 with a body and time": {Status: http.StatusTooManyRequests, Body: `{"errors":[{"code":"TOOMANYREQUESTS","message":"retry-after: 20m"}]}`},
	} {
		w := newWorld(t, standin.Behaviour{Auth: standin.Bearer, NoHead: true}, nil)
		w.Push(repoName, "1", linux)
		if a.Match == nil {
			a.Match = func(r *http.Request) bool { return r.Method == http.MethodGet }
		}
		w.Next(a)
		_, err := w.us.Digest(t.Context(), tagRef)
		wantProblem(t, err, watcher.Throttled)
		var le *watcher.LookError
		if asLookError(err, &le); time.Until(le.RetryAt) < 59*time.Second {
			t.Errorf("%s: again in %s", name, time.Until(le.RetryAt))
		}
	}
}

func TestAllowanceLeavesRoomForThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("h", 1, 0)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 21 {
			wg.Go(func() { _ = g.enter(ctx, Head) })
		}
		synctest.Wait()
		if n, _ := g.allowance(50); n != 40 {
			t.Errorf("%d may begin while 20 wait", n)
		}
		cancel()
		wg.Wait()
	})
}

func TestAShortPauseIsSatOutByEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, standin.Behaviour{Latency: 10 * time.Millisecond}, nil)
		refs := w.Fleet(5, 20, linux)
		asked, until := 0, time.Time{}
		w.Behave(func(b *standin.Behaviour) {
			b.Answer = func(rw http.ResponseWriter, _ *http.Request) bool {
				if time.Now().Before(until) && asked%10 != 0 {
					t.Errorf("request %d came inside Retry-After", asked)
				}
				if asked++; asked%10 != 0 {
					return false
				}
				until = time.Now().Add(time.Second)
				rw.Header().Set("Retry-After", "1")
				rw.WriteHeader(http.StatusTooManyRequests)
				return true
			}
		})
		// One at a time, so that none is under way when another one is refused.
		for _, ref := range refs {
			if _, err := w.us.Digest(t.Context(), hostName+"/"+ref); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestTenPercentOf429FailNoLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, standin.Behaviour{Latency: 40 * time.Millisecond}, nil)
		refs := w.Fleet(50, 20, linux)
		for i := range 100 {
			w.Next(standin.Answer{Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "1"},
				Match: func(r *http.Request) bool {
					return strings.HasSuffix(r.URL.Path, fmt.Sprintf("base-%04d/manifests/t%02d", i/2+1, i%20+1))
				}})
		}
		if errs := looks(t, w.us, refs); len(errs) > 0 {
			t.Errorf("%d of 1000 looks failed: %v", len(errs), errs[0])
		}
	})
}

func TestPausesThatNameNoTimeGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("h", 10, 0)
		for _, minutes := range []int{1, 2, 4, 8, 16, 30, 30} {
			want, began := time.Duration(minutes)*time.Minute, time.Now()
			g.pause(began, 0, "429")
			g.pause(began, 0, "429 of another one in flight")
			if got := time.Until(g.opensAt()); got < want || got > want*105/100 {
				t.Errorf("paused for %s, want %s", got, want)
			}
			time.Sleep(time.Until(g.opensAt()) + time.Second)
		}
	})
}

func TestAfterAPauseTheGateOpensSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("h", 8, 0)
		g.pause(time.Now(), time.Second, "429")
		time.Sleep(2 * time.Second)
		for _, want := range []int{1, 2, 4, 8, 8} {
			for range want {
				if err := g.enter(t.Context(), Head); err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			ctx, cancel := contextWithTimeout(t, time.Second)
			if err := g.enter(ctx, Head); err == nil {
				t.Errorf("more than %d in flight", want)
			}
			cancel()
			for i := range want {
				g.leave(began, i == 0)
			}
		}
	})
}

func TestAWaitingRequestThatGivesUpTakesNobodysTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("h", 1, 0)
		if err := g.enter(t.Context(), Head); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		quit := make(chan error)
		go func() { quit <- g.enter(ctx, Head) }()
		synctest.Wait()
		through := make(chan error)
		go func() { through <- g.enter(t.Context(), Head) }()
		synctest.Wait()
		cancel()
		g.leave(time.Now(), true) // may wake the one that is giving up
		if err := <-quit; err == nil {
			g.leave(time.Now(), true)
		}
		if err := <-through; err != nil {
			t.Fatal(err)
		}
		g.leave(time.Now(), true)
		if g.inFlight != 0 || g.waiting != 0 || len(g.queue) != 0 {
			t.Errorf("left behind: %d in flight, %d waiting, %d queued", g.inFlight, g.waiting, len(g.queue))
		}
	})
}

func TestNeverMoreThanTheCeilingInAnyMinute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		w := newWindow(limit)
		now := time.Unix(1e9, 0)
		var begun []time.Time
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20_000).Draw(t, "ms")) * time.Millisecond)
			free := w.free(50, now)
			if d := w.wait(now); (d == 0) != (free > 0) {
				t.Fatalf("wait %s but %d free", d, free)
			} else if d > 0 {
				now = now.Add(d)
			}
			w.add(now)
			begun = append(begun, now)
		}
		for i := range begun {
			if j := i + limit; j < len(begun) && begun[j].Sub(begun[i]) < time.Minute {
				t.Fatalf("%d requests within %s", limit+1, begun[j].Sub(begun[i]))
			}
		}
	})
}

func TestTheCeilingHoldsTokensIncludedAndAllowanceKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, standin.Behaviour{Auth: standin.Bearer}, edit(func(h *HostConfig) { h.PerMinute = 30 }))
		refs := w.Fleet(4, 20, linux)
		if n, _ := w.us.Allowance(hostName); n != 15 {
			t.Errorf("at first %d looks may begin, want half of 30", n)
		}
		began := time.Now()
		if errs := looks(t, w.us, refs); len(errs) > 0 {
			t.Fatal(errs[0])
		}
		// 80 tags, 4 tokens, 1 challenge: 30 at once, 30 after a minute, 25 after two.
		if took := time.Since(began); took != 2*time.Minute {
			t.Errorf("took %s", took)
		}
		if n, _ := w.us.Allowance(hostName); n != 3 {
			t.Errorf("after 25 of 30, %d may begin, want half of 5", n)
		}
		if errs := looks(t, w.us, refs[:5]); len(errs) > 0 {
			t.Fatal(errs[0])
		}
		if n, again := w.us.Allowance(hostName); n != 0 || time.Until(again) != time.Minute {
			t.Errorf("after 30 of 30, %d may begin, again in %s", n, time.Until(again))
		}
	})
}

func TestAllowanceOfAnUnlimitedHostIsABatch(t *testing.T) {
	w := newWorld(t, standin.Behaviour{}, nil)
	if n, _ := w.us.Allowance(hostName); n != lookBurst {
		t.Errorf("got %d", n)
	}
	if n, _ := w.us.Allowance("never-seen.example.com"); n != lookBurst {
		t.Errorf("a host without settings: %d", n)
	}
}

func TestQuotaHeaders(t *testing.T) {
	now := time.Unix(1e9, 0)
	for remaining, want := range map[string]quota{
		"76;w=21600":   {remaining: 76, limit: 100, window: 6 * time.Hour, at: now},
		"76":           {remaining: 76, limit: 100, window: 6 * time.Hour, at: now},
		" 0 ; w=60":    {remaining: 0, limit: 100, window: time.Minute, at: now},
		"7;w=0":        {remaining: 7, limit: 100, window: 6 * time.Hour, at: now},
		"":             {},
		"-1;w=21600":   {},
		"many;w=21600": {},
	} {
		h := http.Header{"Ratelimit-Remaining": {remaining}, "Ratelimit-Limit": {"100;w=21600"}}
		if got, ok := readQuota(h, now); got != want || ok != (want != quota{}) {
			t.Errorf("%q: got %+v, %t", remaining, got, ok)
		}
	}
	if _, ok := readQuota(http.Header{}, now); ok {
		t.Error("a quota without headers")
	}
	q := quota{remaining: 10, limit: 100, window: 6 * time.Hour, at: now}
	if !q.low(now) || q.low(now.Add(7*time.Hour)) || q.pace() != 216*time.Second {
		t.Errorf("low %t, pace %s", q.low(now), q.pace())
	}
}

func TestWhenPullsAreScarceGetsAreSpreadAndHeadsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, standin.Behaviour{Header: map[string]string{"RateLimit-Remaining": "9;w=21600", "RateLimit-Limit": "100;w=21600"}}, nil)
		d := w.Push(repoName, "1", linux)
		mustDigest(t, w.us, tagRef, d)
		if _, err := w.us.Snapshot(t.Context(), target(tagRef), d); err != nil {
			t.Fatal(err)
		}
		_, err := w.us.Snapshot(t.Context(), target(tagRef), d)
		wantProblem(t, err, watcher.Throttled, "9 of 100 pulls", "username and password")
		var le *watcher.LookError
		asLookError(err, &le)
		if wait := time.Until(le.RetryAt); wait != 216*time.Second {
			t.Errorf("next GET in %s", wait)
		}
		mustDigest(t, w.us, tagRef, d)
		if s := w.us.Hosts()[0]; !s.Limited || s.Remaining != 9 || s.Limit != 100 || s.Window != 6*time.Hour {
			t.Errorf("status %+v", s)
		}
		time.Sleep(217 * time.Second)
		if _, err := w.us.Snapshot(t.Context(), target(tagRef), d); err != nil {
			t.Fatal(err)
		}
	})
}
