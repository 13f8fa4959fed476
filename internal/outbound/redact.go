package outbound

import (
	"errors"
	"net/url"
	"strings"
)

// Redact takes the URL out of an error of an http.Client or of url.Parse: a
// webhook's URL is its secret. What is left names the operation and the host.
// The cause stays reachable by errors.Is and errors.As, the *url.Error does
// not. Wrap the result, do not redact what is wrapped: only the innermost
// causes survive. Nil stays nil.
func Redact(err error) error {
	if err == nil {
		return nil
	}
	var ue *url.Error
	if !errors.As(err, &ue) {
		if clean := scrub(err.Error()); clean != err.Error() {
			return &redactedError{text: clean, cause: err}
		}
		return err
	}
	if ue.Op == "parse" { // its cause quotes parts of the URL
		return errors.New("not a valid URL")
	}
	cause := Redact(ue.Err)
	return &redactedError{text: strings.ToLower(ue.Op) + " " + hostOf(ue.URL) + ": " + cause.Error(), cause: cause}
}

type redactedError struct {
	text  string
	cause error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.cause }

// scrub replaces each URL in a text by its host.
func scrub(s string) string {
	var b strings.Builder
	for {
		at := strings.Index(s, "://")
		if at < 0 {
			b.WriteString(s)
			return b.String()
		}
		start := at
		for start > 0 && isSchemeByte(s[start-1]) {
			start--
		}
		end := strings.IndexAny(s[at:], " \t\r\n\"'<>`")
		if end < 0 {
			end = len(s) - at
		}
		b.WriteString(s[:start])
		b.WriteString(hostOf(s[start : at+end]))
		s = s[at+end:]
	}
}

func isSchemeByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'
}

// hostOf is the host of a URL, with a port and nothing else.
func hostOf(raw string) string {
	u, err := url.Parse(strings.TrimRight(raw, ":,;.)]"))
	if err != nil || u.Host == "" {
		return "(address withheld)"
	}
	return u.Host
}
