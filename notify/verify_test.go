package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"basewatch/internal/outbox/outboxtest"

	"github.com/google/go-cmp/cmp"
)

// verify is the verifier of docs/webhook.md, to the letter.

func verify(key []byte, h http.Header, body []byte) bool {
	sent, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || time.Since(time.Unix(sent, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", h.Get("webhook-id"), sent, body)
	want := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return slices.ContainsFunc(strings.Fields(h.Get("webhook-signature")), func(s string) bool { return hmac.Equal([]byte(s), want) })
}

// block is the first fenced block of a language in a page of the docs.
func block(t *testing.T, page, language string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "```"+language+"\n")
	code, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatalf("docs/%s has no %s block", page, language)
	}
	return code
}

func TestDocumentedVerifierIsTheOneTested(t *testing.T) {
	source, err := os.ReadFile("verify_test.go")
	if err != nil {
		t.Fatal(err)
	}
	code := block(t, "webhook.md", "go")
	if !strings.Contains(string(source), "\n"+code) {
		t.Errorf("docs/webhook.md has another verifier:\n%s", code)
	}
	if n := strings.Count(code, "\n"); n != 10 {
		t.Errorf("the verifier of ten lines has %d", n)
	}
}

func TestDocumentedVerifierAcceptsOursAndNothingElse(t *testing.T) {
	h, w := sink(t, WebhookConfig{Secret: literals("new key", "old key")})
	deliver(t, w, outboxtest.Change(42))
	m := h.Messages()[0]
	for _, key := range []string{"new key", "old key"} {
		if !verify([]byte(key), m.Header, m.Body) {
			t.Errorf("%q does not verify", key)
		}
	}
	altered := func(name, value string) http.Header {
		h := m.Header.Clone()
		h.Set(name, value)
		return h
	}
	late := strconv.FormatInt(time.Now().Add(-6*time.Minute).Unix(), 10)
	tests := map[string]bool{
		"wrong key":  verify([]byte("other"), m.Header, m.Body),
		"wrong body": verify([]byte("new key"), m.Header, append(m.Body, ' ')),
		"other ID":   verify([]byte("new key"), altered("webhook-id", "x"), m.Body),
		"no time":    verify([]byte("new key"), altered("webhook-timestamp", "x"), m.Body),
		"replayed":   verify([]byte("new key"), altered("webhook-timestamp", late), m.Body),
		"unsigned":   verify([]byte("new key"), altered("webhook-signature", ""), m.Body),
	}
	for name, accepted := range tests {
		if accepted {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestDocumentedEventIsWhatWeSend(t *testing.T) {
	want, err := os.ReadFile("testdata/event-changed.golden")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), block(t, "webhook.md", "json")); diff != "" {
		t.Errorf("docs/webhook.md (-sent +documented):\n%s", diff)
	}
}

func TestDocumentedLogLinesAreWhatWeWrite(t *testing.T) {
	lines := block(t, "log.md", "text")
	d := samples()
	for _, name := range []string{"changed", "failing", "baseline"} {
		if line := logLine(d[name]); !strings.Contains(lines, line+"\n") {
			t.Errorf("docs/log.md lacks: %s", line)
		}
	}
}
