package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/outbox/outboxtest"
	"basewatch/internal/secret"
	"basewatch/internal/standin"
	"basewatch/watcher"

	"github.com/google/go-cmp/cmp"
)

const mailPassword = "pass-canary7Zq2wK9x4"

// postOffice is a mail server in memory with a receiver that uses it.
type postOffice struct {
	server   *standin.Mail
	receiver *Email
	ca       *standin.CA
}

// openPost makes them, inside a bubble too. With a user the server wants the
// password above.
func openPost(t *testing.T, mode, user string, change func(*EmailConfig)) postOffice {
	t.Helper()
	ca, err := standin.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Certificate("mail.example.com")
	if err != nil {
		t.Fatal(err)
	}
	sc := standin.MailConfig{Username: user, Password: mailPassword, Implicit: mode == "tls"}
	if mode != "none" {
		sc.Certificate = &cert
	}
	c := DefaultEmailConfig()
	c.Host, c.TLS, c.From, c.To = "mail.example.com", mode, "basewatch <bot@example.com>", []string{"ops@example.com"}
	if user != "" {
		c.Username, c.Password = user, secret.Literal(mailPassword)
	}
	if change != nil {
		change(&c)
	}
	server := standin.NewMail(sc)
	l := standin.NewMemListener("mail.example.com:587")
	server.Serve(l)
	t.Cleanup(func() { _ = l.Close(); server.Close() })
	r, err := NewEmail(c, Options{
		Instance: "prod-eu", Version: "0.1.0", Dial: l.DialContext,
		TLS: &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		t.Fatal(err)
	}
	return postOffice{server: server, receiver: r, ca: ca}
}

func (p postOffice) deliver(d outbox.Delivery) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := p.receiver.Deliver(ctx, d)
	return err
}

func TestEmailKeepsTheContract(t *testing.T) {
	outboxtest.Run(t, outboxtest.Case{
		New: func(t *testing.T, env outboxtest.Env) outbox.Receiver {
			return openPost(t, "starttls", "bot", nil).receiver
		},
		Local: true,
	})
}

// parts reads a mail: its header, and its text and HTML part.
func parts(t *testing.T, data string) (h mail.Header, text, html string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, data)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	var bodies []string
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, p.Header.Get("Content-Type")+"\n"+strings.ReplaceAll(string(b), "\r\n", "\n"))
	}
	if len(bodies) != 2 || !strings.HasPrefix(bodies[0], "text/plain") || !strings.HasPrefix(bodies[1], "text/html") {
		t.Fatalf("%d parts: %.200q", len(bodies), bodies)
	}
	return m.Header, bodies[0], bodies[1]
}

func TestAMailHasTextAndHTMLAndTheIDOfItsDelivery(t *testing.T) {
	p := openPost(t, "starttls", "bot", nil)
	d := outboxtest.Change(42)
	if err := p.deliver(d); err != nil {
		t.Fatal(err)
	}
	got := p.server.Messages()
	if len(got) != 1 || !got[0].TLS || got[0].User != "bot" || got[0].From != "bot@example.com" || !cmp.Equal(got[0].To, []string{"ops@example.com"}) {
		t.Fatalf("%+v", got)
	}
	h, text, html := parts(t, got[0].Data)
	want := map[string]string{
		"Subject": "python:3.13-slim changed", "From": `"basewatch" <bot@example.com>`, "To": "<ops@example.com>",
		"Message-Id": "<" + d.ID + "@example.com>", "Auto-Submitted": "auto-generated", "User-Agent": "basewatch/0.1.0", "In-Reply-To": "",
	}
	for key, value := range want {
		if h.Get(key) != value {
			t.Errorf("%s: %q, want %q", key, h.Get(key), value)
		}
	}
	contains(t, text, "9f2c00000054 → 9f2c00000056", "version 3.13.42 → 3.13.43", "-- \n", "python:3.13-slim@42", "prod-eu")
	contains(t, html, "<h2", "python:3.13-slim changed", "<code>9f2c00000054</code>", `<a href="https://github.com/docker-library/python/compare/`)
}

