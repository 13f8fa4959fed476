package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"basewatch/internal/standin"
	"basewatch/internal/web"
	"basewatch/watcher"
)

// Registries as they are: the whole daemon against one that throttles, fails,
// runs out of pulls, or lies.

const otherRegistry = "other.example.com"

// other serves a second registry, and gives the configuration that watches a
// fleet of repos repositories with one tag each there.
func (w *world) other(repos int) (r *standin.Registry, config string, end func()) {
	r = standin.NewRegistry(standin.Behaviour{})
	s := standin.ServeOn(w.net.Listen(otherRegistry+":80"), r)
	refs := r.Fleet(repos, 1, onePlatform("1"))
	config = fmt.Sprintf("[registry.%q]\nplain_http = true\nper_minute = 0\n", otherRegistry) +
		strings.ReplaceAll(watch("1m", refs), testRegistry, otherRegistry)
	return r, config, s.Close
}

// status is what `basewatch status` is told.
func (w *world) status() *web.Status {
	w.t.Helper()
	server, err := web.New(w.app.webConfig(w.app.cfg.Load()))
	if err != nil {
		w.t.Fatal(err)
	}
	st, err := web.NewClient("", web.InProcess(server.SocketHandler()), "").Status(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}

// problem finds what status says of something; empty: nothing.
func (w *world) problem(what string) string {
	w.t.Helper()
	for _, p := range w.status().Problems {
		if strings.Contains(p.What, what) {
			return p.Text
		}
	}
	return ""
}

// quietEvents fails the test when anybody was told anything.
func (w *world) quietEvents() {
	w.t.Helper()
	for _, m := range w.hook.Messages() {
		w.t.Errorf("told: %s", m.Body)
	}
}

// TestNoRequestBeforeRetryAfterWhileOthersGoOn: one 429 in every form, on a
// registry with many tags; until its time comes no request of any kind goes
// there, another registry is asked as always, nothing fails and nobody is told.
func TestNoRequestBeforeRetryAfterWhileOthersGoOn(t *testing.T) {
	for name, tc := range map[string]struct {
		header, body string
		least, most  time.Duration
	}{
		"seconds":            {header: "600", least: 10 * time.Minute, most: 13 * time.Minute},
		"a date":             {header: "date", least: 10 * time.Minute, most: 13 * time.Minute},
		"a duration":         {header: "10m0s", least: 10 * time.Minute, most: 13 * time.Minute},
		"a fraction":         {header: "600.5", least: 10 * time.Minute, most: 13 * time.Minute},
		"in the body":        {body: "toomanyrequests: retry-after: 600s, allowed: 44000/minute", least: 10 * time.Minute, most: 13 * time.Minute},
		"microseconds":       {body: "toomanyrequests: retry-after: 880.092µs, allowed: 44000/minute", least: time.Second, most: 3 * time.Minute},
		"zero":               {header: "0", least: time.Second, most: 3 * time.Minute},
		"negative":           {header: "-1", least: time.Minute, most: 4 * time.Minute},
		"garbage":            {header: "soon", least: time.Minute, most: 4 * time.Minute},
		"nothing":            {least: time.Minute, most: 4 * time.Minute},
		"a date long past":   {header: "Sun, 22 Nov 1998 10:05:00 GMT", least: time.Second, most: 3 * time.Minute},
		"a billion seconds":  {header: "1000000000", least: 6 * time.Hour, most: 7 * time.Hour},
		"under 503":          {header: "600", body: "503", least: 10 * time.Minute, most: 13 * time.Minute},
		"a window that ends": {header: "reset", least: 10 * time.Minute, most: 13 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *world) {
				other, config, end := w.other(20)
				defer end()
				// No HEAD, so that a body can be read; GETs of every tag at all times.
				w.registry.Behave(func(b *standin.Behaviour) { b.NoHead = true })
				refs := w.registry.Fleet(20, 5, onePlatform("1"))
				w.configure(watch("1m", refs) + config)
				w.start()
				w.after(5 * time.Minute)
				a := standin.Answer{Status: http.StatusTooManyRequests, Body: tc.body, Header: map[string]string{}}
				switch tc.header {
				case "":
				case "date":
					a.Header["Retry-After"] = time.Now().Add(10*time.Minute + 30*time.Second).UTC().Format(http.TimeFormat)
				case "reset":
					a.Header["RateLimit-Remaining"], a.Header["RateLimit-Reset"] = "0", fmt.Sprint(time.Now().Add(10*time.Minute+30*time.Second).Unix())
				default:
					a.Header["Retry-After"] = tc.header
				}
				if tc.body == "503" {
					a.Status = http.StatusServiceUnavailable
				}
				w.registry.ResetCounts()
				w.registry.Next(a)
				w.after(30 * time.Second)
				refused := time.Time{}
				for _, r := range w.registry.Requests() {
					if r.Status == a.Status {
						refused = r.At
					}
				}
				w.after(tc.most)
				early, next := 0, time.Time{}
				for _, r := range w.registry.Requests() {
					switch {
					case !r.At.After(refused):
					case r.At.Before(refused.Add(tc.least)):
						early++
					case next.IsZero():
						next = r.At
					}
				}
				if refused.IsZero() || early != 0 || next.IsZero() {
					t.Errorf("refused at %s: %d requests before its time, next %s", refused, early, next)
				}
				if n, least := other.Counts().Head, int(tc.most.Minutes())*20; n < least {
					t.Errorf("the other registry was asked %d times meanwhile, want %d", n, least)
				}
				w.quietEventsBut(tc.most > time.Hour, watcher.Failing, watcher.Recovered)
			})
		})
	}
}

