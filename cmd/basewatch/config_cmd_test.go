package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// runConfig executes one command line.
func runConfig(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = execute(context.Background(), args, streams{in: strings.NewReader(""), out: &out, err: &err})
	return code, out.String(), err.String()
}

const shownConfig = `name = "prod-eu"
[http]
token = ["env:BW_TOKEN", "hunter2-literal"]
[network]
proxy = "http://acme:hunter2-proxy@proxy.example.com:3128"
[registry."docker.io"]
per_minute = 0
[[watch]]
images = ["alpine:3.22", "ruby:3.4-slim"]
labels = { team = "env:TEAM" }
[notify.audit]
kind = "webhook"
url = "env:AUDIT_URL"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
headers = { Authorization = "hunter2-header" }
[[route]]
images = ["alpine:*", "golang"]
events = ["changed", "overdue"]
to = ["audit"]
`

func setShown(t *testing.T) string {
	t.Helper()
	t.Setenv("BW_TOKEN", "hunter2-token")
	t.Setenv("TEAM", "hunter2-team")
	t.Setenv("AUDIT_URL", "https://hooks.example.com/hunter2-path")
	t.Setenv("STATE_DIRECTORY", "/state")
	return writeFiles(t, "basewatch.toml", shownConfig)
}

func TestConfigShowSaysWhereEachValueCameFromAndNoSecret(t *testing.T) {
	file := setShown(t)
	code, out, stderr := runConfig(t, "config", "show", "-c", file)
	if code != 0 || stderr != "" {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	if strings.Contains(out, "hunter2") || strings.Contains(out, "MfKQ9r8") {
		t.Errorf("a secret is shown:\n%s", out)
	}
	out = strings.ReplaceAll(out, filepath.Dir(file)+"/", "")
	for _, want := range []string{
		`name = "prod-eu"                         # basewatch.toml:1`,
		`interval = "15m"                         # default`,
		`token = ["***", "***"]                   # basewatch.toml:3, env:BW_TOKEN (a new value needs a restart)`,
		`proxy = "http://***@proxy.example.com:3128" # basewatch.toml:5`,
		"[registry.\"docker.io\"]\nusername = \"\"",
		`path = "/state/basewatch.db"             # default`,
		`labels = { team = "env:TEAM" } `,
		"[[watch]]\nimages = [\"alpine:3.22\", \"ruby:3.4-slim\"]",
		"[notify.audit]\nkind = \"webhook\"",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%s\nis not in\n%s", want, out)
		}
	}
}

// What config show prints is a configuration again, but for the secrets.
func TestConfigShowPrintsTOML(t *testing.T) {
	_, out, _ := runConfig(t, "config", "show", "-c", setShown(t))
	tree, _, bad := parseTOML("show", []byte(out))
	if bad != nil {
		t.Fatalf("%s in\n%s", bad, out)
	}
	c := &checker{problems: newProblems(places{}), via: map[keyPath]string{}}
	c.check(schema(), tree, "")
	if err := c.err(); err != nil {
		t.Error(err)
	}
}

func TestConfigShowInJSONHasEverySetting(t *testing.T) {
	_, out, _ := runConfig(t, "config", "show", "-o", "json", "-c", setShown(t))
	var settings []struct{ Key, Value, Source string }
	if err := json.Unmarshal([]byte(out), &settings); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, s := range settings {
		found[s.Key] = s.Value
	}
	if found["poll.interval"] != `"15m"` || found["watch[0].images"] == "" || strings.Contains(out, "hunter2") {
		t.Errorf("settings %v", found)
	}
}

func TestConfigCheckSaysWhatIsWatchedAndMatchedAndWarns(t *testing.T) {
	file := setShown(t)
	code, out, stderr := runConfig(t, "config", "check", file)
	if code != 0 || stderr != "" {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	want := `basewatch.toml (sha SUM): no errors

REGISTRY   IMAGES  PLATFORMS    EVERY
docker.io  2       linux/amd64  15m

ROUTE                         TO     PATTERN   MATCHES
route[0] (basewatch.toml:16)  audit  alpine:*  alpine:3.22
                                     golang    nothing

warning  basewatch.toml:17: route[0].images[1]: "golang" matches none of the watched images
warning  basewatch.toml:18: route[0].events[1]: "overdue" is an event that nothing sends yet in this version
`
	cfg, err := loadConfig(loadOptions{File: file})
	if err != nil {
		t.Fatal(err)
	}
	// Columns are as wide as the path of the test's directory.
	got := strings.ReplaceAll(out, filepath.Dir(file)+"/", "")
	got = strings.ReplaceAll(got, cfg.Sum, "SUM")
	if diff := cmp.Diff(squeeze(want), squeeze(got)); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

// squeeze makes runs of spaces one.
func squeeze(s string) string {
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}

func TestConfigCheckPrintsEveryErrorAndExitsWithTwo(t *testing.T) {
	file := writeFiles(t, "basewatch.toml", "[poll]\ninterval = 1\nsettel = \"1m\"\n")
	code, out, stderr := runConfig(t, "config", "check", file)
	want := file + ":2: poll.interval: wants a text in quotes, not the number 1\n" +
		file + ":3: poll.settel: unknown key; did you mean \"settle\"?\n2 errors; nothing was taken\n"
	if code != exitUsage || out != "" || stderr != want {
		t.Errorf("exit %d, stdout %q, stderr\n%s", code, out, stderr)
	}
}
