package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"basewatch/internal/standin"
)

// TestMailAndChatAreToldAndTheHeartbeatGoesOn: while the mail server is down the
// chat hears of each change once and the heartbeat goes on; when it is back the
// mail comes, in a summary that says that it is late.
func TestMailAndChatAreToldAndTheHeartbeatGoesOn(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		mail := standin.NewMail(standin.MailConfig{})
		l := w.net.Listen("mail.example.com:25")
		mail.Serve(l)
		defer func() { _ = l.Close(); mail.Close() }()
		var chat messages
		var beats atomic.Int64
		for _, s := range []*standin.Server{
			standin.ServeOn(w.net.Listen("hc.example.com:80"), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { beats.Add(1) })),
			standin.ServeOn(w.net.Listen("ntfy.example.com:80"), http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				chat.add(r.Header.Get("Title") + "\n" + string(body))
				fmt.Fprint(rw, `{"id":"x"}`)
			})),
		} {
			defer s.Close()
		}
		refs := w.registry.Fleet(12, 1, onePlatform("1"))
		w.peopleConfig(watch("5m", refs))
		w.start()
		w.after(10 * time.Minute)
		mail.Reply("MAIL", slices.Repeat([]string{"451 4.3.0 later"}, 60)...)
		for i, ref := range refs {
			repo, tag, _ := strings.Cut(ref, ":")
			w.registry.Push(repo, tag, onePlatform(fmt.Sprint("2-", i)))
		}
		w.after(time.Hour)
		for _, ref := range refs {
			if n := strings.Count(chat.all(), ref+" changed"); n != 1 {
				t.Errorf("the chat heard %d times of %s", n, ref)
			}
		}
		if n := beats.Load(); n < 65 {
			t.Errorf("%d heartbeats in 70 minutes", n)
		}
		if n := len(mail.Messages()); n != 0 {
			t.Errorf("%d mails came through", n)
		}
		mail.Heal()
		w.after(20 * time.Minute)
		subjects := mailSubjects(mail)
		if n := len(subjects); n == 0 || n > 3 || !strings.Contains(strings.Join(subjects, "\n"), "late") {
			t.Errorf("mails: %q", subjects)
		}
		seen := strings.Join(allMail(mail), "\n")
		for _, ref := range refs {
			if n := strings.Count(seen, ref); n == 0 {
				t.Errorf("no mail names %s", ref)
			}
		}
	})
}

// messages collects what a service was told.
type messages struct {
	mu   sync.Mutex
	said []string
}

func (m *messages) add(s string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.said = append(m.said, s)
}

func (m *messages) all() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.said, "\n")
}

func (w *world) peopleConfig(rest string) {
	w.t.Helper()
	config := fmt.Sprintf(`
name = "test"
[store]
path = %q
[registry.%q]
plain_http = true
per_minute = 0
[notify.mail]
kind = "email"
host = "mail.example.com"
tls = "none"
from = "basewatch@example.com"
to = ["ops@example.com"]
[notify.chat]
kind = "chat"
url = "ntfy://ntfy.example.com/base?disabletls=yes"
[heartbeat]
url = "http://hc.example.com/ping"
`, filepath.Join(w.dir, "test.db"), testRegistry) + rest
	if err := os.WriteFile(filepath.Join(w.dir, "basewatch.toml"), []byte(config), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func allMail(m *standin.Mail) []string {
	var all []string
	for _, msg := range m.Messages() {
		all = append(all, strings.ReplaceAll(msg.Data, "=\r\n", "")) // quoted-printable line ends
	}
	return all
}

func mailSubjects(m *standin.Mail) []string {
	var all []string
	for _, data := range allMail(m) {
		_, rest, _ := strings.Cut(strings.ReplaceAll(data, "\r\n ", " "), "Subject: ")
		subject, _, _ := strings.Cut(rest, "\r\n")
		all = append(all, subject)
	}
	return all
}
