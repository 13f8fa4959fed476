package housekeeping

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/version"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	maxFile     = 400 // lines
	maxFunction = 100
	newestGo    = "go1.26.3" // that the go directive may ask for
)

// vague are names that say nothing about what a package is for.
var vague = []string{"util", "utils", "common", "model", "models", "types", "helper", "helpers", "misc", "base"}

func TestFilesAndFunctionsStayShort(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		seen++
		for _, fault := range faults(strings.TrimPrefix(filepath.ToSlash(file), root+"/"), source) {
			t.Error(fault)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 20 {
		t.Fatalf("only %d Go files seen: is this the repository?", seen)
	}
}

func TestEachFaultOfShapeIsSeen(t *testing.T) {
	lines := func(n int) string { return strings.Repeat("\n", n) }
	for _, tc := range []struct {
		name, file, source string
		want               []string
	}{
		{"short", "a.go", "package a\nfunc f() {}\n", nil},
		{"400 lines", "a.go", "package a" + lines(400), nil},
		{"401 lines", "a.go", "package a" + lines(401), []string{"a.go has 401 lines, at most 400"}},
		{"long function", "a.go", "package a\nfunc f() {" + lines(100) + "}\n", []string{"a.go: f has 101 lines, at most 100"}},
		{"long method", "a.go", "package a\ntype T int\nfunc (T) m() {" + lines(100) + "}\n", []string{"a.go: m has 101 lines, at most 100"}},
		{"long test", "a_test.go", "package a\nfunc f() {" + lines(500) + "}\n", nil},
		{"long case of a suite", "b/btest/a.go", "package btest\nfunc f() {" + lines(500) + "}\n", nil},
		{"vague name", "util/a.go", "package util\n", []string{"util/a.go: package util says nothing"}},
		{"vague name of a test", "util/a_test.go", "package util_test\n", []string{"util/a_test.go: package util says nothing"}},
		{"broken", "a.go", "package", []string{"a.go does not parse"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, faults(tc.file, []byte(tc.source))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func faults(name string, source []byte) (found []string) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, source, parser.SkipObjectResolution|parser.ParseComments)
	if err != nil {
		return []string{name + " does not parse"}
	}
	pkg := strings.TrimSuffix(file.Name.Name, "_test")
	if slices.Contains(vague, pkg) {
		found = append(found, fmt.Sprintf("%s: package %s says nothing", name, pkg))
	}
	if strings.HasSuffix(name, "_test.go") || servesTests(path.Dir(name)) || ast.IsGenerated(file) {
		return found
	}
	if n := strings.Count(string(source), "\n"); n > maxFile {
		found = append(found, fmt.Sprintf("%s has %d lines, at most %d", name, n, maxFile))
	}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; n > maxFunction {
			found = append(found, fmt.Sprintf("%s: %s has %d lines, at most %d", name, f.Name.Name, n, maxFunction))
		}
	}
	return found
}

func TestTheGoDirectiveAsksForNoNewerGo(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	directive := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(text)
	if directive == nil {
		t.Fatal("go.mod has no go directive")
	}
	if asks := "go" + string(directive[1]); !version.IsValid(asks) || version.Compare(asks, newestGo) > 0 {
		t.Errorf("go.mod asks for %s, newer than %s", asks, newestGo)
	}
	if regexp.MustCompile(`(?m)^toolchain `).Match(text) {
		t.Error("go.mod has a toolchain directive, which would fetch another Go")
	}
}
