package outbound

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
)

const (
	defaultTimeout     = 30 * time.Second
	defaultConnections = 2
	maxHeaderBytes     = 64 << 10
	handshakeTimeout   = 10 * time.Second
	idleTimeout        = 90 * time.Second
)

// NewClient makes the client for one host: a registry, a receiver. It reads
// the CA file and the proxy settings of the environment now and keeps them.
// Close its idle connections when it is no longer used. Its errors hold URLs:
// give them to [Redact].
func NewClient(o Options) (*http.Client, error) {
	if o.Host == "" {
		return nil, errors.New("outbound client: no host given")
	}
	roots, err := rootCAs(o.CAFile)
	if err != nil {
		return nil, err
	}
	px, err := newProxy(o.Config)
	if err != nil {
		return nil, err
	}
	d := newDialer(o, px.addresses)
	timeout := orElse(o.Timeout, defaultTimeout)
	transport := &http.Transport{
		Proxy:                  px.forRequest(d.admitLiteral),
		DialContext:            d.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    handshakeTimeout,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
		MaxIdleConnsPerHost:    orElse(o.Connections, defaultConnections),
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  timeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
	return &http.Client{Timeout: timeout, CheckRedirect: redirectPolicy(o.Redirects), Transport: newProxyMask(transport, px)}, nil
}

// rootCAs are the system's roots and those of file, if any. Nil means the
// system's.
func rootCAs(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // no system roots, as in an empty container
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file %s: no certificate in it; it must be PEM (-----BEGIN CERTIFICATE-----)", file)
	}
	return pool, nil
}

func orElse[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}
