package outbound

import (
	"context"
	"net"
	"time"
)

// Config is what users set, once under [network] and again where a registry or
// a receiver differs.
type Config struct {
	CAFile  string   // PEM, added to the system's roots
	Proxy   string   // URL; empty: HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment
	NoProxy []string // hosts, suffixes or CIDRs reached directly; localhost and loopback always are
}

// Options make one client.
type Options struct {
	Config
	// Host is the host[:port] that the user wrote. It may have any address but
	// an unspecified or multicast one. Other hosts that it sends us to (a token
	// realm, a redirect) may be private only when Host itself is private or
	// loopback, loopback or link-local only when Host itself is. What goes
	// through a proxy is resolved by the proxy, so there only addresses written
	// as such can be judged; the proxy itself may be anywhere.
	Host string
	// Redirects is how many are followed; 0 hands a 3xx back as the answer.
	// A redirect from https to http is refused, and Authorization never
	// follows to another scheme, host or port.
	Redirects int
	// Timeout bounds a whole request with its answer; 0: 30 s.
	Timeout time.Duration
	// Connections kept per host when HTTP/2 is not offered; 0: 2.
	Connections int
	// Dial replaces the network, for tests; the address check still sees the
	// address of the connection it returns.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}