// quietEventsBut allows some kinds, if at all.
func (w *world) quietEventsBut(allowed bool, kinds ...watcher.Kind) {
	w.t.Helper()
	for _, m := range w.hook.Messages() {
		e := readCloudEvent(w.t, m.Body)
		ok := false
		for _, k := range kinds {
			ok = ok || allowed && e.Type == "basewatch."+string(k)+".v1"
		}
		if !ok {
			w.t.Errorf("told: %s", m.Body)
		}
	}
}

// TestFivePercentOfFailuresFailNoTag: 5 % of all requests are answered 503, or
// cut off; in four scans of 1,000 tags no look fails.
func TestFivePercentOfFailuresFailNoTag(t *testing.T) {
	for name, trouble := range map[string]func(*standin.Behaviour){
		"503":   func(b *standin.Behaviour) { b.FailPercent = 5 },
		"reset": func(b *standin.Behaviour) { b.ResetPercent = 5 },
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *world) {
				w.registry.Behave(func(b *standin.Behaviour) { b.Auth = standin.Bearer; trouble(b) })
				refs := w.registry.Fleet(50, 20, onePlatform("1"))
				w.configure(watch("15m", refs))
				w.start()
				w.after(65 * time.Minute)
				if st := w.status(); st.Images.Fresh != len(refs) || len(st.Problems) > 0 {
					t.Errorf("%+v, problems %+v", st.Images, st.Problems)
				}
				if n := strings.Count(w.log.String(), "look failed"); n > 0 {
					t.Errorf("%d looks failed:\n%s", n, w.log.String())
				}
				t.Logf("4 scans of %d tags: %+v", len(refs), w.registry.Counts())
				w.quietEvents()
			})
		})
	}
}

const pullLimit = `{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"}]}`

// TestPullLimitStopsGetsUntilItsWindowAndHeadsGoOn: as at Docker Hub, 100 pulls
// in six hours. While none is left every tag is still asked for by HEAD in its
// interval, no GET is sent, status says why; the changes seen meanwhile are
// told when the window is over, each once.
func TestPullLimitStopsGetsUntilItsWindowAndHeadsGoOn(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		refs := w.registry.Fleet(40, 1, onePlatform("1"))
		w.configure(watch("15m", refs))
		w.start()
		w.after(30 * time.Minute)
		end := time.Now().Add(6 * time.Hour)
		w.registry.Behave(func(b *standin.Behaviour) {
			b.Answer = func(rw http.ResponseWriter, r *http.Request) bool {
				left := "0;w=21600"
				if !time.Now().Before(end) {
					left = "100;w=21600"
				}
				rw.Header().Set("RateLimit-Limit", "100;w=21600")
				rw.Header().Set("RateLimit-Remaining", left)
				if r.Method == http.MethodHead || left != "0;w=21600" {
					return false
				}
				rw.WriteHeader(http.StatusTooManyRequests)
				_, _ = rw.Write([]byte(pullLimit))
				return true
			}
		})
		w.registry.ResetCounts()
		for i, ref := range refs[:20] {
			repo, tag, _ := strings.Cut(ref, ":")
			w.registry.Push(repo, tag, onePlatform(fmt.Sprint("2-", i)))
		}
		w.after(5 * time.Hour)
		got := w.registry.Counts()
		t.Logf("5 h without pulls: %+v", got)
		if got.Get > 1 || got.Head < 5*4*len(refs)*9/10 {
			t.Errorf("during the window: %+v, want at most one GET and %d HEADs", got, 5*4*len(refs))
		}
		if p := w.problem(testRegistry); !strings.Contains(p, "details wait") || !strings.Contains(p, "username and password") {
			t.Errorf("status says %q", p)
		}
		w.quietEvents()
		w.after(time.Until(end) + 30*time.Minute)
		if n := len(w.events("changed")); n != 20 {
			t.Errorf("after the window %d changes were told, want 20", n)
		}
		if p := w.problem(""); p != "" {
			t.Errorf("afterwards status says %q", p)
		}
	})
}

