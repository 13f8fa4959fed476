package registry

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// realmRule is what decides where a registry may send us for a token.
type realmRule struct {
	host        string // as in image names, for messages and for known pairs
	addr        string // host[:port] that is really asked
	plainHTTP   bool
	credentials bool // the request would carry some
}

// check decides whether a token may be asked for at realm, which is the
// registry's word and nobody else's. What it refuses, it says how to mend.
func (r realmRule) check(realm string) (*url.URL, error) {
	u, err := url.Parse(realm)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return nil, fmt.Errorf("%s names no usable token server in its WWW-Authenticate header", r.host)
	}
	own := strings.EqualFold(u.Hostname(), hostOnly(r.addr))
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !r.plainHTTP || !own):
		return nil, fmt.Errorf("%s wants tokens to be asked for at %s://%s: only https will do "+
			"(http only on the registry's own host name, with plain_http = true under [registry.%q])", r.host, u.Scheme, u.Host, r.host)
	case own:
		return u, nil
	case isInner(u.Hostname()):
		return nil, fmt.Errorf("%s wants tokens to be asked for at %s, a private address that is not its own: "+
			"let it name its token server by a host name, or put that under the registry's own host", r.host, u.Host)
	case r.credentials && !r.related(u.Hostname()):
		return nil, fmt.Errorf("%s wants its password sent to %s, which is not under its own domain: it stays here; "+
			"put the token server under the registry's domain, or remove the credentials for %s to ask without", r.host, u.Host, r.host)
	}
	return u, nil
}

// related reports whether realm is under the registry's own registrable
// domain (docker.io and auth.docker.io, gitlab.example.com and
// registry.gitlab.example.com), or is known to belong to it.
func (r realmRule) related(realm string) bool {
	if r.host == "dhi.io" { // Docker's hardened images take the Hub's accounts
		return realm == "auth.docker.io"
	}
	theirs, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(realm))
	if err != nil {
		return false
	}
	ours, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(hostOnly(r.addr)))
	return err == nil && ours == theirs
}

// isInner reports an address, written as such, that only this machine or this
// network has. Names are judged by what they resolve to, when they are dialed.
func isInner(host string) bool {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	ip = ip.Unmap()
	return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified()
}

func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}
