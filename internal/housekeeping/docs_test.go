package housekeeping

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// root is the repository, seen from this package.
const root = "../.."

var (
	fenced   = regexp.MustCompile("(?ms)^```.*?^```")
	links    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	ticked   = regexp.MustCompile("`([^`\n]+)`")
	atRoot   = regexp.MustCompile(`^([A-Z]+\.md|Makefile|Dockerfile|LICENSE|config\.example\.toml|go\.mod|\.golangci\.yaml)$`)
	fillIns  = regexp.MustCompile(`[<>{}$…]|\b[A-Z]{3,}\b`) // notify/<name>.go, docs/NAME.md
	position = regexp.MustCompile(`:\d+$`)
	symbol   = regexp.MustCompile(`\.[A-Za-z]\w*$`) // watcher/registry.Client
)

// TestDocumentsNamePathsThatExist holds every link within the repository, and
// every word in backticks that begins with one of its top directories or is
// named like one of the files at its root.
func TestDocumentsNamePathsThatExist(t *testing.T) {
	docs := []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/design.md"}
	more, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range more {
		docs = append(docs, filepath.ToSlash(filepath.Join("docs", filepath.Base(path))))
	}
	slices.Sort(docs)
	for _, doc := range slices.Compact(docs) {
		text, err := os.ReadFile(filepath.Join(root, doc))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, path := range paths(doc, string(text), topDirectories(t)) {
			if !exists(path) {
				t.Errorf("%s names %s, which does not exist", doc, path)
			}
		}
	}
}

func TestPathsAreFoundInDocuments(t *testing.T) {
	text := strings.Join([]string{
		"See [the design](design.md#rooms), [home](../README.md), [out](https://example.com/docs/x.md), [down](#below).",
		"`internal/store/bolt`, `notify/slack.go:12`, `watcher/registry.Client`, `go run ./cmd/basewatch run --config config.example.toml`,",
		"`CONTRIBUTING.md`, `cmd/basewatch/testdata/script/*.txtar`,",
		"but not `docker.io/library/alpine`, `acme/base`, `notify/<name>.go`, `docs/NAME.md`, `watcher.Settle`, `basewatch.toml`.",
		"```", "`internal/nowhere`", "```",
	}, "\n")
	want := []string{
		"docs/design.md", "README.md",
		"internal/store/bolt", "notify/slack.go", "watcher/registry.Client", "cmd/basewatch", "config.example.toml",
		"CONTRIBUTING.md", "cmd/basewatch/testdata/script/*.txtar",
	}
	got := paths("docs/guide.md", text, []string{"cmd", "docs", "internal", "notify", "watcher"})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExistenceIsReallyChecked(t *testing.T) {
	for path, want := range map[string]bool{
		"go.mod": true, "internal/housekeeping": true, "internal/housekeeping/": true,
		"internal/housekeeping/docs_test.go": true, "internal/housekeeping/*_test.go": true,
		"internal/housekeeping.TestX": true, "../..": false,
		"internal/nowhere": false, "internal/nowhere.Thing": false, "internal/*.nothing": false, "go.mod/": false,
	} {
		if got := exists(path); got != want {
			t.Errorf("exists(%q) = %v, want %v", path, got, want)
		}
	}
}

// paths lists what a document names, relative to the root.
func paths(doc, text string, top []string) (found []string) {
	text = fenced.ReplaceAllString(text, "")
	for _, m := range links.FindAllStringSubmatch(text, -1) {
		target, _, _ := strings.Cut(m[1], "#")
		if target == "" || strings.Contains(target, ":") {
			continue
		}
		found = append(found, filepath.ToSlash(filepath.Join(filepath.Dir(doc), target)))
	}
	for _, m := range ticked.FindAllStringSubmatch(text, -1) {
		for _, word := range strings.Fields(m[1]) {
			word = position.ReplaceAllString(strings.TrimPrefix(strings.TrimRight(word, ",;"), "./"), "")
			first, _, below := strings.Cut(word, "/")
			switch {
			case atRoot.MatchString(word), below && slices.Contains(top, first) && !fillIns.MatchString(word):
				found = append(found, word)
			}
		}
	}
	return found
}

// exists reports whether a path, pattern, or path with a symbol of Go is there.
func exists(path string) bool {
	if !filepath.IsLocal(path) {
		return false
	}
	hits, err := filepath.Glob(filepath.Join(root, path))
	if err == nil && len(hits) > 0 {
		info, err := os.Stat(hits[0])
		return err == nil && (info.IsDir() || !strings.HasSuffix(path, "/"))
	}
	pkg := symbol.ReplaceAllString(path, "")
	info, err := os.Stat(filepath.Join(root, pkg))
	return pkg != path && err == nil && info.IsDir()
}

func topDirectories(t *testing.T) (dirs []string) {
	t.Helper()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, e.Name())
		}
	}
	return dirs
}
