package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"basewatch/internal/outbox"
)

// The headers of Standard Webhooks 1.0.
const (
	headerID        = "webhook-id"
	headerTime      = "webhook-timestamp"
	headerSignature = "webhook-signature"
)

// Webhook posts each event as a CloudEvent, signed as Standard Webhooks has it.
// webhook-id is the delivery's ID: the same in every attempt. Safe for
// concurrent use.
//
// Only 2xx delivers. 410 is permanent; all else, redirects too, is retried, not
// before Retry-After.
type Webhook struct {
	config  WebhookConfig
	options Options
	http    *http.Client
	words   words
}

var _ outbox.Receiver = (*Webhook)(nil)

// NewWebhook makes a receiver of a configuration, which it validates.
func NewWebhook(c WebhookConfig, o Options) (*Webhook, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	w, err := newWords("", c.Body, jsonDialect())
	if err != nil {
		return nil, err
	}
	return &Webhook{config: c, options: o, http: o.client(), words: w}, nil
}

// Deliver posts one event. A 401 makes it read its secrets again, and try again
// if one was rotated.
func (w *Webhook) Deliver(ctx context.Context, d outbox.Delivery) (outbox.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return outbox.Receipt{}, err
	}
	body, err := w.message(d)
	if err != nil {
		return outbox.Receipt{}, outbox.Permanent(err)
	}
	k, err := w.config.keys()
	if err != nil {
		return outbox.Receipt{}, err
	}
	a, err := w.attempt(ctx, d.ID, body, k)
	if err == nil && a.status == http.StatusUnauthorized {
		w.config.forget()
		if again, readErr := w.config.keys(); readErr == nil && !reflect.DeepEqual(again, k) {
			k = again
			a, err = w.attempt(ctx, d.ID, body, k)
		}
	}
	if err != nil {
		return outbox.Receipt{}, err
	}
	return outbox.Receipt{}, a.failure(k.url.Host, http.StatusGone)
}

// payload is a body and what it is.
type payload struct {
	body []byte
	kind string
}

// message is the CloudEvent or, where the user wrote a template, what that
// makes of the event. A template that fails is a dead letter: a machine that
// waits for one form has no use for another.
func (w *Webhook) message(d outbox.Delivery) (payload, error) {
	if w.words.body == nil {
		body, err := newCloudEvent(d, w.options).encode()
		return payload{body, "application/cloudevents+json"}, err
	}
	body, err := w.words.body.Execute(newFields(d, storyOf(d, false), w.options))
	switch {
	case err != nil:
		return payload{}, fmt.Errorf("the template of body failed: %w", err)
	case json.Valid([]byte(body)):
		return payload{[]byte(body), "application/json"}, nil
	}
	return payload{[]byte(body), "text/plain; charset=utf-8"}, nil
}

func (w *Webhook) attempt(ctx context.Context, id string, p payload, k webhookKeys) (answer, error) {
	header := k.headers.Clone()
	header.Set("Content-Type", p.kind)
	header.Set("User-Agent", w.options.userAgent())
	now := strconv.FormatInt(time.Now().Unix(), 10)
	header.Set(headerID, id)
	header.Set(headerTime, now)
	if len(k.signing) > 0 {
		header.Set(headerSignature, sign(k.signing, id, now, p.body))
	}
	return post(ctx, w.http, k.url, header, p.body, k.hidden())
}

// sign makes a signature for each key: v1 and the base64 of the HMAC-SHA256
// over id.timestamp.body.
func sign(keys [][]byte, id, timestamp string, body []byte) string {
	signatures := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}

// webhookKeys are the secrets of one attempt, read.
type webhookKeys struct {
	url     *url.URL
	signing [][]byte
	headers http.Header
}

func (c WebhookConfig) keys() (webhookKeys, error) {
	k := webhookKeys{headers: http.Header{}}
	var err error
	if k.url, err = endpoint(c.URL); err != nil {
		return k, fmt.Errorf("url: %w", err)
	}
	for _, s := range c.Secret {
		key, err := signingKey(s)
		if err != nil {
			return k, fmt.Errorf("secret: %w", err)
		}
		k.signing = append(k.signing, key)
	}
	for name, s := range c.Headers {
		if err := checkHeader(name, s); err != nil {
			return k, fmt.Errorf("headers.%s: %w", name, err)
		}
		value, err := s.Value()
		if err != nil {
			return k, fmt.Errorf("headers.%s: %w", name, err)
		}
		k.headers.Set(name, value)
	}
	return k, nil
}

func (c WebhookConfig) forget() {
	c.URL.Forget()
	for _, s := range c.Secret {
		s.Forget()
	}
	for _, s := range c.Headers {
		s.Forget()
	}
}

// hidden lists what an answer may not show.
func (k webhookKeys) hidden() []string {
	secrets := urlSecrets(k.url)
	for _, values := range k.headers {
		for _, v := range values {
			secrets = append(secrets, v)
			if _, credential, ok := strings.Cut(v, " "); ok { // Bearer …
				secrets = append(secrets, credential)
			}
		}
	}
	for _, key := range k.signing {
		secrets = append(secrets, string(key))
	}
	return secrets
}
