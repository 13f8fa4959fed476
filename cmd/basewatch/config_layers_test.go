package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFlagsWinOverVariablesOverFilesOverDefaults(t *testing.T) {
	file := writeFiles(t, "basewatch.toml", `
[poll]
interval = "2h"
settle = "2h"
[http]
listen = "127.0.0.1:1"
token = ["a", "b"]
`)
	t.Setenv("BASEWATCH_POLL__SETTLE", "3h")
	t.Setenv("basewatch_http__listen", "127.0.0.1:2")
	t.Setenv("BASEWATCH_HTTP__TOKEN", "c")
	cfg, err := loadConfig(loadOptions{File: file, Flags: []flagSetting{{Flag: "--listen", Key: []string{"http", "listen"}, Value: "127.0.0.1:3"}}})
	if err != nil {
		t.Fatal(err)
	}
	want := PollConfig{Interval: 2 * time.Hour, Settle: 3 * time.Hour, SettleMax: 24 * time.Hour}
	if cfg.Poll != want || cfg.HTTP.Listen != "127.0.0.1:3" || len(cfg.HTTP.Tokens) != 1 {
		t.Errorf("poll %+v, http %+v", cfg.Poll, cfg.HTTP)
	}
	sources := map[keyPath]string{}
	for _, s := range cfg.Listing {
		sources[s.Name] = strings.ReplaceAll(s.Source, filepath.Dir(file)+"/", "")
	}
	for key, source := range map[keyPath]string{
		"poll.interval": "basewatch.toml:3", "poll.settle": "BASEWATCH_POLL__SETTLE",
		"poll.settle_max": "default", "http.listen": "--listen", "http.token": "BASEWATCH_HTTP__TOKEN",
	} {
		if sources[key] != source {
			t.Errorf("%s came from %q, want %q", key, sources[key], source)
		}
	}
}

func TestVariablesAreSettingsOnlyWithTwoUnderscores(t *testing.T) {
	for _, name := range []string{"BASEWATCH_URL", "BASEWATCH_TOKEN", "BASEWATCH_SERVICE_HOST", "BASEWATCH_PORT_8080_TCP", "OTHER__THING"} {
		t.Setenv(name, "tcp://10.0.0.1:8080")
	}
	loadFiles(t, "basewatch.toml", "")
}

func TestVariablesReachNamedTablesAndEveryType(t *testing.T) {
	t.Setenv("BASEWATCH_NOTIFY__SLACK__KIND", "slack")
	t.Setenv("BASEWATCH_NOTIFY__SLACK__TOKEN", "env:REAL_TOKEN")
	t.Setenv("REAL_TOKEN", "xoxb-1")
	t.Setenv("BASEWATCH_NOTIFY__SLACK__CHANNEL", "#base")
	t.Setenv("BASEWATCH_REGISTRY__LOCALHOST__PLAIN_HTTP", "true")
	t.Setenv("BASEWATCH_REGISTRY__LOCALHOST__IN_FLIGHT", "3")
	cfg := loadFiles(t, "basewatch.toml", "")
	local := cfg.Registries.Hosts["localhost"]
	if len(cfg.Notify) != 1 || cfg.Notify[0].Kind != "slack" || !local.PlainHTTP || local.InFlight != 3 {
		t.Errorf("notify %+v, localhost %+v", cfg.Notify, local)
	}
}