// TestLyingDigestIsQuarantinedAndShown: the registry says by HEAD that the tag
// moved, and what it serves has another digest. Status says so after the first
// such look, it is told as failing after an hour, never as a change; when the
// lie ends it has recovered, and the real change is told.
func TestLyingDigestIsQuarantinedAndShown(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		refs := w.registry.Fleet(2, 1, onePlatform("1"))
		w.configure(watch("5m", refs))
		w.start()
		w.after(20 * time.Minute)
		lie := "sha256:" + strings.Repeat("0", 64)
		w.registry.Behave(func(b *standin.Behaviour) {
			b.Answer = func(rw http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "base-0001/manifests/") {
					return false
				}
				rw.Header().Set("Docker-Content-Digest", lie)
				rw.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
				if r.Method == http.MethodGet {
					_, _ = rw.Write([]byte(`{"schemaVersion":2,"manifests":[]}`))
				}
				return true
			}
		})
		w.after(6 * time.Minute)
		if p := w.problem("base-0001"); !strings.Contains(p, "quarantined") || !strings.Contains(p, "000000000000") {
			t.Errorf("status says %q after the first lie", p)
		}
		w.after(2 * time.Hour)
		if n := len(w.events("failing")); n != 1 || len(w.events("changed")) != 0 {
			t.Errorf("failing was told %d times, changed %d times", n, len(w.events("changed")))
		}
		w.registry.Behave(func(b *standin.Behaviour) { b.Answer = nil })
		w.registry.Push("acme/base-0001", "t01", onePlatform("2"))
		w.after(2 * time.Hour)
		if c, r := len(w.events("changed")), len(w.events("recovered")); c != 1 || r != 1 {
			t.Errorf("afterwards: changed %d times, recovered %d times", c, r)
		}
	})
}

// TestHostsBadAnswersAreNeverEvents: one registry gives every kind of wrong
// answer in turn, for hours; nobody hears of a change or of a deleted tag.
func TestHostsBadAnswersAreNeverEvents(t *testing.T) {
	digest := "sha256:" + strings.Repeat("1", 64)
	for name, answer := range map[string]func(rw http.ResponseWriter, r *http.Request){
		"schema 1": func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws")
			rw.Header().Set("Docker-Content-Digest", digest)
			_, _ = rw.Write([]byte(`{"schemaVersion":1,"fsLayers":[]}`))
		},
		"index and image at once": func(rw http.ResponseWriter, r *http.Request) {
			_, _ = rw.Write([]byte(`{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}`))
		},
		"401 for a repository that is there": func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(http.StatusUnauthorized) },
		"404 by HEAD alone": func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				rw.WriteHeader(http.StatusNotFound)
			}
		},
		"a login page":    func(rw http.ResponseWriter, r *http.Request) { _, _ = rw.Write([]byte("<html>sign in</html>")) },
		"a redirect loop": func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, r.URL.Path, http.StatusFound) },
		"a redirect inside": func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, "http://169.254.169.254/latest", http.StatusFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *world) {
				refs := w.registry.Fleet(1, 2, onePlatform("1"))
				w.configure(watch("5m", refs))
				w.start()
				w.after(20 * time.Minute)
				w.registry.Behave(func(b *standin.Behaviour) {
					b.Answer = func(rw http.ResponseWriter, r *http.Request) bool { answer(rw, r); return true }
				})
				w.after(6 * time.Hour)
				if p := w.problem(""); p == "" {
					t.Error("status says nothing")
				}
				w.registry.Behave(func(b *standin.Behaviour) { b.Answer = nil })
				w.after(4 * time.Hour)
				w.quietEventsBut(true, watcher.Failing, watcher.Recovered)
				if p := w.problem(""); p != "" {
					t.Errorf("afterwards status says %q", p)
				}
			})
		})
	}
}
