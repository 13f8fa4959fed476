package outbound

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// proxy picks the proxy of a request. localhost and loopback addresses are
// always reached directly, as everywhere in Go.
type proxy struct {
	pick      func(*url.URL) (*url.URL, error)
	addresses []string // host:port, as they are dialed
	secrets   [][]byte // their logins, in the forms in which they may come back
}

func newProxy(c Config) (proxy, error) {
	conf := httpproxy.FromEnvironment()
	if c.Proxy != "" {
		conf = &httpproxy.Config{HTTPProxy: c.Proxy, HTTPSProxy: c.Proxy}
	}
	conf.NoProxy = strings.Trim(conf.NoProxy+","+strings.Join(c.NoProxy, ","), ",")
	conf.CGI = false // REQUEST_METHOD in the environment means nothing to a daemon
	p := proxy{pick: conf.ProxyFunc()}
	for _, u := range []string{conf.HTTPProxy, conf.HTTPSProxy} {
		if u == "" {
			continue
		}
		at, addr, err := proxyAddress(u)
		if err != nil {
			return proxy{}, err
		}
		p.addresses = append(p.addresses, addr)
		if at.User != nil {
			p.secrets = append(p.secrets, loginForms(at.User)...)
		}
	}
	return p, nil
}

// proxyAddress is where a proxy is dialed. Its error never shows the URL, which
// may hold a password.
func proxyAddress(raw string) (*url.URL, string, error) {
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return nil, "", fmt.Errorf("proxy: not a URL; write it as http://host:port")
	}
	ports := map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}
	port, ok := ports[u.Scheme]
	if !ok {
		return nil, "", fmt.Errorf("proxy: scheme %q of %s is not supported; use http, https or socks5", u.Scheme, u.Hostname())
	}
	if u.Port() != "" {
		port = u.Port()
	}
	return u, net.JoinHostPort(u.Hostname(), port), nil
}

// forRequest is the transport's Proxy. What a proxy will carry is judged by
// admit first, since the dialer sees only the proxy's address.
func (p proxy) forRequest(admit func(address string) error) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		u, err := p.pick(r.URL)
		if err != nil || u == nil {
			return nil, err
		}
		return u, admit(r.URL.Host)
	}
}
