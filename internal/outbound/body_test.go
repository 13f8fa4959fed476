package outbound

import (
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
)

func TestReadAllStopsAtItsLimit(t *testing.T) {
	if b, err := ReadAll(strings.NewReader("12345"), 5); err != nil || string(b) != "12345" {
		t.Errorf("got %q, %v", b, err)
	}
	endless := &counter{}
	var tooLarge *TooLargeError
	if _, err := ReadAll(endless, 1000); !errors.As(err, &tooLarge) || tooLarge.Max != 1000 {
		t.Errorf("got %v", err)
	}
	if endless.n > 4096 {
		t.Errorf("read %d bytes of an endless body", endless.n)
	}
}

type counter struct {
	n      int
	closed bool
}

func (c *counter) Read(p []byte) (int, error) { c.n += len(p); return len(p), nil }
func (c *counter) Close() error               { c.closed = true; return nil }

func TestDrainIsBoundedAndCloses(t *testing.T) {
	c := &counter{}
	Drain(c)
	if !c.closed || c.n > 2*drainLimit {
		t.Errorf("closed %t after %d bytes", c.closed, c.n)
	}
}

func TestRedactKeepsHostAndCauseButNoSecret(t *testing.T) {
	cause := &net.DNSError{Err: "no such host", Name: "hooks.example.com"}
	secret := "hunter2"
	_, malformed := url.Parse("https://hooks.example.com:" + secret + "/x")
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"plain":         {&url.Error{Op: "Post", URL: "https://u:hunter2@hooks.example.com/T0/hunter2?k=hunter2", Err: cause}, "post hooks.example.com: lookup hooks.example.com: no such host"},
		"nested":        {&url.Error{Op: "Get", URL: "https://a.example.com/hunter2", Err: &url.Error{Op: "Get", URL: "https://b.example.com/hunter2", Err: cause}}, "get a.example.com: get b.example.com: lookup"},
		"inside a text": {&url.Error{Op: "Get", URL: "https://a.example.com/", Err: errors.New(`bad Location "https://b.example.com/hunter2": é://x.example.com/hunter2`)}, `bad Location "b.example.com": é`},
		"malformed":     {malformed, "not a valid URL"},
		"text alone":    {errors.New("see https://hooks.example.com/hunter2, please"), "see hooks.example.com please"},
	} {
		got := Redact(tc.err)
		if !strings.Contains(got.Error(), tc.want) {
			t.Errorf("%s: got %q, want %q in it", name, got, tc.want)
		}
		for e := got; e != nil && name != "inside a text" && name != "text alone"; e = errors.Unwrap(e) {
			if strings.Contains(e.Error(), secret) {
				t.Errorf("%s: secret in %q", name, e)
			}
		}
		if strings.Contains(got.Error(), secret) {
			t.Errorf("%s: secret in %q", name, got)
		}
	}
	var dns *net.DNSError
	if got := Redact(&url.Error{Op: "Get", URL: "https://x/", Err: cause}); !errors.As(got, &dns) {
		t.Error("the cause is lost")
	}
	if Redact(nil) != nil || !errors.Is(Redact(io.EOF), io.EOF) {
		t.Error("errors without a URL must stay as they are")
	}
}
