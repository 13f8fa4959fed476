package standin

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
)

// MemNet is a network in memory, made of pipes: time stands still in it only
// when everybody waits, which is what testing/synctest needs. The zero MemNet
// is ready; it must not be copied.
type MemNet struct {
	mu    sync.Mutex
	hosts map[string]*MemListener
}

// Listen opens hostport, such as "registry.example.com:443", until the listener
// is closed. A second listener takes the place of the first.
func (n *MemNet) Listen(hostport string) *MemListener {
	l := NewMemListener(hostport)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts == nil {
		n.hosts = map[string]*MemListener{}
	}
	n.hosts[hostport] = l
	return l
}

// DialContext has the form that an http.Transport wants. Addresses where nobody
// listens refuse the connection.
func (n *MemNet) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.hosts[address]
	n.mu.Unlock()
	if l == nil {
		return nil, refused(network, memAddr(address))
	}
	return l.DialContext(ctx, network, address)
}

// MemListener is one listener in memory.
type MemListener struct {
	host  string
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

var _ net.Listener = (*MemListener)(nil)

// NewMemListener listens as hostport. Its connections bear a TCP address: the
// host's where that is an IP address, 127.0.0.1 for localhost, else the public
// 203.0.113.1, which the check of resolved addresses lets pass.
func NewMemListener(hostport string) *MemListener {
	return &MemListener{host: hostport, addr: memAddr(hostport), conns: make(chan net.Conn), done: make(chan struct{})}
}

// DialContext connects to the listener whatever the address says.
func (l *MemListener) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- memConn{far, l.addr, memAddr("127.0.0.1:1024")}:
		return memConn{near, memAddr("127.0.0.1:1024"), l.addr}, nil
	case <-l.done:
		return nil, refused(network, l.addr)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept waits for the next connection.
func (l *MemListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close refuses all further connections. It may be called twice.
func (l *MemListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr is the address that the connections bear.
func (l *MemListener) Addr() net.Addr { return l.addr }

// memConn is a pipe with addresses.
type memConn struct {
	net.Conn
	local, remote net.Addr
}

func (c memConn) LocalAddr() net.Addr  { return c.local }
func (c memConn) RemoteAddr() net.Addr { return c.remote }

func memAddr(hostport string) net.Addr {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		host, port = hostport, "80"
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil:
	case host == "localhost":
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	default:
		ip = netip.AddrFrom4([4]byte{203, 0, 113, 1})
	}
	p, _ := strconv.ParseUint(port, 10, 16)
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(p)))
}

func refused(network string, addr net.Addr) error {
	return &net.OpError{Op: "dial", Net: network, Addr: addr, Err: syscall.ECONNREFUSED}
}
