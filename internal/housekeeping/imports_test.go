package housekeeping

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "basewatch"

// room is a package with all below it, and which rooms it may import. A package
// belongs to the room with the longest name that fits.
type room struct {
	name string
	may  []string
}

var (
	ground = []string{"watcher", "watcher/tags", "rebuild/dockerfile"}
	leaves = []string{"internal/outbound", "internal/secret", "internal/text", "internal/standin"}
	middle = slices.Concat(ground, leaves)
	upper  = slices.Concat(middle, []string{"internal/outbox"})

	// rooms are the rows of docs/design.md: a room imports those below its row,
	// never a neighbour. A room that is not listed here may not exist.
	rooms = []room{
		{"watcher", nil}, {"watcher/tags", nil}, {"rebuild/dockerfile", nil},
		{"internal/outbound", nil}, {"internal/secret", nil}, {"internal/text", nil}, {"internal/standin", nil},
		{"internal/outbox", middle}, {"watcher/registry", middle}, {"watcher/inspect", middle},
		{"notify", upper}, {"rebuild", upper}, {"internal/store", upper}, {"internal/web", upper},
		{"cmd/basewatch", []string{"*"}},
		{"internal/housekeeping", nil},
	}

	// only says which rooms alone may import a library, by the start of its
	// path.
	only = []struct {
		library string
		rooms   []string
	}{
		{"github.com/slack-go/", []string{"notify"}},
		{"github.com/nicholas-fedor/shoutrrr", []string{"notify"}},
		{"github.com/wneessen/go-mail", []string{"notify"}},
		{"github.com/google/go-github/", []string{"rebuild"}},
		{"go.etcd.io/bbolt", []string{"internal/store"}},
		{"github.com/jackc/pgx/", []string{"internal/store"}},
		{"github.com/knadh/koanf/", []string{"cmd/basewatch"}},
		{remote, []string{"watcher/registry", "internal/standin"}},
		{"github.com/prometheus/client_golang/", []string{"internal/web"}},
	}

	// testing libraries have no place outside tests and the packages that serve
	// tests alone.
	testOnly = []string{
		"testing", "net/http/httptest", "github.com/google/go-cmp/", "go.uber.org/goleak", "pgregory.net/rapid",
		"github.com/rogpeppe/go-internal/", "github.com/standard-webhooks/",
	}

	// noIO are the standard packages through which a pure room would reach the
	// world; it may log to what it is given.
	noIO = []string{"net", "os", "syscall", "database/", "io/ioutil", "plugin"}

	// libraries are all that a pure room may import from others.
	libraries = map[string][]string{
		"watcher":            {"github.com/google/go-containerregistry/pkg/name"},
		"watcher/tags":       {"github.com/Masterminds/semver/"},
		"rebuild/dockerfile": {"github.com/moby/buildkit/frontend/dockerfile/", "go.yaml.in/yaml/", "github.com/hashicorp/hcl/", "github.com/zclconf/go-cty/"},
	}
)

const remote = "github.com/google/go-containerregistry/pkg/v1/remote"

// listed is a package as `go list` tells it.
type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func TestImportsGoDownTheRowsOnly(t *testing.T) {
	packages := list(t)
	if len(packages) < 8 {
		t.Fatalf("only %d packages listed: is this the repository?", len(packages))
	}
	for _, v := range violations(packages) {
		t.Error(v)
	}
}

func TestTheBinaryLinksNoTestCode(t *testing.T) {
	for _, dep := range strings.Fields(string(goList(t, "-deps", "./cmd/basewatch"))) {
		if dep == "testing" || matches(dep, testOnly[1:]) {
			t.Errorf("cmd/basewatch links %s", dep)
		}
	}
}

