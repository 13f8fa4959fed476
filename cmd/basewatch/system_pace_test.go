package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"basewatch/internal/standin"
)

// paced writes the configuration with a ceiling for the registry.
func (w *world) paced(perMinute int, rest string) {
	w.t.Helper()
	w.configure(rest)
	file := filepath.Join(w.dir, "basewatch.toml")
	config, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	s := strings.Replace(string(config), "per_minute = 0", fmt.Sprintf("per_minute = %d", perMinute), 1)
	if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// TestLowCeilingStretchesAndFailsNothing: intervals that a ceiling cannot hold
// are stretched; no look fails and nobody is alarmed.
func TestLowCeilingStretchesAndFailsNothing(t *testing.T) {
	for _, perMinute := range []int{1, 2, 5, 30, 120} {
		t.Run(fmt.Sprint(perMinute), func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *world) {
				w.registry.Behave(func(b *standin.Behaviour) { b.Auth = standin.Bearer })
				refs := w.registry.Fleet(20, 10, onePlatform("1"))
				w.paced(perMinute, watch("15m", refs))
				w.start()
				w.after(8 * time.Hour)
				if n := len(w.slack.Messages()) + len(w.hook.Messages()); n != 0 {
					t.Errorf("%d alarms, such as %.900s", n, w.hook.Messages()[0].Body)
				}
				if s := w.log.String(); strings.Contains(s, "look failed") {
					t.Errorf("looks failed:\n%.2000s", s)
				}
				if total, most := w.registry.Counts().Total(), perMinute*(8*60+1); total > most || total < most/2 && total < 200*8 {
					t.Errorf("%d requests in 8 h, at most %d are allowed", total, most)
				}
			})
		})
	}
}

// TestFirstRunUnderTheCeilingIsOneSummary: a first pass that takes the best
// part of an hour is still one message to those who asked for first sights.
func TestFirstRunUnderTheCeilingIsOneSummary(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		refs := w.registry.Fleet(100, 20, onePlatform("1"))
		w.paced(120, watch("15m", refs)+"[[route]]\nevents = [\"baseline\"]\nto = [\"slack\"]\n")
		w.start()
		w.after(6 * time.Hour)
		if n := len(w.slack.Messages()); n != 1 {
			t.Errorf("Slack got %d messages, want 1", n)
		}
		if n := w.mentions("2000"); n != 1 {
			t.Errorf("the message does not count 2000 images:\n%.500s", w.slack.Messages()[0].Plain())
		}
	})
}

// TestRetryAfterOutlastsARestart: a registry that asked for two hours is asked
// nothing by the starts in between.
func TestRetryAfterOutlastsARestart(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		refs := w.registry.Fleet(2, 2, onePlatform("1"))
		w.configure(watch("5m", refs))
		w.start()
		w.after(10 * time.Minute)
		w.registry.Always(standin.Answer{Status: 429, Header: map[string]string{"Retry-After": "7200"}})
		w.after(6 * time.Minute)
		w.registry.Heal()
		w.registry.ResetCounts()
		for range 4 {
			w.stop()
			w.start()
			w.after(20 * time.Minute)
		}
		if n := w.registry.Counts().Total(); n != 0 {
			t.Errorf("%d requests before the time that the registry asked for", n)
		}
		w.after(time.Hour)
		if n := w.registry.Counts().Head; n == 0 {
			t.Error("no request after it")
		}
	})
}
