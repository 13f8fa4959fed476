package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
)

// Dialer makes the connections that are not HTTP, such as mail, under the same
// rules for addresses and TLS as a client of [NewClient]. It knows no proxy:
// those of the web carry no mail. Safe for concurrent use.
type Dialer struct {
	dialer *dialer
	tls    *tls.Config
}

// NewDialer makes a dialer for one host. It reads the CA file now and keeps it.
// Of the options it uses Host, CAFile and Dial.
func NewDialer(o Options) (*Dialer, error) {
	if o.Host == "" {
		return nil, errors.New("outbound dialer: no host given")
	}
	roots, err := rootCAs(o.CAFile)
	if err != nil {
		return nil, err
	}
	d := newDialer(o, nil)
	return &Dialer{dialer: d, tls: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: d.own}}, nil
}

// DialContext connects to host:port, if the address that it resolves to may be
// reached. It takes at most 10 seconds.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d.dialer.dial(ctx, network, address)
}

// TLS is the configuration for a connection to the dialer's host: TLS 1.2 or
// newer, with the user's CA file.
func (d *Dialer) TLS() *tls.Config { return d.tls.Clone() }