func TestAMailOfAThreadRepliesToWhatBeganIt(t *testing.T) {
	p := openPost(t, "none", "", nil)
	first := outboxtest.Change(1)
	second := outboxtest.Change(2)
	second.Thread = first.EventKey
	for _, d := range []outbox.Delivery{first, second} {
		if err := p.deliver(d); err != nil {
			t.Fatal(err)
		}
	}
	got := p.server.Messages()
	root, _, _ := parts(t, got[0].Data)
	reply, _, _ := parts(t, got[1].Data)
	if reply.Get("In-Reply-To") == "" || reply.Get("In-Reply-To") != root.Get("Message-Id") || reply.Get("References") != root.Get("Message-Id") {
		t.Errorf("reply to %q, root is %q", reply.Get("In-Reply-To"), root.Get("Message-Id"))
	}
}

func TestADigestIsOneMailToTheAddressOfItsLane(t *testing.T) {
	p := openPost(t, "none", "", nil)
	ds := []outbox.Delivery{outboxtest.Change(1), outboxtest.Change(2), outboxtest.Change(3)}
	for i := range ds {
		ds[i].Event.Ref = fmt.Sprintf("docker.io/library/python:3.%d", i)
		ds[i].Address = "shop@example.com"
	}
	for range 2 {
		if _, err := p.receiver.Digest(context.Background(), ds); err != nil {
			t.Fatal(err)
		}
	}
	got := p.server.Messages()
	if len(got) != 2 || !cmp.Equal(got[0].To, []string{"shop@example.com"}) {
		t.Fatalf("%+v", got)
	}
	h, text, _ := parts(t, got[0].Data)
	again, _, _ := parts(t, got[1].Data)
	if h.Get("Subject") != "3 of your bases changed" || h.Get("Message-Id") != again.Get("Message-Id") {
		t.Errorf("subject %q, IDs %q and %q", h.Get("Subject"), h.Get("Message-Id"), again.Get("Message-Id"))
	}
	contains(t, text, "python:3.0@1", "python:3.1@2", "python:3.2@3")
}

// Whatever an image or a registry says stays one line of text: no header, no
// recipient, no markup comes of it.
func TestNothingFromOutsideBecomesAHeaderOrMarkup(t *testing.T) {
	const evil = "x\r\nBcc: evil@example.net\r\n\r\n<script>alert(1)</script>\r\n.\r\nMAIL FROM:<evil@example.net>"
	p := openPost(t, "none", "", func(c *EmailConfig) {
		c.Title = "{{.Reason}}: {{.Label `team`}}"
		c.Body = "{{.Reason}}\n.\n{{.Subject}}"
	})
	d := eventOf(watcher.Failing, func(e *watcher.Event) { e.Reason, e.Labels = evil, map[string][]string{"team": {evil}} })
	if err := p.deliver(d); err != nil {
		t.Fatal(err)
	}
	got := p.server.Messages()
	if len(got) != 1 || len(got[0].To) != 1 {
		t.Fatalf("%+v", got)
	}
	h, text, html := parts(t, got[0].Data)
	if h.Get("Bcc") != "" || strings.Contains(html, "<script") {
		t.Errorf("Bcc %q in:\n%s", h.Get("Bcc"), html)
	}
	contains(t, text, "x Bcc: evil@example.net <script>alert(1)</script> . MAIL FROM", "\n.\n")
}

