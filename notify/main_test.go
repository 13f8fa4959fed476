package notify

import (
	"context"
	"flag"
	"net/http"
	"net/http/httptest"
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
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write testdata/*.golden anew")

func TestMain(m *testing.M) {
	flag.Parse()
	http.DefaultTransport = NewSwitchboard(http.DefaultTransport) // as in the program
	goleak.VerifyTestMain(m)
}

// golden compares got with testdata/NAME.golden, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with: go test ./notify -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// direct is a transport that hands requests to a handler.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

func optionsTo(h http.Handler) Options {
	return Options{HTTP: &http.Client{Transport: direct{h}}, Instance: "prod-eu", Version: "0.1.0"}
}

const testToken = "xoxb-test-token"

// workspace is a Slack with a receiver that posts to it by bot token.
func workspace(t *testing.T) (*standin.Slack, *Slack) {
	t.Helper()
	w := standin.NewSlack(testToken)
	c := DefaultSlackConfig()
	c.Token, c.Channel, c.APIURL = secret.Literal(testToken), "#base-images", "http://slack.example.com/api"
	s, err := NewSlack(c, optionsTo(w))
	if err != nil {
		t.Fatal(err)
	}
	return w, s
}

func deliver(t *testing.T, r outbox.Receiver, d outbox.Delivery) outbox.Receipt {
	t.Helper()
	receipt, err := r.Deliver(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

// at is 2026-11-22 at a time of day, UTC.
func at(clock string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", "2026-11-22 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

// eventOf makes an event about nginx:alpne, at 10:14.
func eventOf(kind watcher.Kind, change func(*watcher.Event)) outbox.Delivery {
	e := watcher.Event{Kind: kind, Ref: "docker.io/library/nginx:alpne", At: at("10:14")}
	if change != nil {
		change(&e)
	}
	e.Identify()
	return outboxtest.Delivery(e)
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is missing in:\n%s", p, text)
		}
	}
}
