package standin

import (
	"crypto/tls"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Go's own client is the judge of the server.
func TestMailServerSpeaksSMTPWithTLSAndAuth(t *testing.T) {
	ca, err := NewCA()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Certificate("localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	m := NewMail(MailConfig{Certificate: &cert, Username: "bot", Password: "secret"})
	address, stop := ServeMail(m)
	defer stop()
	send := func(password, to, body string) error {
		c, err := smtp.Dial(address)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		if err := c.StartTLS(&tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS12}); err != nil {
			return err
		}
		if err := c.Auth(smtp.PlainAuth("", "bot", password, "127.0.0.1")); err != nil {
			return err
		}
		if err := c.Mail("a@example.com"); err != nil {
			return err
		}
		if err := c.Rcpt(to); err != nil {
			return err
		}
		w, err := c.Data()
		if err != nil {
			return err
		}
		_, _ = w.Write([]byte(body))
		if err := w.Close(); err != nil {
			return err
		}
		return c.Quit()
	}
	if err := send("wrong", "b@example.com", "x"); code(err) != 535 {
		t.Errorf("a wrong password: %v", err)
	}
	m.Reply("RCPT", "550 5.1.1 no such user")
	if err := send("secret", "c@example.com", "x"); code(err) != 550 {
		t.Errorf("a scripted refusal: %v", err)
	}
	if err := send("secret", "b@example.com", "Subject: x\r\n\r\n.dot\r\n"); err != nil {
		t.Fatal(err)
	}
	got := m.Messages()
	if len(got) != 1 {
		t.Fatalf("%d messages", len(got))
	}
	got[0].At = got[0].At.UTC().Truncate(0)
	want := MailMessage{At: got[0].At, From: "a@example.com", To: []string{"b@example.com"}, Data: "Subject: x\r\n\r\n.dot\r\n", TLS: true, User: "bot"}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func TestMailServerRefusesWhatComesOutOfOrder(t *testing.T) {
	m := NewMail(MailConfig{})
	address, stop := ServeMail(m)
	defer stop()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	c := textproto.NewConn(conn)
	for _, step := range [][2]string{{"", "220"}, {"DATA", "503"}, {"STARTTLS", "502"}, {"AUTH CRAM-MD5", "504"}, {"VRFY x", "502"}, {"QUIT", "221"}} {
		if step[0] != "" {
			if err := c.PrintfLine("%s", step[0]); err != nil {
				t.Fatal(err)
			}
		}
		if line, err := c.ReadLine(); err != nil || !strings.HasPrefix(line, step[1]) {
			t.Errorf("%s: %q (%v), want %s", step[0], line, err, step[1])
		}
	}
}

func code(err error) int {
	if te, ok := err.(*textproto.Error); ok { //nolint:errorlint // net/smtp wraps nothing
		return te.Code
	}
	return 0
}
