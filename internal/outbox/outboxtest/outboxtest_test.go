package outboxtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"basewatch/internal/outbox"
	"basewatch/internal/secret"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reference is a small receiver that keeps the contract, but for the promises
// that broken names.
type reference struct {
	url    secret.Secret
	leak   string
	client *http.Client
	broken string
	calls  atomic.Uint64
}

func (r *reference) Deliver(ctx context.Context, d outbox.Delivery) (outbox.Receipt, error) {
	switch r.broken {
	case "ignores the context":
		ctx = context.WithoutCancel(ctx)
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Minute)
		defer stop()
	case "drops deliveries":
		return outbox.Receipt{}, nil
	case "is never the same":
		d.Event.Reason = strconv.FormatUint(r.calls.Add(1), 10)
	case "mixes deliveries":
		d = Change(1)
	}
	if err := ctx.Err(); err != nil {
		return outbox.Receipt{}, err
	}
	body, err := json.Marshal(d.Event)
	if err != nil {
		return outbox.Receipt{}, err
	}
	return outbox.Receipt{}, r.post(ctx, d.ID, string(body))
}

func (r *reference) Digest(ctx context.Context, ds []outbox.Delivery) (outbox.Receipt, error) {
	for _, d := range ds {
		if _, err := r.Deliver(ctx, d); err != nil || r.broken != "splits digests" {
			return outbox.Receipt{}, err
		}
	}
	return outbox.Receipt{}, nil
}

func (r *reference) post(ctx context.Context, id, body string) error {
	target, err := r.url.Value()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		return errors.New("not a valid URL")
	}
	if r.broken != "sends no ID" {
		req.Header.Set("x-id", id)
	}
	client := *r.client
	if r.broken != "follows redirects" {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	resp, err := client.Do(req)
	if err != nil {
		return r.failed(err)
	}
	defer func() { _ = resp.Body.Close() }()
	limit := int64(600)
	switch r.broken {
	case "keeps all of an answer":
		limit = 1 << 20
	case "cuts secrets in two":
		limit = 500
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, limit))
	return r.answered(resp, string(text))
}

func (r *reference) failed(err error) error {
	var ue *url.Error
	switch {
	case r.broken == "shows the URL in errors":
		return fmt.Errorf("post: %w", err)
	case r.broken == "gives up when refused":
		return outbox.Permanent(errors.New("post failed"))
	case r.broken == "loses the cause":
		return errors.New("post failed")
	case errors.As(err, &ue):
		return ue.Err
	}
	return err
}

func (r *reference) answered(resp *http.Response, text string) error {
	if resp.StatusCode/100 == 2 || r.broken == "takes redirects for success" && resp.StatusCode/100 == 3 {
		return nil
	}
	if r.broken != "passes answers on" {
		text = strings.Map(func(c rune) rune {
			if unicode.IsControl(c) {
				return -1
			}
			return c
		}, strings.ReplaceAll(text, canary, "***"))
	}
	if r.broken != "keeps all of an answer" {
		text = text[:min(len(text), 500)]
	}
	err := fmt.Errorf("answered %d: %s", resp.StatusCode, text)
	if resp.StatusCode == http.StatusGone && r.broken != "never gives up" {
		return outbox.Permanent(err)
	}
	if wait := r.wait(resp); wait > 0 {
		return outbox.RetryAfter(err, wait)
	}
	return err
}

func (r *reference) wait(resp *http.Response) time.Duration {
	value := resp.Header.Get("Retry-After")
	if n, err := strconv.Atoi(value); err == nil && r.broken != "knows no seconds" {
		if r.broken == "believes any wait" {
			return time.Duration(n) * time.Second
		}
		return time.Duration(min(max(n, 0), 86400)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil && r.broken != "knows no dates" {
		return time.Until(at)
	}
	return 0
}

func caseOf(broken string) Case {
	return Case{
		New: func(_ *testing.T, env Env) outbox.Receiver {
			r := &reference{url: secret.Literal(env.URL + "/" + env.Canary), client: env.Client, broken: broken}
			if broken == "prints its secrets" {
				r.leak = env.Canary
			}
			return r
		},
		Outcome: func(status int) outbox.Outcome {
			switch {
			case status/100 == 2:
				return outbox.Success
			case status == http.StatusGone:
				return outbox.Refused
			}
			return outbox.Retry
		},
		IDHeader: "X-Id",
	}
}

func TestReceiverThatKeepsTheContractPasses(t *testing.T) { Run(t, caseOf("")) }

// A conformance test that cannot fail proves nothing: each way to break the
// contract must be noticed, by the check that is named after the promise.
func TestReceiverThatBreaksAPromiseIsCaught(t *testing.T) {
	const always, errorsLeak = "every status has its outcome", "no error shows a secret"
	tests := map[string][]string{
		"drops deliveries":            {"a delivery is taken", always},
		"is never the same":           {"the same ID twice makes the same message"},
		"sends no ID":                 {"the same ID twice makes the same message"},
		"mixes deliveries":            {"deliveries at once do not mix"},
		"ignores the context":         {"a cancelled context delivers nothing", "a service that hangs costs the deadline and no more", "a cancelled attempt ends at once", "an answer without end costs the deadline and no more"},
		"prints its secrets":          {"printing the receiver shows no secret"},
		"never gives up":              {always},
		"takes redirects for success": {always, "no redirect is followed"},
		"follows redirects":           {"no redirect is followed"},
		"knows no seconds":            {"Retry-After in seconds is obeyed"},
		"knows no dates":              {"Retry-After as a date is obeyed"},
		"believes any wait":           {"a senseless Retry-After is survived"},
		"gives up when refused":       {"a refused connection is retried", "a reset connection is retried"},
		"loses the cause":             {"a refused connection is retried", "a cancelled attempt ends at once"},
		"keeps all of an answer":      {"an answer is kept short and harmless"},
		"passes answers on":           {"an answer is kept short and harmless", errorsLeak, "a digest is taken or fails as one"},
		"shows the URL in errors":     {"a refused connection is retried", "a service that hangs costs the deadline and no more"},
		"cuts secrets in two":         {errorsLeak},
		"splits digests":              {"a digest is taken or fails as one"},
	}
	for broken, want := range tests {
		t.Run(broken, func(t *testing.T) {
			t.Parallel()
			got := caught(t, caseOf(broken))
			for _, name := range want {
				if !slices.Contains(got, name) {
					t.Errorf("%q did not notice; noticed by %q", name, got)
				}
			}
		})
	}
}

// caught names the checks that fail.
func caught(t *testing.T, c Case) []string {
	var names []string
	for _, chk := range c.checks() {
		t.Run(chk.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if chk.in(t, c) != nil {
					names = append(names, chk.name)
				}
			})
		})
	}
	return names
}

func TestSamplesAreTheSameEachTime(t *testing.T) {
	if diff := cmp.Diff(Change(7), Change(7)); diff != "" {
		t.Error(diff)
	}
	if Change(7).ID == Change(8).ID || Digest(1) == Digest(2) || len(Digest(3)) != len("sha256:")+64 {
		t.Error("samples are not well-formed and distinct")
	}
}
