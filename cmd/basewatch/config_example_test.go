package main

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const exampleFile = "../../config.example.toml"

func readExample(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// uncommented takes the # from all lines that are settings switched off.
func uncommented(example string) string {
	return regexp.MustCompile(`(?m)^#([a-z"\[])`).ReplaceAllString(example, "$1")
}

func TestTheExampleWorksAsItStands(t *testing.T) {
	cfg, err := loadConfig(loadOptions{File: exampleFile})
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Targets) != 3 || len(cfg.Notify) != 1 || cfg.Notify[0].Kind != "log" || len(cfg.Warnings) != 0 {
		t.Errorf("%d targets, receivers %+v, warnings %q", len(cfg.Targets), cfg.Notify, cfg.Warnings)
	}
}

func TestTheExampleWorksWithEverySettingSwitchedOn(t *testing.T) {
	for name, value := range map[string]string{
		"HUB_TOKEN":         "dckr_pat_x",
		"SLACK_BOT_TOKEN":   "xoxb-1",
		"SLACK_WEBHOOK_URL": "https://hooks.slack.example.com/services/T0/B0/x",
		"AUDIT_SECRET":      "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"AUDIT_SECRET_OLD":  "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
		"MAIL_PASSWORD":     "x",
		"CHAT_URL":          "ntfy://ntfy.example.com/base-images",
	} {
		t.Setenv(name, value)
	}
	cfg := loadFiles(t, "basewatch.toml", uncommented(readExample(t)))
	if len(cfg.Notify) != 6 || len(cfg.Routes) != 1 || len(cfg.Registries.Hosts) != 2 || len(cfg.Aliases) != 1 {
		t.Errorf("receivers %d, routes %d, registries %d, aliases %d",
			len(cfg.Notify), len(cfg.Routes), len(cfg.Registries.Hosts), len(cfg.Aliases))
	}
}

// Every key of the schema stands in the example, in its table.
func TestTheExampleHasEveryKey(t *testing.T) {
	tree, _, bad := parseTOML("config.example.toml", []byte(uncommented(readExample(t))))
	if bad != nil {
		t.Fatal(bad)
	}
	for _, missing := range missingKeys(schema(), []any{tree}, "") {
		t.Errorf("config.example.toml lacks %s", missing)
	}
}

// missingKeys lists the keys that none of the tables has.
func missingKeys(n *node, tables []any, at keyPath) []keyPath {
	var missing []keyPath
	for _, key := range n.order {
		var found []any
		for _, table := range tables {
			if v, ok := table.(map[string]any)[key]; ok {
				found = append(found, v)
			}
		}
		p, child := at.key(key), n.keys[key]
		switch {
		case len(found) == 0:
			missing = append(missing, p)
		case child.shape == tableShape:
			missing = append(missing, missingKeys(child, found, p)...)
		case child.shape == tablesShape:
			missing = append(missing, missingKeys(child.elem, found[0].([]any), p)...)
		case child.shape == namedShape:
			missing = append(missing, missingNamed(child.elem, found[0].(map[string]any), p)...)
		}
	}
	return missing
}

func missingNamed(n *node, named map[string]any, at keyPath) []keyPath {
	byNode := map[string][]any{}
	for _, table := range named {
		kind, _ := table.(map[string]any)["kind"].(string)
		byNode[kind] = append(byNode[kind], table)
	}
	if n.variant == nil {
		return missingKeys(n, byNode[""], at)
	}
	var missing []keyPath
	for _, kind := range receiverKinds() {
		own := n.of(map[string]any{"kind": kind})
		for _, p := range missingKeys(own, byNode[kind], at.key(kind)) {
			if key := string(p[strings.LastIndex(string(p), ".")+1:]); !explainedOnce(kind, key) {
				missing = append(missing, p)
			}
		}
	}
	return missing
}

// explainedOnce tells keys that every receiver has, and that the example has in
// one place: the way out under [network], the pace at Slack's.
func explainedOnce(kind, key string) bool {
	if nodeOf(reflect.TypeFor[networkSettings]()).keys[key] != nil {
		return true
	}
	return kind != "slack" && key != "kind" && nodeOf(reflect.TypeFor[commonSettings]()).keys[key] != nil
}

// What the example shows for the single tables is what holds without it.
func TestTheExampleShowsTheDefaults(t *testing.T) {
	example := loadFiles(t, "basewatch.toml", readExample(t))
	empty := loadFiles(t, "basewatch.toml", "")
	values := func(cfg *Config) map[keyPath]string {
		m := map[keyPath]string{}
		for _, s := range cfg.Listing {
			for _, table := range []keyPath{"poll", "store", "http", "network"} {
				if s.Name.within(table) {
					m[s.Name] = s.Value
				}
			}
		}
		return m
	}
	if diff := cmp.Diff(values(empty), values(example)); diff != "" {
		t.Errorf("example (-default +example):\n%s", diff)
	}
}
