package notify

import (
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/textproto"
	"regexp"
	"slices"
	"strings"

	"basewatch/internal/secret"
)

// WebhookConfig is a [notify.NAME] of kind "webhook".
type WebhookConfig struct {
	// URL takes the events, by http or https.
	URL secret.Secret `koanf:"url"`
	// Secret signs: with each of several, so that they can be rotated. What
	// follows whsec_ is base64, as Standard Webhooks has it; without that prefix
	// the bytes themselves are the key. None: unsigned.
	Secret []secret.Secret `koanf:"secret"`
	// Headers are sent with each event, beside our own.
	Headers map[string]secret.Secret `koanf:"headers"`
	// Body is a template that replaces the CloudEvent; see [Fields].
	Body string `koanf:"body"`
}

// Validate checks the configuration and reads its secrets once. All mistakes
// come joined, each an *outbox.ConfigError; none shows a secret.
func (c WebhookConfig) Validate() error {
	var errs []error
	if c.URL.IsZero() {
		errs = append(errs, mistake("url", "a webhook receiver needs a url"))
	} else if _, err := endpoint(c.URL); err != nil {
		errs = append(errs, mistake("url", "%v", err))
	}
	for _, s := range c.Secret {
		if _, err := signingKey(s); err != nil {
			errs = append(errs, mistake("secret", "%v", err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if err := checkHeader(name, c.Headers[name]); err != nil {
			errs = append(errs, mistake("headers."+name, "%v", err))
		}
	}
	if _, err := newWords("", c.Body, jsonDialect()); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Host is the host[:port] that this receiver calls.
func (c WebhookConfig) Host() (string, error) {
	u, err := endpoint(c.URL)
	if err != nil {
		return "", err
	}
	return u.Host, nil
}

// signingKey reads the bytes of one secret.
func signingKey(s secret.Secret) ([]byte, error) {
	value, err := s.Value()
	if err != nil {
		return nil, err
	}
	encoded, ok := strings.CutPrefix(value, "whsec_")
	if !ok {
		return []byte(value), nil
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) == 0 {
		return nil, errors.New(s.Source() + ": what follows whsec_ is not base64 (leave whsec_ away to use the text itself)")
	}
	return key, nil
}

var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// checkHeader refuses what HTTP does not allow, and names that are ours or the
// connection's.
func checkHeader(name string, value secret.Secret) error {
	if !headerName.MatchString(name) {
		return errors.New("not a name of a header")
	}
	switch canonical := textproto.CanonicalMIMEHeaderKey(name); canonical {
	case "Content-Type", "Content-Length", "Content-Encoding", "Host", "User-Agent", "Connection", "Keep-Alive",
		"Proxy-Connection", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Expect",
		http.CanonicalHeaderKey(headerID), http.CanonicalHeaderKey(headerTime), http.CanonicalHeaderKey(headerSignature):
		return errors.New("this header is set by basewatch itself")
	}
	v, err := value.Value()
	if err != nil {
		return err
	}
	if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return errors.New(value.Source() + ": the value has a line break or another control character")
	}
	return nil
}
