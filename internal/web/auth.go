package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// grade is what a caller's token allows.
type grade int

const (
	nothing grade = iota
	reading
	everything
)

// gate decides who may do what over TCP.
type gate struct {
	tokens, readers []func() (string, error)
	log             *slog.Logger
}

// refuse gives the reason why a request may not pass, or nil.
func (g gate) refuse(r *http.Request) *Problem {
	if !safe(r.Method) {
		return g.refuseChange(g.grade(r))
	}
	if len(g.tokens)+len(g.readers) == 0 {
		if fromHere(r) {
			return nil
		}
		return problem(http.StatusForbidden, "reading from beyond this host needs a token and none is set; set token or read_token under [http]")
	}
	if g.grade(r) >= reading {
		return nil
	}
	return unauthorized()
}

func (g gate) refuseChange(have grade) *Problem {
	switch {
	case len(g.tokens) == 0:
		return problem(http.StatusForbidden, "changing anything over TCP needs a token and none is set; set token under [http], or run the command on the daemon's host, where it uses the socket")
	case have == everything:
		return nil
	case have == reading:
		return problem(http.StatusForbidden, "this token may only read; use the one set as token under [http]")
	}
	return unauthorized()
}

func unauthorized() *Problem {
	return problem(http.StatusUnauthorized, "a valid token is needed; send it as Authorization: Bearer …, or set BASEWATCH_TOKEN for the commands")
}

// grade compares the request's token with all that are valid now. It takes
// the same time whichever of them matches, if any does.
func (g gate) grade(r *http.Request) grade {
	scheme, presented, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	presented = strings.TrimSpace(presented)
	if !strings.EqualFold(scheme, "bearer") || presented == "" {
		return nothing
	}
	switch full, read := g.matches(g.tokens, presented), g.matches(g.readers, presented); {
	case full:
		return everything
	case read:
		return reading
	}
	return nothing
}

func (g gate) matches(valid []func() (string, error), presented string) bool {
	have := sha256.Sum256([]byte(presented))
	found := 0
	for _, token := range valid {
		want, err := token()
		if err != nil {
			g.log.Warn("a token of [http] cannot be read; it allows nobody", "err", err)
		}
		if err != nil || want == "" {
			continue
		}
		sum := sha256.Sum256([]byte(want))
		found |= subtle.ConstantTimeCompare(have[:], sum[:])
	}
	return found == 1
}

func safe(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// fromHere reports whether a request comes from this host itself. What a proxy
// on this host forwards does not.
func fromHere(r *http.Request) bool {
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && addr.Addr().Unmap().IsLoopback()
}

// hostAllowed reports whether a Host header names us. Only a loopback listener
// asks: there a page in the user's browser could otherwise reach us by a name
// of its own that it points to 127.0.0.1.
func hostAllowed(header string, names []string) bool {
	host := hostname(header)
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		return true
	}
	for _, n := range names {
		if n != "" && strings.EqualFold(host, n) {
			return true
		}
	}
	return false
}

// hostname takes the port, brackets and the final dot off a Host header.
func hostname(header string) string {
	host, _, err := net.SplitHostPort(header)
	if err != nil {
		host = strings.Trim(header, "[]")
	}
	return strings.TrimSuffix(host, ".")
}

// loopback reports whether a listen address is reached from this host only.
func loopback(listen string) bool {
	host := hostname(listen)
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
