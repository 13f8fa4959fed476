package outbound

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// reach says how far inside an address lies. The greater, the more harm a
// request to it can do that somebody else chose.
type reach int

const (
	unknownReach reach = iota // not resolved yet; counts as public
	public
	private
	loopback
	linkLocal // a cloud's metadata service answers there
	never     // unspecified, multicast, broadcast: nothing to talk to
)

func (r reach) String() string {
	return [...]string{"unknown", "public", "private", "loopback", "link-local", "unusable"}[r]
}

// AddressError says that a connection was refused because of where it would
// have gone. The user's remedy depends on what sent us there, so callers add it.
type AddressError struct {
	Host string     // what was to be dialed
	Addr netip.Addr // what it resolved to
	Own  string     // the host that the user wrote
	kind reach
}

func (e *AddressError) Error() string {
	if e.kind == never {
		return fmt.Sprintf("%s has the address %s, where nothing can answer", e.Host, e.Addr)
	}
	return fmt.Sprintf("%s has the %s address %s, and %s, which sent us there, has not", e.Host, e.kind, e.Addr, e.Own)
}

// reachOf classifies an address. Addresses that carry another one inside count
// as that one.
func reachOf(a netip.Addr) reach {
	a = inner(a)
	switch {
	case a.IsUnspecified(), a.IsMulticast(), within(a, "0.0.0.0/8", "240.0.0.0/4"):
		return never
	case a.IsLinkLocalUnicast(), within(a, metadata()...):
		return linkLocal
	case a.IsLoopback():
		return loopback
	case a.IsPrivate(), within(a, "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "fec0::/10", "64:ff9b:1::/48"):
		return private
	}
	return public
}

// metadata lists where clouds serve credentials to whoever asks from inside, by
// addresses that are not link-local: Alibaba, Oracle, Azure, AWS and Google by
// IPv6.
func metadata() []string {
	return []string{"100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32", "fd00:ec2::254/128", "fd20:ce::254/128"}
}

// inner takes the IPv4 address out of one that carries it: IPv4-mapped and
// -compatible, NAT64, 6to4.
func inner(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	b := a.As16()
	switch {
	case within(a, "64:ff9b::/96"), within(a, "::/96") && !within(a, "::/127"):
		return netip.AddrFrom4([4]byte(b[12:]))
	case within(a, "2002::/16"):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return a
}

func within(a netip.Addr, prefixes ...string) bool {
	for _, p := range prefixes {
		if netip.MustParsePrefix(p).Contains(a) {
			return true
		}
	}
	return false
}

// admits decides whether a connection to an address of reach r may be made,
// where own is the reach of the host that the user wrote. A loopback host may
// send us to a private one, not the other way round: what listens on loopback
// trusts whoever reaches it.
func admits(own, r reach, isOwn bool) bool {
	switch {
	case r == never:
		return false
	case isOwn || r == public:
		return true
	case r == private:
		return own >= private
	}
	return own == r
}

// hostname takes the host out of host[:port] and makes names comparable.
func hostname(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
