package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"basewatch/watcher"
)

// writeFiles puts files into a new directory and gives the path of the first.
func writeFiles(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		file := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, files[0])
}

func loadFiles(t *testing.T, files ...string) *Config {
	t.Helper()
	cfg, err := loadConfig(loadOptions{File: writeFiles(t, files...)})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// loadError gives the problems of a configuration with the directory left out.
func loadError(t *testing.T, o loadOptions) string {
	t.Helper()
	_, err := loadConfig(o)
	if err == nil {
		t.Fatal("the configuration was accepted")
	}
	if exitCode(err) != exitUsage {
		t.Errorf("exit code %d, want %d", exitCode(err), exitUsage)
	}
	return strings.ReplaceAll(err.Error(), filepath.Dir(o.File)+"/", "")
}

// Each file in testdata/config holds one mistake; its first line is the whole
// error expected.
func TestEveryMistakeIsToldWithPlaceKeyAndRemedy(t *testing.T) {
	files, err := filepath.Glob("testdata/config/*.toml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for name, value := range map[string]string{"EMPTY_VARIABLE": "", "FIVE": "five", "SLACK_BOT_TOKEN": "xoxb-1"} {
		t.Setenv(name, value)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".toml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(data), "\n")
			want, ok := strings.CutPrefix(first, "# want: ")
			if !ok {
				t.Fatalf("first line %q is not # want: …", first)
			}
			_, err = loadConfig(loadOptions{File: file})
			var wrong *configError
			if !errors.As(err, &wrong) {
				t.Fatalf("not refused as a configuration: %v", err)
			}
			if diff := cmp.Diff(strings.ReplaceAll(want, "FILE", file), err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAllMistakesAreToldAtOnceInTheOrderOfTheirLines(t *testing.T) {
	got := loadError(t, loadOptions{File: writeFiles(t, "basewatch.toml", `
[poll]
interval = 15
settel = "1m"
[[watch]]
images = []
[notify.slack]
kind = "slack"
token = "env:NO_SUCH_VARIABLE"
[[route]]
to = ["slack:#shop"]
`)})
	want := `basewatch.toml:3: poll.interval: wants a text in quotes, not the number 15
basewatch.toml:4: poll.settel: unknown key; did you mean "settle"?
basewatch.toml:6: watch[0].images: missing: name at least one image, such as images = ["alpine:3.22"]
basewatch.toml:9: notify.slack.token: env:NO_SUCH_VARIABLE: the variable is not set; set it, or write another value`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestAnEmptyFileMeansTheDefaults(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", "/var/lib/basewatch:/var/lib/other")
	cfg := loadFiles(t, "basewatch.toml", "")
	host, _ := os.Hostname()
	got := []any{cfg.Name, cfg.Poll, cfg.Store, cfg.HTTP, cfg.Network.Proxy, len(cfg.Targets), len(cfg.Notify)}
	want := []any{
		host,
		PollConfig{15 * time.Minute, 30 * time.Minute, 24 * time.Hour},
		StoreConfig{Path: "/var/lib/basewatch/basewatch.db"},
		HTTPConfig{Listen: "127.0.0.1:8080", Socket: "/var/lib/basewatch/basewatch.db.sock"},
		"", 0, 0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	if len(cfg.Warnings) != 2 || !strings.Contains(cfg.Warnings[0], "nothing is watched") || !strings.Contains(cfg.Warnings[1], "nobody is told") {
		t.Errorf("warnings: %q", cfg.Warnings)
	}
}

func TestAStorePathIsRelativeToTheWorkingDirectoryWithoutStateDirectory(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", "")
	dir := t.TempDir()
	t.Chdir(dir)
	cfg := loadFiles(t, "basewatch.toml", "[store]\npath = \"data/x.db\"\nlock_wait = \"1m\"\n")
	want := StoreConfig{Path: filepath.Join(dir, "data/x.db"), LockWait: time.Minute}
	if diff := cmp.Diff(want, cfg.Store); diff != "" {
		t.Errorf("store (-want +got):\n%s", diff)
	}
}

func TestTheSameImageInSeveralListsIsOneTarget(t *testing.T) {
	cfg := loadFiles(t, "basewatch.toml", `
[poll]
interval = "1h"
[alias]
"harbor.example.com/hub" = "docker.io"
"harbor.example.com/hub/own" = "ghcr.io/acme"
[[watch]]
images = ["alpine:3.22", "harbor.example.com/hub/own/base:main", "harbor.example.com/hubbub/x:1"]
labels = { team = "shop" }
[[watch]]
images = ["harbor.example.com/hub/library/alpine:3.22"]
platforms = ["linux/arm64/v8", "linux/amd64"]
interval = "5m"
labels = { team = ["data", "shop"], tier = "1" }
`)
	amd64 := []string{"linux/amd64"}
	shop := map[string][]string{"team": {"shop"}}
	want := []watcher.Target{
		{Ref: "docker.io/library/alpine:3.22", Platforms: []string{"linux/amd64", "linux/arm64"}, Every: 5 * time.Minute,
			Labels: map[string][]string{"team": {"data", "shop"}, "tier": {"1"}}},
		{Ref: "ghcr.io/acme/base:main", Platforms: amd64, Every: time.Hour, Labels: shop},
		{Ref: "harbor.example.com/hubbub/x:1", Platforms: amd64, Every: time.Hour, Labels: shop},
	}
	if diff := cmp.Diff(want, cfg.Targets); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	for _, target := range cfg.Targets {
		if err := target.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestTheConfigurationIsSearchedInItsPlaces(t *testing.T) {
	t.Setenv("BASEWATCH_CONFIG", "")
	t.Chdir(t.TempDir())
	_, err := loadConfig(loadOptions{})
	for _, part := range []string{"--config", "BASEWATCH_CONFIG", "./basewatch.toml", "/etc/basewatch/basewatch.toml", "config.example.toml"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v does not name %s", err, part)
		}
	}
	if cfg, err := loadConfig(loadOptions{Optional: true}); err != nil || cfg.Poll.Interval != 15*time.Minute {
		t.Errorf("no file, and none needed: %+v, %v", cfg, err)
	}
	if err := os.WriteFile("basewatch.toml", []byte(`name = "here"`), 0o600); err != nil {
		t.Fatal(err)
	}
	if cfg, err := loadConfig(loadOptions{}); err != nil || cfg.Name != "here" || cfg.File != "./basewatch.toml" {
		t.Errorf("working directory: %+v, %v", cfg, err)
	}
	t.Setenv("BASEWATCH_CONFIG", writeFiles(t, "other.toml", `name = "variable"`))
	if cfg, err := loadConfig(loadOptions{}); err != nil || cfg.Name != "variable" {
		t.Errorf("variable: %+v, %v", cfg, err)
	}
	if cfg, err := loadConfig(loadOptions{File: writeFiles(t, "f.toml", `name = "flag"`)}); err != nil || cfg.Name != "flag" {
		t.Errorf("flag: %+v, %v", cfg, err)
	}
	if _, err := loadConfig(loadOptions{File: "none.toml"}); err == nil || !strings.Contains(err.Error(), "none.toml") || exitCode(err) != exitUsage {
		t.Errorf("missing file: %v", err)
	}
}

func TestReceiversKnowWhatRoutesNeed(t *testing.T) {
	t.Setenv("SLACK_BOT_TOKEN", "xoxb-1")
	cfg := loadFiles(t, "basewatch.toml", `
[network]
proxy = "http://proxy.example.com:3128"
no_proxy = ["corp.example"]
[notify.slack]
kind = "slack"
token = "env:SLACK_BOT_TOKEN"
channel = "#base"
proxy = ""
[notify.audit]
kind = "webhook"
url = "https://hooks.example.com/base"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
`)
	var names []string
	for _, n := range cfg.Notify {
		names = append(names, n.Name)
	}
	if diff := cmp.Diff([]string{"audit", "slack"}, names); diff != "" {
		t.Fatalf("names (-want +got):\n%s", diff)
	}
	audit, slack := cfg.Notify[0], cfg.Notify[1]
	if !slack.Info.People || !slack.Info.Threads || !slack.Info.Addressable || slack.Info.DefaultAddress != "#base" || slack.Info.Name != "slack" {
		t.Errorf("slack: %+v", slack.Info)
	}
	if audit.Info.People || audit.Info.Addressable || audit.Info.Kind != "webhook" {
		t.Errorf("audit: %+v", audit.Info)
	}
	if audit.Outbound.Proxy != "http://proxy.example.com:3128" || slack.Outbound.Proxy != "" {
		t.Errorf("proxies: audit %q, slack %q", audit.Outbound.Proxy, slack.Outbound.Proxy)
	}
	if diff := cmp.Diff([]string{"corp.example"}, slack.Outbound.NoProxy); diff != "" {
		t.Errorf("no_proxy (-want +got):\n%s", diff)
	}
}

func TestRegistriesHaveDefaultsAndTheirOwnSettings(t *testing.T) {
	t.Setenv("HUB", "s3cret")
	cfg := loadFiles(t, "basewatch.toml", `
[registry."index.docker.io"]
username = "acme"
password = "env:HUB"
mirror = "harbor.example.com/hub"
[registry."registry.example.com:5000"]
plain_http = true
per_minute = 0
`)
	hub, own := cfg.Registries.Hosts["docker.io"], cfg.Registries.Hosts["registry.example.com:5000"]
	if hub.InFlight != 10 || hub.PerMinute != 120 || !hub.Upstream || len(hub.Mirrors) != 1 || hub.Username != "acme" {
		t.Errorf("docker.io: %+v", hub)
	}
	if password, err := hub.Password(); password != "s3cret" || err != nil {
		t.Errorf("password %q, %v", password, err)
	}
	if !own.PlainHTTP || own.PerMinute != 0 || own.InFlight != 10 || own.Password != nil {
		t.Errorf("registry.example.com:5000: %+v", own)
	}
}

func TestACeilingThatCannotHoldTheIntervalIsWarnedOf(t *testing.T) {
	file := `
[registry."docker.io"]
per_minute = 1
[[watch]]
images = ["alpine:1", "alpine:2", "alpine:3", "alpine:4"]
interval = "1m"
[notify.log]
kind = "log"
`
	cfg := loadFiles(t, "basewatch.toml", file)
	want := `registry."docker.io".per_minute: 4 tags ask for 4 looks a minute and 1 requests are allowed: intervals get 4.4 times as long (1m → 4m27s); raise per_minute or the interval`
	if len(cfg.Warnings) != 1 || !strings.HasSuffix(cfg.Warnings[0], "basewatch.toml:3: "+want) {
		t.Errorf("warnings %q", cfg.Warnings)
	}
	cfg = loadFiles(t, "basewatch.toml", strings.Replace(file, "per_minute = 1", "per_minute = 5", 1))
	if len(cfg.Warnings) != 0 {
		t.Errorf("enough is allowed, and still: %q", cfg.Warnings)
	}
}
