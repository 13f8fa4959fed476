package registry

import "strings"

// challenge is one way in that a registry offers with a 401.
type challenge struct {
	scheme string // lower case: bearer, basic
	params map[string]string
}

const (
	maxChallenges     = 8
	maxChallengeBytes = 8 << 10
)

// parseChallenges reads WWW-Authenticate: several challenges may stand in one
// header, several headers in one answer (RFC 9110 §11.6.1). What cannot be
// read is skipped.
func parseChallenges(headers []string) []challenge {
	var out []challenge
	for _, h := range headers {
		s := challengeScanner{rest: h[:min(len(h), maxChallengeBytes)]}
		for s.next() && len(out) < maxChallenges {
			switch {
			case !s.isParam:
				out = append(out, challenge{scheme: s.token, params: map[string]string{}})
			case len(out) > 0:
				last := out[len(out)-1].params
				if _, twice := last[s.token]; !twice {
					last[s.token] = s.value
				}
			}
		}
	}
	return out
}

// challengeScanner splits a header into schemes and parameters. A token with =
// behind it is a parameter, any other begins a challenge.
type challengeScanner struct {
	rest         string
	token, value string
	isParam      bool
}

func (s *challengeScanner) next() bool {
	for {
		s.rest = strings.TrimLeft(s.rest, " \t,")
		n := tokenLength(s.rest)
		if n > 0 {
			s.token, s.rest = strings.ToLower(s.rest[:n]), s.rest[n:]
			break
		}
		if s.rest == "" {
			return false
		}
		s.rest = s.rest[1:] // nothing that belongs here
	}
	after := strings.TrimLeft(s.rest, " \t")
	if s.isParam = strings.HasPrefix(after, "="); s.isParam {
		s.rest = strings.TrimLeft(after[1:], " \t")
		s.value = s.readValue()
	}
	return true
}

func (s *challengeScanner) readValue() string {
	if !strings.HasPrefix(s.rest, `"`) {
		n := tokenLength(s.rest)
		v := s.rest[:n]
		s.rest = s.rest[n:]
		return v
	}
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			s.rest = s.rest[i+1:]
			return b.String()
		case c == '\\' && i+1 < len(s.rest):
			i++
			b.WriteByte(s.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	s.rest = ""
	return b.String()
}

// tokenLength is how many bytes s begins with that a token may have, and the
// few more that unquoted values have in the wild (: and /).
func tokenLength(s string) int {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),;<=>@[\]{}`, c) >= 0 {
			return i
		}
	}
	return len(s)
}
