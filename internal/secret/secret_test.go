package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"basewatch/internal/secret"
)

const canary = "xoxb-canary-7Q2NK4"

func parse(t *testing.T, text string) secret.Secret {
	t.Helper()
	var s secret.Secret
	if err := s.UnmarshalText([]byte(text)); err != nil {
		t.Fatalf("UnmarshalText(%q): %v", text, err)
	}
	return s
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestValueComesFromWhereTheUserKeepsIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, canary+"\n\n")
	t.Setenv("BW_TEST_SECRET", canary+"\r\n")
	tests := map[string]struct{ value, source string }{
		canary:               {canary, "literal"},
		"env:BW_TEST_SECRET": {canary, "env:BW_TEST_SECRET"},
		"file:" + path:       {canary + "\n", "file:" + path}, // one newline, no more
	}
	for text, want := range tests {
		s := parse(t, text)
		got, err := s.Value()
		if err != nil || got != want.value {
			t.Errorf("Value of %q = %q, %v; want %q", text, got, err, want.value)
		}
		if s.Source() != want.source {
			t.Errorf("Source of %q = %q, want %q", text, s.Source(), want.source)
		}
	}
}

func TestMissingAndEmptyAreErrorsThatNameThePlace(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "empty"), "\n")
	write(t, filepath.Join(dir, "big"), strings.Repeat("x", secret.MaxSize+1))
	t.Setenv("BW_TEST_EMPTY", "")
	tests := map[string]string{
		"env:BW_TEST_UNSET":    "env:BW_TEST_UNSET: the variable is not set",
		"env:BW_TEST_EMPTY":    "env:BW_TEST_EMPTY: the variable is empty",
		"file:" + dir + "/no":  "file:" + dir + "/no: the file does not exist",
		"file:" + dir:          "file:" + dir + ": not a regular file",
		"file:" + dir + "/big": "file:" + dir + "/big: the file holds more than 64 KiB",
		"file:" + dir + "/empty": "file:" + dir +
			"/empty: the file is empty",
	}
	for text, want := range tests {
		if _, err := parse(t, text).Value(); err == nil || err.Error() != want {
			t.Errorf("Value of %q: error %v, want %s", text, err, want)
		}
	}
	if _, err := (secret.Secret{}).Value(); err == nil {
		t.Error("the zero Secret has a value")
	}
}

func TestUnmarshalRefusesAPlaceWithoutAName(t *testing.T) {
	for _, text := range []string{"env:", "file:", "env:A=B"} {
		var s secret.Secret
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestFileIsReadAgainWhenItChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	s := parse(t, "file:"+path)
	expect := func(want string) {
		t.Helper()
		if got, err := s.Value(); err != nil || got != want {
			t.Fatalf("Value = %q, %v; want %q", got, err, want)
		}
	}
	mtime := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	stamp := func(at time.Time) {
		t.Helper()
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	write(t, path, "one")
	stamp(mtime)
	expect("one")
	write(t, path, "two") // same size
	stamp(mtime.Add(time.Second))
	expect("two")
	write(t, path, "three") // same time
	stamp(mtime.Add(time.Second))
	expect("three")

	write(t, path, "3hree") // neither differs: only Forget helps
	stamp(mtime.Add(time.Second))
	expect("three")
	s.Forget()
	expect("3hree")

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Value(); err == nil {
		t.Error("a deleted file still has a value")
	}
}

func TestRenamedFileIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	path, next := filepath.Join(dir, "token"), filepath.Join(dir, "next")
	write(t, path, "one")
	write(t, next, "two")
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for _, p := range []string{path, next} {
		if err := os.Chtimes(p, at, at); err != nil {
			t.Fatal(err)
		}
	}
	s := parse(t, "file:"+path)
	if got, _ := s.Value(); got != "one" {
		t.Fatalf("Value = %q", got)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Value(); got != "two" {
		t.Errorf("Value after a rename = %q, want two", got)
	}
}

func TestNoWayOfPrintingShowsTheValue(t *testing.T) {
	s := secret.Literal(canary)
	type holder struct {
		Public secret.Secret
		hidden secret.Secret
		many   []secret.Secret
		byName map[string]secret.Secret
	}
	h := holder{s, s, []secret.Secret{s}, map[string]secret.Secret{"a": s}}
	out := new(bytes.Buffer)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%10.3s"} {
		fmt.Fprintf(out, verb+"\n", s)
		fmt.Fprintf(out, verb+"\n", &s)
		fmt.Fprintf(out, verb+"\n", h)
		fmt.Fprintf(out, verb+"\n", &h)
	}
	fmt.Fprintln(out, s, h, h.hidden, h.many, h.byName)
	slog.New(slog.NewTextHandler(out, nil)).Info("m", "s", s, "h", h)
	slog.New(slog.NewJSONHandler(out, nil)).Info("m", "s", s, "h", h)
	if err := json.NewEncoder(out).Encode(map[string]any{"s": s, "p": &s, "h": h}); err != nil {
		t.Fatal(err)
	}
	text, err := s.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary)} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the value is shown:\n%s", out)
		}
	}
	if !strings.Contains(out.String(), `"s":"***"`) {
		t.Errorf("JSON does not show ***:\n%s", out)
	}
}

func TestZeroPrintsAsNothing(t *testing.T) {
	var s secret.Secret
	if got := fmt.Sprintf("%v|%s|%#v", s, s, s); got != "||" {
		t.Errorf("printed %q", got)
	}
	if !s.IsZero() || !parse(t, "").IsZero() || secret.Literal("x").IsZero() {
		t.Error("IsZero is wrong")
	}
}

func TestEqualComparesThePlace(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{
		{"", "", true}, {"", "a", false}, {"a", "a", true}, {"a", "b", false},
		{"env:A", "env:A", true}, {"env:A", "env:B", false}, {"env:A", "file:A", false},
	}
	for _, tt := range tests {
		if got := parse(t, tt.a).Equal(parse(t, tt.b)); got != tt.want {
			t.Errorf("%q equal %q = %v", tt.a, tt.b, got)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, "one")
	s := parse(t, "file:"+path)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if got, err := s.Value(); err != nil || got != "one" {
					t.Errorf("Value = %q, %v", got, err)
				}
				s.Forget()
			}
		})
	}
	wg.Wait()
}
