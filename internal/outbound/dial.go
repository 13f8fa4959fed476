package outbound

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	dialTimeout = 10 * time.Second
	keepAlive   = 30 * time.Second
)

// dialer connects, and refuses by the address that a name resolved to. The
// check is made on the socket about to connect (or on the connection that a
// replaced dialer returned), never on a lookup of its own: between a lookup and
// a dial a name can change its mind.
type dialer struct {
	own     string   // hostname of the host that the user wrote
	proxies []string // host:port of the configured proxies: the user wrote these too
	replace func(ctx context.Context, network, address string) (net.Conn, error)
	// ownReach is the reach of own, as last dialed. Behind a proxy it stays
	// unknown, and what own sends us to must be public.
	ownReach atomic.Int32
}

func newDialer(o Options, proxies []string) *dialer {
	d := &dialer{own: hostname(o.Host), proxies: proxies, replace: o.Dial}
	if ip, err := netip.ParseAddr(d.own); err == nil {
		d.ownReach.Store(int32(reachOf(ip)))
	}
	return d
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if d.replace != nil {
		return d.dialReplaced(ctx, network, address)
	}
	nd := net.Dialer{KeepAlive: keepAlive, Control: func(_, resolved string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(resolved)
		if err != nil {
			return err
		}
		return d.admit(address, to.Addr())
	}}
	return nd.DialContext(ctx, network, address)
}

func (d *dialer) dialReplaced(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.replace(ctx, network, address)
	if err != nil {
		return nil, err
	}
	to, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return conn, nil // a pipe: there is no address to judge
	}
	if err := d.admit(address, to.AddrPort().Addr()); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// admit judges a connection to host:port at the address it resolved to.
func (d *dialer) admit(address string, to netip.Addr) error {
	for _, p := range d.proxies {
		if address == p {
			return nil
		}
	}
	r, host := reachOf(to), hostname(address)
	isOwn := host == d.own
	if isOwn && r != never {
		d.ownReach.Store(int32(r))
	}
	if admits(reach(d.ownReach.Load()), r, isOwn) {
		return nil
	}
	return &AddressError{Host: host, Addr: to, Own: d.own, kind: r}
}

// admitLiteral judges a request that a proxy will carry: the proxy resolves the
// name, so only an address written as such can be judged here.
func (d *dialer) admitLiteral(address string) error {
	if ip, err := netip.ParseAddr(hostname(address)); err == nil {
		return d.admit(address, ip)
	}
	return nil
}
