package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"basewatch/internal/standin"
	"basewatch/internal/standin/dockerregistry"
	"basewatch/internal/web"
)

const testSecret = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func twoPlatforms(seed string) standin.Image {
	return standin.Image{
		Platforms:    map[string]string{"linux/amd64": seed, "linux/arm64/v8": seed},
		Attestations: seed,
		Annotations:  map[string]string{"org.opencontainers.image.version": "1." + seed},
	}
}

// pushed is a registry that the change tests push to and the daemon watches.
type pushed struct {
	host   string
	config string // of [registry.HOST]
	push   func(img standin.Image) string
	files  map[string]string // to lie beside the configuration
}

// TestChangeIsToldOnceOnEveryKindOfRegistry: a pushed image is a baseline, the
// next one a change: one Slack message with both digests, one signed
// CloudEvent, both in the history.
func TestChangeIsToldOnceOnEveryKindOfRegistry(t *testing.T) {
	debian := func(o dockerregistry.Options, config string) func(t *testing.T) pushed {
		return func(t *testing.T) pushed {
			r := dockerregistry.Start(t, o)
			p := pushed{host: r.Host, config: config, push: func(img standin.Image) string { return r.Push(t, "acme/base", "1", img) }}
			if r.CAFile != "" {
				p.config += fmt.Sprintf("ca_file = %q\n", r.CAFile)
			}
			return p
		}
	}
	kinds := map[string]func(t *testing.T) pushed{
		"docker-registry open":     debian(dockerregistry.Options{}, "plain_http = true\n"),
		"docker-registry htpasswd": debian(dockerregistry.Options{Username: "bot", Password: "hunter22"}, "plain_http = true\nusername = \"bot\"\npassword = \"env:REGISTRY_PASSWORD\"\n"),
		"docker-registry TLS":      debian(dockerregistry.Options{TLS: true}, ""),
		"bearer tokens": func(t *testing.T) pushed {
			r := standin.NewRegistry(standin.Behaviour{Auth: standin.Bearer})
			s := standin.ServeTLS(r)
			t.Cleanup(s.Close)
			return pushed{host: s.Host, config: "ca_file = \"ca.pem\"\n", files: map[string]string{"ca.pem": string(s.CA.PEM())},
				push: func(img standin.Image) string { return r.Push("acme/base", "1", img) }}
		},
	}
	for name, start := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changeIsToldOnce(t, start(t))
		})
	}
}

func changeIsToldOnce(t *testing.T, p pushed) {
	slack, hook := standin.NewSlack(""), standin.NewWebhook()
	slackServer, hookServer := standin.Serve(slack), standin.Serve(hook)
	t.Cleanup(slackServer.Close)
	t.Cleanup(hookServer.Close)
	first := p.push(twoPlatforms("1"))
	d := newDaemon(t, fmt.Sprintf(`
[poll]
interval = "1s"
[registry.%q]
%s
[notify.slack]
kind = "slack"
webhook_url = "%s/services/T0/B0/canary"
[notify.audit]
kind = "webhook"
url = "%s/hook"
secret = %q
[[watch]]
images = ["%s/acme/base:1"]
platforms = ["linux/amd64", "linux/arm64"]
`, p.host, p.config, slackServer.URL, hookServer.URL, testSecret, p.host))
	d.env = append(d.env, "REGISTRY_PASSWORD=hunter22")
	for name, content := range p.files {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d.start()
	d.fresh(1)
	second := p.push(twoPlatforms("2"))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := slack.Wait(ctx, 1); err != nil {
		t.Fatalf("Slack: %v\n%s", err, d.out)
	}
	if _, err := hook.Wait(ctx, 1); err != nil {
		t.Fatalf("webhook: %v\n%s", err, d.out)
	}
	seenAgain(d)
	messages := slack.Messages()
	if len(messages) != 1 || len(slack.Refusals()) > 0 {
		t.Fatalf("Slack got %d messages, refused %q", len(messages), slack.Refusals())
	}
	for _, digest := range []string{first, second} {
		if !strings.Contains(messages[0].Plain(), digest) {
			t.Errorf("Slack's message lacks %s:\n%s", digest, messages[0].Plain())
		}
	}
	oneSignedEvent(t, hook, first, second)
	told(t, d, p.host+"/acme/base:1", first, second)
	d.stop()
	told(t, d, p.host+"/acme/base:1", first, second) // from the file, when no daemon runs
}

// seenAgain waits for two more good looks, in which nothing may be told again.
func seenAgain(d *daemon) {
	d.t.Helper()
	last := func() time.Time {
		list, err := d.client().Targets(d.t.Context(), web.TargetsQuery{})
		if err != nil || len(list.Targets) != 1 {
			return time.Time{}
		}
		return list.Targets[0].LastGood
	}
	for range 2 {
		before := last()
		d.eventually("the next look", func() bool { return last().After(before) })
	}
}

func oneSignedEvent(t *testing.T, hook *standin.Webhook, first, second string) {
	t.Helper()
	posts := hook.Messages()
	if len(posts) != 1 {
		t.Fatalf("the webhook got %d events", len(posts))
	}
	oracle, err := standardwebhooks.NewWebhook(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	if err := oracle.Verify(posts[0].Body, posts[0].Header); err != nil {
		t.Errorf("the Standard Webhooks library refuses the signature: %v", err)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(testSecret, "whsec_"))
	if err != nil || len(raw) == 0 {
		t.Fatalf("the test's own secret is not base64: %v", err)
	}
	e := readCloudEvent(t, posts[0].Body)
	if e.Type != "basewatch.changed.v1" || e.Data.Old.Digest != first || e.Data.New.Digest != second || e.Data.Seq != 1 {
		t.Errorf("CloudEvent %+v, want %s → %s", e, first, second)
	}
	if len(e.Data.New.Platforms) != 2 {
		t.Errorf("platforms %v, want two", e.Data.New.Platforms)
	}
}

// told checks what the commands say after one change.
func told(t *testing.T, d *daemon, ref, first, second string) {
	t.Helper()
	history := d.run(exitDone, "history", ref)
	for _, digest := range []string{first, second} {
		if !strings.Contains(history, strings.TrimPrefix(digest, "sha256:")[:12]) {
			t.Errorf("history lacks %s:\n%s", digest, history)
		}
	}
	if status := d.run(exitDone, "status"); !strings.Contains(status, "1 fresh") || !strings.Contains(status, "changes today 1") || strings.Contains(status, "problems") {
		t.Errorf("status:\n%s", status)
	}
	if x := d.run(exitDone, "explain", ref+"@1"); strings.Count(x, "delivered") < 2 {
		t.Errorf("explain:\n%s", x)
	}
}