func TestWrongVariablesAreRefusedByName(t *testing.T) {
	tests := []struct{ name, variable, value, want string }{
		{"unknown key", "BASEWATCH_POLL__INTERVALL", "5m", `poll.intervall: unknown key; did you mean "interval"?`},
		{"unknown table", "BASEWATCH_POL__INTERVAL", "5m", `pol: unknown key; did you mean "poll"?`},
		{"later feature", "BASEWATCH_STORE__URL", "postgres://pg", `store.url: not built yet in this version; take it out`},
		{"list", "BASEWATCH_NETWORK__NO_PROXY", "a,b", `network.no_proxy: lists cannot be set by variables; write it into the file: a list such as ["a", "b"]`},
		{"list of a receiver", "BASEWATCH_NOTIFY__LOG__NO_PROXY", "a", `notify.log.no_proxy: a list or table cannot be set as a whole; write it into the file`},
		{"list of tables", "BASEWATCH_WATCH__0__IMAGES", "alpine", `watch: lists cannot be set by variables; write it into the file: tables, each under its own [[…]] line`},
		{"number", "BASEWATCH_REGISTRY__LOCALHOST__IN_FLIGHT", "many", `registry.localhost.in_flight: "many" is not a whole number`},
		{"boolean", "BASEWATCH_REGISTRY__LOCALHOST__UPSTREAM", "maybe", `registry.localhost.upstream: "maybe" is neither true nor false`},
		{"duration", "BASEWATCH_POLL__INTERVAL", "", `poll.interval: "" is no duration; write it like "15m", "1d12h" or "2w" (units w d h m s)`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(tt.variable, tt.value)
			file := writeFiles(t, "basewatch.toml", "[[watch]]\nimages = [\"alpine:3.22\"]\n[notify.log]\nkind = \"log\"\n")
			got := loadError(t, loadOptions{File: file})
			if diff := cmp.Diff(tt.variable+": "+tt.want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTwoSpellingsOfOneVariableAreRefused(t *testing.T) {
	t.Setenv("BASEWATCH_POLL__INTERVAL", "5m")
	t.Setenv("basewatch_poll__interval", "6m")
	got := loadError(t, loadOptions{File: writeFiles(t, "basewatch.toml", "")})
	want := "basewatch_poll__interval: poll.interval: already set by BASEWATCH_POLL__INTERVAL; keep one of the two"
	if got != want {
		t.Errorf("got %s", got)
	}
}

func TestIncludedFilesUniteAndTheirListsAppend(t *testing.T) {
	cfg := loadFiles(t,
		"basewatch.toml", `
include = ["*.toml", "teams/*.toml", "none/*.toml"]
[poll]
interval = "1h"
[network]
no_proxy = ["a.example"]
[alias]
"harbor.example.com/a" = "docker.io"
[[watch]]
images = ["alpine:1"]
[[route]]
events = ["changed"]
to = ["log"]
[notify.log]
kind = "log"`,
		"teams/data.toml", `
[poll]
settle = "2h"
[network]
no_proxy = ["b.example"]
[alias]
"harbor.example.com/b" = "ghcr.io"
[[watch]]
images = ["alpine:2"]
[[route]]
events = ["failing"]
to = ["data"]
[notify.data]
kind = "log"`,
		"teams/shop.toml", `
[[watch]]
images = ["alpine:3"]
labels = { "example.com/team" = "shop" }`)
	if cfg.Poll.Interval != time.Hour || cfg.Poll.Settle != 2*time.Hour {
		t.Errorf("poll: %+v", cfg.Poll)
	}
	if len(cfg.Targets) != 3 || len(cfg.Aliases) != 2 || len(cfg.Notify) != 2 {
		t.Errorf("%d targets, %d aliases, %d receivers", len(cfg.Targets), len(cfg.Aliases), len(cfg.Notify))
	}
	if diff := cmp.Diff([]string{"a.example", "b.example"}, cfg.Network.NoProxy); diff != "" {
		t.Errorf("no_proxy (-want +got):\n%s", diff)
	}
	if len(cfg.Routes) != 2 || cfg.Routes[1].To[0] != "data" {
		t.Errorf("routes: %+v", cfg.Routes)
	}
	if len(cfg.Warnings) != 1 || !strings.HasSuffix(cfg.Warnings[0], `basewatch.toml:2: include: "none/*.toml" matches no file`) {
		t.Errorf("warnings: %q", cfg.Warnings)
	}
}

func TestTheSumIsOfAllFiles(t *testing.T) {
	top := "include = [\"a.toml\"]\n"
	one, same := loadFiles(t, "basewatch.toml", top, "a.toml", `name = "a"`), loadFiles(t, "basewatch.toml", top, "a.toml", `name = "a"`)
	other := loadFiles(t, "basewatch.toml", top, "a.toml", `name = "b"`)
	if len(one.Sum) != 4 || one.Sum != same.Sum || one.Sum == other.Sum {
		t.Errorf("sums %q, %q, %q", one.Sum, same.Sum, other.Sum)
	}
}

func TestAnyTextMayBeAVariableOrAFile(t *testing.T) {
	t.Setenv("IMAGE", "alpine:3.22")
	t.Setenv("EVERY", "5m")
	file := filepath.Join(t.TempDir(), "name")
	if err := os.WriteFile(file, []byte("prod-eu\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := loadFiles(t, "basewatch.toml", `
name = "file:`+file+`"
[poll]
interval = "env:EVERY"
[[watch]]
images = ["env:IMAGE"]
labels = { team = "env:EVERY" }
`)
	if cfg.Name != "prod-eu" || cfg.Poll.Interval != 5*time.Minute || cfg.Targets[0].Ref != "docker.io/library/alpine:3.22" ||
		cfg.Targets[0].Labels["team"][0] != "5m" {
		t.Errorf("name %q, poll %+v, targets %+v", cfg.Name, cfg.Poll, cfg.Targets)
	}
}

func TestAByteOrderMarkIsNoMistake(t *testing.T) {
	if cfg := loadFiles(t, "basewatch.toml", "\xef\xbb\xbfname = \"x\"\n"); cfg.Name != "x" {
		t.Errorf("name %q", cfg.Name)
	}
}

func TestAFileBeyondTheBoundIsRefused(t *testing.T) {
	got := loadError(t, loadOptions{File: writeFiles(t, "big.toml", "# "+strings.Repeat("x", maxConfigBytes))})
	if !strings.Contains(got, "larger than 8 MiB") {
		t.Errorf("got %s", got)
	}
}
