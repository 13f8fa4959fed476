package bolt_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/store/bolt"
	"basewatch/watcher"
)

func tellTwo(watcher.Event) []outbox.Delivery {
	return []outbox.Delivery{{Receiver: "slack"}, {Receiver: "hook"}}
}

// told lists what waits or waited in a store, newest first.
func told(t *testing.T, s *bolt.Store) (out []string) {
	t.Helper()
	ds, err := s.Deliveries(t.Context(), outbox.Query{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range ds {
		out = append(out, d.Receiver+" "+string(d.Event.Kind)+" "+d.Event.Ref+" "+string(d.Event.Problem))
	}
	return out
}

func TestALostStoreIsMadeAnewAndToldOnce(t *testing.T) {
	for name, lose := range map[string]func(path string) error{
		"missing": os.Remove,
		"empty":   func(path string) error { return os.Truncate(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			first := open(t, bolt.Options{Path: path, Plan: tellTwo})
			ts := []watcher.Target{{Ref: killRef, Platforms: []string{"linux/amd64"}, Every: time.Minute}}
			if err := errors.Join(first.Watch(t.Context(), "config", ts), first.Close(), lose(path)); err != nil {
				t.Fatal(err)
			}
			if _, err := bolt.Open(t.Context(), bolt.Options{Path: path, ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "lost") {
				t.Errorf("opened for reading: %v", err)
			}
			for round := range 3 {
				s := open(t, bolt.Options{Path: path, Plan: tellTwo})
				if lost := round == 0; s.Lost() != lost || s.Created() != lost {
					t.Errorf("round %d: lost %v, created %v", round, s.Lost(), s.Created())
				}
				want := "hook failing store store-lost, slack failing store store-lost"
				if got := strings.Join(told(t, s), ", "); got != want {
					t.Errorf("round %d: told %s", round, got)
				}
				if rs, err := s.Records(t.Context()); err != nil || len(rs) != 0 {
					t.Errorf("records %v, %v", rs, err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestAStoreThatNeverWasIsNotLost(t *testing.T) {
	path := newPath(t)
	s := open(t, bolt.Options{Path: path, Plan: tellTwo})
	if s.Lost() || len(told(t, s)) != 0 {
		t.Errorf("told %v", told(t, s))
	}
	if err := errors.Join(s.Close(), os.Remove(path), os.Remove(path+".marker")); err != nil {
		t.Fatal(err)
	}
	if s := open(t, bolt.Options{Path: path, Plan: tellTwo}); s.Lost() {
		t.Error("a store that was removed with its marker counts as lost")
	}
}

// A file of a version without markers gets one.
func TestAStoreWithoutAMarkerGetsOne(t *testing.T) {
	path := newPath(t)
	s := open(t, bolt.Options{Path: path})
	if err := errors.Join(s.Close(), os.Remove(path+".marker")); err != nil {
		t.Fatal(err)
	}
	s = open(t, bolt.Options{Path: path, Plan: tellTwo})
	if err := errors.Join(s.Close(), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	if s := open(t, bolt.Options{Path: path, Plan: tellTwo}); !s.Lost() {
		t.Error("the loss was not noticed")
	}
}

func TestTwoThatReplaceAnEmptyFileAtOnceMakeOneStore(t *testing.T) {
	path := newPath(t)
	if err := errors.Join(open(t, bolt.Options{Path: path}).Close(), os.Truncate(path, 0)); err != nil {
		t.Fatal(err)
	}
	const openers = 8
	lost := make(chan bool, openers)
	for range openers {
		go func() {
			s, err := bolt.Open(t.Context(), bolt.Options{Path: path, LockWait: time.Minute, Plan: tellTwo})
			if err != nil {
				t.Error(err)
				lost <- false
				return
			}
			lost <- s.Lost()
			_ = s.Close()
		}()
	}
	makers := 0
	for range openers {
		if <-lost {
			makers++
		}
	}
	if s := open(t, bolt.Options{Path: path}); makers != 1 || len(told(t, s)) != 2 {
		t.Errorf("%d made the file, told %v", makers, told(t, s))
	}
}