func TestEachAnswerOfAMailServerHasItsOutcome(t *testing.T) {
	const retry, refused = outbox.Retry, outbox.Refused
	tests := []struct {
		command, reply string
		want           outbox.Outcome
	}{
		{"CONNECT", "421 4.3.2 busy", retry}, {"CONNECT", "554 5.3.2 no service", retry}, {"CONNECT", "", retry},
		{"EHLO", "500 what", retry}, {"EHLO", "421 later", retry},
		{"STARTTLS", "454 4.7.0 not now", retry}, {"STARTTLS", "501 5.5.4 no", retry},
		{"AUTH", "454 4.7.0 not now", retry}, {"AUTH", "535 5.7.8 wrong", refused}, {"AUTH", "534 5.7.9 too weak", refused}, {"AUTH", "", retry},
		{"MAIL", "451 4.3.0 later", retry}, {"MAIL", "452 4.3.1 full", retry}, {"MAIL", "421 4.3.2 busy", retry},
		{"MAIL", "530 5.7.0 authenticate", refused}, {"MAIL", "550 5.7.1 not you", refused}, {"MAIL", "553 5.1.8 no such sender", refused},
		{"RCPT", "450 4.2.1 greylisted", retry}, {"RCPT", "550 5.1.1 no such user", refused}, {"RCPT", "552 5.2.2 full", refused},
		{"DATA", "451 4.3.0 later", retry}, {"DATA", "554 5.6.0 no", refused}, {"DATA", "", retry},
		{"END", "452 4.3.1 full", retry}, {"END", "552 5.3.4 too large", refused}, {"END", "554 5.7.1 spam", refused}, {"END", "", retry},
		{"QUIT", "", outbox.Success}, {"QUIT", "500 what", outbox.Success},
	}
	for _, tt := range tests {
		t.Run(tt.command+" "+tt.reply, func(t *testing.T) {
			p := openPost(t, "starttls", "bot", nil)
			p.server.Reply(tt.command, tt.reply, tt.reply)
			err := p.deliver(outboxtest.Change(1))
			if got, _ := outbox.Classify(err); got != tt.want {
				t.Errorf("%s (%v), want %s", got, err, tt.want)
			}
			if err != nil && tt.reply != "" && !strings.Contains(err.Error(), tt.reply[4:]) {
				t.Errorf("error %q does not say %q", err, tt.reply[4:])
			}
			p.server.Heal()
			if err := p.deliver(outboxtest.Change(1)); err != nil {
				t.Errorf("once it is well: %v", err)
			}
		})
	}
}

// When only the answer was lost, the repeat has the same Message-ID.
func TestARepeatedMailHasTheSameMessageID(t *testing.T) {
	p := openPost(t, "none", "", nil)
	p.server.Reply("END", "")
	if err := p.deliver(outboxtest.Change(1)); err == nil {
		t.Fatal("delivered, though the answer was lost")
	}
	if err := p.deliver(outboxtest.Change(1)); err != nil {
		t.Fatal(err)
	}
	got := p.server.Messages()
	if len(got) != 2 {
		t.Fatalf("%d messages", len(got))
	}
	a, _, _ := parts(t, got[0].Data)
	b, _, _ := parts(t, got[1].Data)
	if a.Get("Message-Id") == "" || a.Get("Message-Id") != b.Get("Message-Id") {
		t.Errorf("IDs %q and %q", a.Get("Message-Id"), b.Get("Message-Id"))
	}
}

func TestAMailServerThatHangsCostsTheDeadlineAndNoMore(t *testing.T) {
	for _, command := range []string{"CONNECT", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "END", "QUIT"} {
		t.Run(command, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := openPost(t, "starttls", "bot", nil)
				p.server.Reply(command, "hang", "hang")
				start := time.Now()
				err := p.deliver(outboxtest.Change(1))
				if took := time.Since(start); took > 30*time.Second {
					t.Errorf("took %v", took)
				}
				if command == "QUIT" {
					if err != nil {
						t.Errorf("the mail was taken: %v", err)
					}
					return
				}
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v", err)
				}
				p.server.Reply(command, "hang")
				ctx, cancel := context.WithCancel(context.Background())
				defer time.AfterFunc(time.Second, cancel).Stop()
				start = time.Now()
				_, err = p.receiver.Deliver(ctx, outboxtest.Change(1))
				if took := time.Since(start); took != time.Second || !errors.Is(err, context.Canceled) {
					t.Errorf("cancelled after 1s, ended after %v: %v", took, err)
				}
			})
		})
	}
}

func TestTheTLSPolicyIsKept(t *testing.T) {
	tests := []struct {
		policy, server string
		sent, secured  bool
	}{
		{"starttls", "starttls", true, true},
		{"starttls", "none", false, false},
		{"tls", "tls", true, true},
		{"opportunistic", "starttls", true, true},
		{"opportunistic", "none", true, false},
		{"none", "starttls", true, false},
	}
	for _, tt := range tests {
		t.Run(tt.policy+" to "+tt.server, func(t *testing.T) {
			p := openPost(t, tt.server, "", func(c *EmailConfig) { c.TLS = tt.policy })
			err := p.deliver(outboxtest.Change(1))
			got := p.server.Messages()
			if sent := len(got) == 1; sent != tt.sent || sent != (err == nil) {
				t.Fatalf("%d messages, %v", len(got), err)
			}
			if tt.sent && got[0].TLS != tt.secured {
				t.Errorf("TLS %v", got[0].TLS)
			}
			if outcome, _ := outbox.Classify(err); err != nil && outcome != outbox.Retry {
				t.Errorf("%s: %v", outcome, err)
			}
		})
	}
}

