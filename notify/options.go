package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"basewatch/internal/outbox"
	"basewatch/internal/secret"
)

// Options is what receivers are given beside their own configuration.
type Options struct {
	// HTTP reaches the receiver's host; see package outbound. Redirects are
	// never followed, whatever the client says. Unused by Log.
	HTTP *http.Client
	// Dial and TLS reach it where it speaks no HTTP (Email); nil: the plain
	// network, and the system's roots.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	TLS  *tls.Config
	// Instance is the daemon's name, shown in every message.
	Instance string
	// PublicURL is the daemon's own address for links, or empty: no links.
	PublicURL string
	// Version is of the program, for User-Agent.
	Version string
}

func (o Options) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if o.Dial == nil {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return o.Dial(ctx, network, address)
}

// client is a copy of o.HTTP that hands a redirect back as the answer.
func (o Options) client() *http.Client {
	c := http.Client{}
	if o.HTTP != nil {
		c = *o.HTTP
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

func (o Options) userAgent() string {
	if o.Version == "" {
		return "basewatch"
	}
	return "basewatch/" + o.Version
}

// mistake is an error in the configuration of one receiver; key stands below
// its table.
func mistake(key, format string, args ...any) error {
	return &outbox.ConfigError{Key: key, Problem: fmt.Sprintf(format, args...)}
}

// endpoint reads and parses a URL that is a secret. No error shows it.
func endpoint(s secret.Secret) (*url.URL, error) {
	raw, err := s.Value()
	if err != nil {
		return nil, err
	}
	return parseEndpoint(raw)
}

func parseEndpoint(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("not a valid URL") // the cause quotes it
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("the URL must begin with https:// or http://")
	case u.Hostname() == "":
		return nil, errors.New("the URL has no host")
	case u.Fragment != "":
		return nil, errors.New("the URL has a #fragment, which is never sent")
	}
	return u, nil
}