func TestEachImportRuleCanBeBroken(t *testing.T) {
	pkg := func(path string, imports ...string) listed { return listed{ImportPath: path, Imports: imports} }
	ours := func(path string) string { return module + "/" + path }
	for _, tc := range []struct {
		name string
		pkg  listed
		want []string
	}{
		{"down", pkg("notify", ours("internal/outbox"), ours("watcher"), ours("internal/text"), "github.com/slack-go/slack"), nil},
		{"within a room", pkg("internal/store/bolt", ours("internal/store"), "go.etcd.io/bbolt"), nil},
		{"wiring", pkg("cmd/basewatch", ours("notify"), ours("internal/web"), "github.com/knadh/koanf/v2"), nil},
		{"up", pkg("watcher", ours("internal/outbox")), []string{"watcher imports internal/outbox"}},
		{"neighbour", pkg("notify", ours("internal/store/bolt")), []string{"notify imports internal/store/bolt"}},
		{"neighbours below", pkg("watcher/registry", ours("internal/outbox")), []string{"watcher/registry imports internal/outbox"}},
		{"leaf", pkg("internal/text", ours("internal/secret")), []string{"internal/text imports internal/secret"}},
		{"past the queue", pkg("notify", ours("watcher/registry")), []string{"notify imports watcher/registry"}},
		{"a room nobody planned", pkg("internal/extra"), []string{"internal/extra is in no room"}},
		{"pure room, library", pkg("watcher", "github.com/google/uuid"), []string{"watcher imports github.com/google/uuid"}},
		{"pure room, network", pkg("watcher", "net/http"), []string{"watcher imports net/http"}},
		{"pure room, files", pkg("rebuild/dockerfile", "os"), []string{"rebuild/dockerfile imports os"}},
		{"pure room, good", pkg("watcher", "time", "log/slog", "github.com/google/go-containerregistry/pkg/name"), nil},
		{"database elsewhere", pkg("internal/web", "go.etcd.io/bbolt"), []string{"internal/web imports go.etcd.io/bbolt"}},
		{"registry client elsewhere", pkg("rebuild", remote), []string{"rebuild imports " + remote}},
		{"in a test too", listed{ImportPath: "notify", XTestImports: []string{remote}}, []string{"notify imports " + remote + " in a test"}},
		{"tests are free otherwise", listed{ImportPath: "watcher", XTestImports: []string{ours("internal/store/bolt"), "net"}}, nil},
		{"test library in code", pkg("notify", "testing"), []string{"notify imports testing"}},
		{"suites may", pkg("internal/store/storetest", "testing", "github.com/google/go-cmp/cmp"), nil},
		{"suites stay out of code", pkg("internal/store/bolt", ours("internal/standin/dockerregistry")), []string{"internal/store/bolt imports internal/standin/dockerregistry"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.pkg.ImportPath = ours(tc.pkg.ImportPath)
			if diff := cmp.Diff(tc.want, violations([]listed{tc.pkg})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func violations(packages []listed) (vs []string) {
	for _, p := range packages {
		path := strings.TrimPrefix(p.ImportPath, module+"/")
		in, ok := roomOf(path)
		if !ok {
			vs = append(vs, path+" is in no room")
			continue
		}
		for _, imp := range p.Imports {
			if !allowed(in, path, imp) {
				vs = append(vs, path+" imports "+strings.TrimPrefix(imp, module+"/"))
			}
		}
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			if strings.HasPrefix(imp, remote) && !may(in, imp) && in.name != "cmd/basewatch" {
				vs = append(vs, path+" imports "+imp+" in a test")
			}
		}
	}
	return vs
}

func allowed(in room, path, imp string) bool {
	if own, ok := strings.CutPrefix(imp, module+"/"); ok {
		to, known := roomOf(own)
		if servesTests(own) && !servesTests(path) {
			return false
		}
		return known && (to.name == in.name || slices.Contains(in.may, to.name) || slices.Contains(in.may, "*"))
	}
	if matches(imp, testOnly) && !servesTests(path) {
		return false
	}
	if extra, pure := libraries[in.name]; pure {
		if matches(imp, noIO) || strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") && !matches(imp, extra) {
			return false
		}
	}
	return may(in, imp)
}

// may reports whether no rule keeps the library for other rooms.
func may(in room, imp string) bool {
	for _, rule := range only {
		if strings.HasPrefix(imp, rule.library) && !slices.Contains(rule.rooms, in.name) {
			return false
		}
	}
	return true
}

// servesTests reports a package that is there for tests alone.
func servesTests(path string) bool {
	return strings.HasSuffix(path, "test") || path == "internal/standin/dockerregistry"
}

// matches reports whether imp is one of the paths or below one.
func matches(imp string, paths []string) bool {
	return slices.ContainsFunc(paths, func(p string) bool {
		return imp == p || strings.HasPrefix(imp, strings.TrimSuffix(p, "/")+"/")
	})
}

func roomOf(path string) (found room, ok bool) {
	for _, r := range rooms {
		if (path == r.name || strings.HasPrefix(path, r.name+"/")) && len(r.name) > len(found.name) {
			found, ok = r, true
		}
	}
	return found, ok
}

func list(t *testing.T) (packages []listed) {
	t.Helper()
	for dec := json.NewDecoder(bytes.NewReader(goList(t, "-json=ImportPath,Imports,TestImports,XTestImports", "./..."))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func goList(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%s: %v\n%s", cmd, err, exit.Stderr)
		}
		t.Fatalf("%s: %v", cmd, err)
	}
	return out
}
