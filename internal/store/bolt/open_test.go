package bolt_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"basewatch/internal/outbox"
	"basewatch/internal/store/bolt"
	"basewatch/watcher"
)

func write(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// foreign makes another program's bbolt database.
func foreign(t *testing.T) string {
	path := newPath(t)
	edit(t, path, func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("theirs"))
		return err
	})
	return path
}

// edit changes a file behind the store's back.
func edit(t *testing.T, path string, fn func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(fn), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefusesWhatIsNoStoreSaysTheRemedyAndLeavesItAsItWas(t *testing.T) {
	for _, c := range []struct {
		name string
		path func(t *testing.T) string
		o    bolt.Options
		want []string
	}{
		{"no directory", func(t *testing.T) string { return filepath.Join(t.TempDir(), "missing", "x.db") },
			bolt.Options{}, []string{"there is no directory", "make it"}},
		{"a directory", func(t *testing.T) string { return t.TempDir() }, bolt.Options{}, []string{"is a directory", "store.path"}},
		{"a place where no file can be made", func(*testing.T) string { return "/proc/basewatch.db" },
			bolt.Options{}, []string{"make a file in /proc", "store.path"}},
		{"a device", func(*testing.T) string { return "/dev/null" }, bolt.Options{}, []string{"not a regular file"}},
		{"text", func(t *testing.T) string { return write(t, newPath(t), []byte(strings.Repeat("no database\n", 5000))) },
			bolt.Options{}, []string{"no basewatch store", "restore a copy"}},
		{"a few bytes", func(t *testing.T) string { return write(t, newPath(t), []byte("x")) },
			bolt.Options{}, []string{"no basewatch store"}},
		{"zeros", func(t *testing.T) string { return write(t, newPath(t), make([]byte, 1<<16)) },
			bolt.Options{}, []string{"no basewatch store"}},
		{"an empty file", func(t *testing.T) string { return write(t, newPath(t), nil) },
			bolt.Options{}, []string{"empty", "restore a copy"}},
		{"another program's database", foreign, bolt.Options{}, []string{"another program's"}},
		{"a newer schema", newer, bolt.Options{}, []string{"schema 99", "newer basewatch"}},
		{"nothing, for reading", newPath, bolt.Options{ReadOnly: true}, []string{"not exist", "basewatch run"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := c.o
			o.Path = c.path(t)
			before, errBefore := os.ReadFile(o.Path)
			s, err := bolt.Open(t.Context(), o)
			if err == nil {
				_ = s.Close()
				t.Fatal("opened")
			}
			for _, want := range append(c.want, o.Path) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			after, errAfter := os.ReadFile(o.Path)
			if string(before) != string(after) || (errBefore == nil) != (errAfter == nil) {
				t.Error("the file was changed")
			}
		})
	}
}

// newer makes a store of a later version.
func newer(t *testing.T) string {
	path := newPath(t)
	if err := open(t, bolt.Options{Path: path}).Close(); err != nil {
		t.Fatal(err)
	}
	edit(t, path, func(tx *bbolt.Tx) error { return bolt.WriteSchema(tx, 99) })
	return path
}

func TestASecondOpenFailsWithinASecondAndNamesTheRemedy(t *testing.T) {
	path := newPath(t)
	open(t, bolt.Options{Path: path})
	for _, readOnly := range []bool{false, true} {
		began := time.Now()
		_, err := bolt.Open(t.Context(), bolt.Options{Path: path, ReadOnly: readOnly})
		if !errors.Is(err, bolt.ErrLocked) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "lock_wait") {
			t.Errorf("error %v", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %s", took)
		}
	}
}

func TestOpenWaitsForTheLockAsLongAsAsked(t *testing.T) {
	path := newPath(t)
	first := open(t, bolt.Options{Path: path})
	opened := make(chan error, 1)
	go func() {
		second, err := bolt.Open(t.Context(), bolt.Options{Path: path, LockWait: time.Minute})
		if err == nil {
			err = second.Close()
		}
		opened <- err
	}()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

func TestWaitingForTheLockCanBeCancelled(t *testing.T) {
	path := newPath(t)
	open(t, bolt.Options{Path: path})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := bolt.Open(ctx, bolt.Options{Path: path, LockWait: time.Hour}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestANewFileIsPrivateAndHasOnlyItsMarkerBesideIt(t *testing.T) {
	path := newPath(t)
	s := open(t, bolt.Options{Path: path})
	if !s.Created() {
		t.Error("not created")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %s", info.Mode())
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 || files[1].Name() != "basewatch.db.marker" {
		t.Errorf("files %v", files)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if open(t, bolt.Options{Path: path}).Created() {
		t.Error("created again")
	}
}

func TestTwoThatCreateAtOnceMakeOneStore(t *testing.T) {
	path := newPath(t)
	const openers = 8
	created := make(chan bool, openers)
	for range openers {
		go func() {
			s, err := bolt.Open(t.Context(), bolt.Options{Path: path, LockWait: time.Minute})
			if err != nil {
				t.Error(err)
				created <- false
				return
			}
			made := s.Created()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			created <- made
		}()
	}
	makers := 0
	for range openers {
		if <-created {
			makers++
		}
	}
	if makers != 1 {
		t.Errorf("%d created the file", makers)
	}
}

func TestReadingChangesNoByteAndWritingIsRefused(t *testing.T) {
	path := newPath(t)
	s := open(t, bolt.Options{Path: path})
	ts := []watcher.Target{{Ref: "docker.io/library/alpine:3.22", Platforms: []string{"linux/amd64"}, Every: time.Minute}}
	if err := errors.Join(s.Watch(t.Context(), "config", ts), s.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, bolt.Options{Path: path, ReadOnly: true})
	open(t, bolt.Options{Path: path, ReadOnly: true}) // readers do not mind each other
	if rs, err := r.Records(t.Context()); err != nil || len(rs) != 1 {
		t.Errorf("records %v, %v", rs, err)
	}
	_, claim := r.Claim(t.Context(), watcher.ClaimRequest{Host: "docker.io", Max: 1})
	_, report := r.Report(t.Context(), nil)
	_, rows := r.Outbox().Claim(t.Context(), outbox.ClaimRequest{Lane: "hook", Max: 1})
	_, replay := r.Replay(t.Context(), []string{"X"})
	_, retry := r.Retry(t.Context(), "hook", nil)
	for i, err := range []error{claim, report, rows, replay, retry, r.Watch(t.Context(), "config", nil),
		r.EndPass(t.Context(), "docker.io", true), r.Outbox().Settle(t.Context(), outbox.Settlement{}), r.Writable(t.Context())} {
		if !errors.Is(err, bolt.ErrReadOnly) {
			t.Errorf("call %d: error %v", i, err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Error("the file was changed")
	}
}
