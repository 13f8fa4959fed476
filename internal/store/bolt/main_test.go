package bolt_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"basewatch/internal/store/bolt"
	"basewatch/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childVariable); path != "" {
		fmt.Fprintln(os.Stderr, writeForEver(path))
		os.Exit(1)
	}
	if list := os.Getenv(bolt.FilesVariable); list != "" {
		bolt.CheckFiles(list)
		return
	}
	goleak.VerifyTestMain(m)
}

// place is a store's file.
type place string

func (p place) Open(t *testing.T, plan storetest.Plan) storetest.Store {
	return open(t, bolt.Options{Path: string(p), Plan: plan})
}

// Crash copies the file: that is what a killed process leaves behind.
func (p place) Crash(t *testing.T) storetest.Place {
	data, err := os.ReadFile(string(p))
	if err != nil {
		t.Fatal(err)
	}
	copied := place(filepath.Join(t.TempDir(), "basewatch.db"))
	if err := os.WriteFile(string(copied), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return copied
}

func newPath(t *testing.T) string { return filepath.Join(t.TempDir(), "basewatch.db") }

func open(t *testing.T, o bolt.Options) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestTheStoreKeepsEveryPromiseOfTheConformanceSuite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place { return place(newPath(t)) })
}
