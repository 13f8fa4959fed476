package notify

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"basewatch/internal/outbox"
	"basewatch/internal/outbox/outboxtest"
	"basewatch/internal/secret"
)

// outcomes is what a receiver promises when these statuses are permanent.
func outcomes(permanent ...int) func(int) outbox.Outcome {
	return func(status int) outbox.Outcome {
		switch {
		case status/100 == 2:
			return outbox.Success
		case slices.Contains(permanent, status):
			return outbox.Refused
		}
		return outbox.Retry
	}
}

func must[R outbox.Receiver](t *testing.T) func(R, error) outbox.Receiver {
	return func(r R, err error) outbox.Receiver {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}

func TestSlackWebhookKeepsTheContract(t *testing.T) {
	outboxtest.Run(t, outboxtest.Case{
		New: func(t *testing.T, env outboxtest.Env) outbox.Receiver {
			c := DefaultSlackConfig()
			c.WebhookURL = secret.Literal(env.URL + "/services/T0/B0/" + env.Canary)
			return must[*Slack](t)(NewSlack(c, Options{HTTP: env.Client, Instance: "prod-eu"}))
		},
		Outcome: outcomes(400, 403, 404, 410),
	})
}

func TestSlackAPIKeepsTheContract(t *testing.T) {
	promised := outcomes(400, 403, 404, 410)
	outboxtest.Run(t, outboxtest.Case{
		New: func(t *testing.T, env outboxtest.Env) outbox.Receiver {
			c := DefaultSlackConfig()
			c.Token, c.Channel = secret.Literal("xoxb-"+env.Canary), "#base-images"
			c.APIURL = env.URL + "/api"
			return must[*Slack](t)(NewSlack(c, Options{HTTP: env.Client, Instance: "prod-eu"}))
		},
		Body: `{"ok":true,"channel":"C0123456789","ts":"1763806443.000100"}`,
		Outcome: func(status int) outbox.Outcome {
			if status/100 == 2 && status != http.StatusOK {
				return outbox.Retry // the API says all it has to say with 200
			}
			return promised(status)
		},
	})
}

func TestWebhookKeepsTheContract(t *testing.T) {
	outboxtest.Run(t, outboxtest.Case{
		New: func(t *testing.T, env outboxtest.Env) outbox.Receiver {
			host := strings.TrimPrefix(env.URL, "http://")
			c := WebhookConfig{
				URL:     secret.Literal("http://u:" + env.Canary + "@" + host + "/hooks/" + env.Canary + "?key=" + env.Canary),
				Secret:  []secret.Secret{secret.Literal(env.Canary)},
				Headers: map[string]secret.Secret{"X-Api-Key": secret.Literal("Bearer " + env.Canary)},
			}
			return must[*Webhook](t)(NewWebhook(c, Options{HTTP: env.Client, Instance: "prod-eu", Version: "0.1.0"}))
		},
		Outcome:  outcomes(410),
		IDHeader: "webhook-id",
	})
}

func TestLogKeepsTheContract(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			outboxtest.Run(t, outboxtest.Case{
				New: func(t *testing.T, _ outboxtest.Env) outbox.Receiver {
					return must[*Log](t)(NewLog(LogConfig{Format: format}, Options{Instance: "prod-eu"}, io.Discard))
				},
				Local: true,
			})
		})
	}
}