func TestACertificateOfAnotherAuthorityIsRefused(t *testing.T) {
	for _, mode := range []string{"starttls", "tls", "opportunistic"} {
		p := openPost(t, mode, "", nil)
		// Over a socket: who refuses in the middle of a handshake and who still
		// speaks would wait for each other in a pipe.
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p.server.Serve(l)
		p.receiver.options.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, l.Addr().String())
		}
		p.receiver.options.TLS = nil // the system's roots
		err = p.deliver(outboxtest.Change(1))
		if got, _ := outbox.Classify(err); got != outbox.Retry || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %s (%v)", mode, got, err)
		}
		if n := len(p.server.Messages()); n != 0 {
			t.Errorf("%s: %d messages were sent", mode, n)
		}
		_ = l.Close()
	}
}

// A password never goes out without TLS, also when somebody on the way hides
// the offer of it.
func TestAPasswordIsNeverSentInTheClear(t *testing.T) {
	p := openPost(t, "none", "", func(c *EmailConfig) {
		c.TLS, c.Username, c.Password = "opportunistic", "bot", secret.Literal(mailPassword)
	})
	p.server.Reply("EHLO", "250-mail.example.com\n250 AUTH PLAIN LOGIN")
	if err := p.deliver(outboxtest.Change(1)); err == nil {
		t.Error("delivered")
	}
	for _, c := range p.server.Commands() {
		if c == "AUTH" {
			t.Error("AUTH was sent")
		}
	}
}

// A refused password is read again within the attempt, also from a file that
// looks as it did before.
func TestARotatedMailPasswordIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	then := time.Now().Add(-time.Hour)
	write := func(password string) {
		if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, then, then); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Repeat("x", len(mailPassword)))
	p := openPost(t, "starttls", "bot", func(c *EmailConfig) {
		if err := c.Password.UnmarshalText([]byte("file:" + file)); err != nil {
			t.Fatal(err)
		}
	})
	if got, _ := outbox.Classify(p.deliver(outboxtest.Change(1))); got != outbox.Refused {
		t.Fatalf("the old password: %s", got)
	}
	write(mailPassword)
	if err := p.deliver(outboxtest.Change(1)); err != nil {
		t.Error(err)
	}
}

func TestNoErrorOfMailShowsASecret(t *testing.T) {
	echo := "535 5.7.8 AGJvdABwYXNzLWNhbmFyeTdacTJ3Szl4NA== is user bot with " + mailPassword + "\x1b[31m" + strings.Repeat("x", 2000)
	for _, command := range []string{"AUTH", "MAIL", "END"} {
		p := openPost(t, "starttls", "bot", nil)
		p.server.Reply(command, echo, echo)
		err := p.deliver(outboxtest.Change(1))
		for e := err; e != nil; e = errors.Unwrap(e) {
			for _, secret := range []string{"canary", "AGJvd", "\x1b"} {
				if s := fmt.Sprintf("%+v %q %#v", e, e, e); strings.Contains(s, secret) {
					t.Errorf("%s: %q in %s", command, secret, s)
				}
			}
		}
		if err == nil || len(err.Error()) > 700 {
			t.Errorf("%s: %d bytes", command, len(fmt.Sprint(err)))
		}
	}
}

func TestAServerThatTalksWithoutEndIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		go func() {
			for block := bytes.Repeat([]byte("2"), 4096); ; {
				if _, err := far.Write(block); err != nil {
					return
				}
			}
		}()
		p := openPost(t, "none", "", nil)
		p.receiver.options.Dial = func(context.Context, string, string) (net.Conn, error) { return near, nil }
		start := time.Now()
		if err := p.deliver(outboxtest.Change(1)); err == nil || !strings.Contains(err.Error(), "more than any answer") {
			t.Errorf("%v", err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
		_ = far.Close()
	})
}

func TestAMailServerThatCannotBeReachedIsRetried(t *testing.T) {
	p := openPost(t, "none", "", nil)
	p.receiver.options.Dial = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	err := p.deliver(outboxtest.Change(1))
	if got, _ := outbox.Classify(err); got != outbox.Retry || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%s (%v)", got, err)
	}
}
