package notify

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/outbox/outboxtest"
	"basewatch/internal/secret"
	"basewatch/internal/standin"
	"basewatch/watcher"

	"github.com/google/go-cmp/cmp"
	oracle "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"pgregory.net/rapid"
)

const hookURL = "http://hooks.example.com/base"

// literals makes secrets of values.
func literals(values ...string) []secret.Secret {
	var ss []secret.Secret
	for _, v := range values {
		ss = append(ss, secret.Literal(v))
	}
	return ss
}

// sink is a webhook's receiver with the Webhook that posts to it.
func sink(t *testing.T, c WebhookConfig) (*standin.Webhook, *Webhook) {
	t.Helper()
	h := standin.NewWebhook()
	c.URL = secret.Literal(hookURL)
	w, err := NewWebhook(c, optionsTo(h))
	if err != nil {
		t.Fatal(err)
	}
	return h, w
}

func TestEverySecretSignsForTheOracle(t *testing.T) {
	old := "whsec_" + base64.StdEncoding.EncodeToString([]byte("the old secret, 24 bytes"))
	h, w := sink(t, WebhookConfig{Secret: literals("a text of any kind", old)})
	deliver(t, w, outboxtest.Change(42))
	r := h.Messages()[0]

	byText, err := oracle.NewWebhookRaw([]byte("a text of any kind"))
	if err != nil {
		t.Fatal(err)
	}
	byBase64, err := oracle.NewWebhook(old)
	if err != nil {
		t.Fatal(err)
	}
	other, err := oracle.NewWebhookRaw([]byte("another"))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []*oracle.Webhook{byText, byBase64} {
		if err := o.Verify(r.Body, r.Header); err != nil {
			t.Error(err)
		}
		if err := o.Verify(append([]byte(" "), r.Body...), r.Header); err == nil {
			t.Error("a changed body is still signed")
		}
	}
	if err := other.Verify(r.Body, r.Header); err == nil {
		t.Error("any key verifies")
	}
}

func TestWebhookHeaders(t *testing.T) {
	h, w := sink(t, WebhookConfig{Headers: map[string]secret.Secret{"x-team": secret.Literal("shop")}})
	d := outboxtest.Change(42)
	deliver(t, w, d)
	got := h.Messages()[0].Header
	want := map[string]string{
		"Content-Type": "application/cloudevents+json", "User-Agent": "basewatch/0.1.0",
		"Webhook-Id": d.ID, "Webhook-Signature": "", "X-Team": "shop",
	}
	for name, value := range want {
		if got.Get(name) != value {
			t.Errorf("%s: %q, want %q", name, got.Get(name), value)
		}
	}
	if strings.ContainsAny(d.ID, "./") {
		t.Errorf("an ID that Standard Webhooks does not allow: %s", d.ID)
	}
}

func TestRotatedWebhookSecretIsUsedAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	rotate := func(key string) {
		if err := os.WriteFile(path, []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) // looks unchanged
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	rotate("Bearer old-")
	var key secret.Secret
	if err := key.UnmarshalText([]byte("file:" + path)); err != nil {
		t.Fatal(err)
	}
	requests := 0
	wants := "Bearer old-"
	w, err := NewWebhook(WebhookConfig{URL: secret.Literal(hookURL), Headers: map[string]secret.Secret{"Authorization": key}},
		optionsTo(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			requests++
			if r.Header.Get("Authorization") != wants {
				rw.WriteHeader(http.StatusUnauthorized)
			}
		})))
	if err != nil {
		t.Fatal(err)
	}
	deliver(t, w, outboxtest.Change(1))
	wants = "Bearer new-"
	if _, err := w.Deliver(context.Background(), outboxtest.Change(1)); outcome(err) != outbox.Retry || requests != 2 {
		t.Fatalf("a wrong key: %v after %d requests", err, requests)
	}
	rotate(wants)
	deliver(t, w, outboxtest.Change(1))
	if requests != 4 {
		t.Errorf("%d requests, want 4", requests)
	}
}

func encoded(t *testing.T, d outbox.Delivery, o Options) map[string]any {
	t.Helper()
	body, err := newCloudEvent(d, o).encode()
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestCloudEvents(t *testing.T) {
	o := Options{Instance: "prod-eu", PublicURL: "https://basewatch.example.com/"}
	for _, name := range []string{"changed", "changed-late", "changed-partial", "baseline", "failing", "receiver-failing"} {
		t.Run(name, func(t *testing.T) {
			body, err := newCloudEvent(samples()[name], o).encode()
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := json.Indent(&out, body, "", "  "); err != nil {
				t.Fatal(err)
			}
			golden(t, "event-"+name, out.String()+"\n")
		})
	}
}

func TestWithoutPublicURLThereAreNoLinks(t *testing.T) {
	m := encoded(t, outboxtest.Change(42), Options{Instance: "prod eu"})
	if m["source"] != "/basewatch/prod%20eu" {
		t.Errorf("source %v", m["source"])
	}
	if _, ok := m["data"].(map[string]any)["url"]; ok {
		t.Error("a url without an address of ours")
	}
}

func TestPayloadStaysSmallAndKeepsTheChange(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := evilDelivery(rt)
		d.Event.Ref = "docker.io/library/python:3.13-slim"
		d.Event.Identify()
		body, err := newCloudEvent(d, Options{Instance: "prod-eu"}).encode()
		if err != nil {
			rt.Fatal(err)
		}
		if len(body) >= 20_000 {
			rt.Errorf("%d bytes", len(body))
		}
		var e cloudEvent
		if err := json.Unmarshal(body, &e); err != nil {
			rt.Fatal(err)
		}
		if e.ID != d.Event.Key || e.Data.Old.Digest != d.Event.Old.Index || e.Data.New.Digest != d.Event.New.Index {
			rt.Errorf("the change is lost: %s", body)
		}
		if whole := len(e.Data.New.Platforms) == len(d.Event.New.Platforms) && len(e.Data.Labels) == len(d.Event.Labels); !whole && !e.Data.Truncated {
			rt.Error("something was left out and nothing says so")
		}
	})
}

func TestManyPlatformsAreTruncatedVisibly(t *testing.T) {
	d := outboxtest.Change(1)
	d.Event.New.Platforms = map[string]watcher.Manifest{}
	for i := range 500 {
		d.Event.New.Platforms[fmt.Sprintf("windows/amd64:10.0.%d", i)] = watcher.Manifest{Digest: outboxtest.Digest(i)}
	}
	data := encoded(t, d, Options{})["data"].(map[string]any)
	if got := data["new"].(map[string]any)["platforms"].(map[string]any); len(got) != payloadPlatforms || data["truncated"] != true {
		t.Errorf("%d platforms, truncated %v", len(got), data["truncated"])
	}
}

func TestWebhookConfigMistakes(t *testing.T) {
	url := secret.Literal(hookURL)
	headers := func(name, value string) map[string]secret.Secret {
		return map[string]secret.Secret{name: secret.Literal(value)}
	}
	tests := []struct {
		config WebhookConfig
		want   []string
	}{
		{WebhookConfig{URL: url, Secret: literals("x", "whsec_MTIz"), Headers: headers("X-A", "b")}, nil},
		{WebhookConfig{}, []string{"url: a webhook receiver needs a url"}},
		{WebhookConfig{URL: secret.Literal("ftp://hooks.example.com")}, []string{"url: the URL must begin with https:// or http://"}},
		{WebhookConfig{URL: secret.Literal("https:///x")}, []string{"url: the URL has no host"}},
		{WebhookConfig{URL: secret.Literal("https://a b/%zz")}, []string{"url: not a valid URL"}},
		{WebhookConfig{URL: secret.Literal(hookURL + "#frag")}, []string{"url: the URL has a #fragment, which is never sent"}},
		{WebhookConfig{URL: url, Secret: literals("whsec_?")}, []string{
			"secret: literal: what follows whsec_ is not base64 (leave whsec_ away to use the text itself)"}},
		{WebhookConfig{URL: url, Headers: headers("webhook-id", "b")}, []string{"headers.webhook-id: this header is set by basewatch itself"}},
		{WebhookConfig{URL: url, Headers: headers("Content-Type", "b")}, []string{"headers.Content-Type: this header is set by basewatch itself"}},
		{WebhookConfig{URL: url, Headers: headers("a b", "b")}, []string{"headers.a b: not a name of a header"}},
		{WebhookConfig{URL: url, Headers: headers("X-A", "b\r\nX-B: c")}, []string{
			"headers.X-A: literal: the value has a line break or another control character"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, mistakes(t, tt.config.Validate())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestRetryAfterIsReadInBothForms(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	tests := map[string]time.Duration{
		"": 0, "0": 0, "17": 17 * time.Second, " 17 ": 17 * time.Second, "-1": 0, "1.5": 0, "soon": 0,
		"90000": maxRetryAfter, "18446744073709551615": maxRetryAfter,
		"Sun, 22 Nov 2026 10:01:30 GMT": 90 * time.Second, "Sun, 22 Nov 2026 09:00:00 GMT": 0, "Sun, 22 Nov 2099 09:00:00 GMT": maxRetryAfter,
	}
	for value, want := range tests {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("Retry-After %q: %v, want %v", value, got, want)
		}
	}
}
