package standin

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxMail     = 1 << 20 // bytes of one message
	maxMailLine = 4096
)

// MailConfig says what a mail server asks for. The zero MailConfig takes
// everything from everybody, without TLS.
type MailConfig struct {
	// Certificate makes it offer STARTTLS, or begin with TLS when Implicit.
	Certificate *tls.Certificate
	Implicit    bool
	// Username and Password must be given by AUTH PLAIN or LOGIN before any
	// mail, which is offered only under TLS.
	Username, Password string
}

// Mail is a mail server that speaks SMTP (RFC 5321) with STARTTLS and AUTH, and
// keeps what it is sent.
type Mail struct {
	config MailConfig
	taken  journal[MailMessage]

	mu      sync.Mutex
	replies map[string][]string
	conns   map[net.Conn]bool
	seen    []string
	closed  bool
	running sync.WaitGroup
}

// MailMessage is one message that was taken.
type MailMessage struct {
	At   time.Time
	From string
	To   []string
	// Data is header and body as they came, dots unstuffed, with CR LF.
	Data string
	TLS  bool
	User string // who sent it, where AUTH was asked for
}

// NewMail makes a mail server; [Mail.Serve] opens it.
func NewMail(c MailConfig) *Mail {
	return &Mail{config: c, replies: map[string][]string{}, conns: map[net.Conn]bool{}}
}

// Reply makes the next use of a command get an answer instead of the usual one,
// such as Reply("RCPT", "550 5.1.1 no such user"); more replies answer later
// uses. The greeting is the command "CONNECT", the end of a message "END". The
// reply "" cuts the connection, "hang" says nothing until it is closed. A
// message that ends with "" is taken, and only its answer lost.
func (m *Mail) Reply(command string, replies ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.replies[command] = append(m.replies[command], replies...)
}

// Heal drops the replies that have not been used.
func (m *Mail) Heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.replies = map[string][]string{}
}

// Commands lists the commands that came, without what follows them.
func (m *Mail) Commands() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.seen)
}

// Messages lists what was taken, oldest first.
func (m *Mail) Messages() []MailMessage { return m.taken.all() }

// Wait returns all messages as soon as n were taken.
func (m *Mail) Wait(ctx context.Context, n int) ([]MailMessage, error) { return m.taken.wait(ctx, n) }

// Serve answers on l until Close.
func (m *Mail) Serve(l net.Listener) {
	m.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if !m.open(conn) {
				_ = conn.Close()
				continue
			}
			m.running.Go(func() {
				defer m.done(conn)
				m.talk(conn)
			})
		}
	})
}

// ServeMail serves m on a free loopback port and gives its host:port and what
// ends it.
func ServeMail(m *Mail) (hostport string, closeServer func()) {
	l := listenLoopback()
	m.Serve(l)
	return l.Addr().String(), func() { _ = l.Close(); m.Close() }
}

// Close cuts all connections and waits for them. The listener is closed by who
// opened it, before.
func (m *Mail) Close() {
	m.mu.Lock()
	m.closed = true
	for c := range m.conns {
		_ = c.Close()
	}
	m.mu.Unlock()
	m.running.Wait()
}

func (m *Mail) open(c net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.conns[c] = true
	}
	return !m.closed
}

func (m *Mail) done(c net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = c.Close()
	delete(m.conns, c)
}

// scripted takes the next reply for a command.
func (m *Mail) scripted(command string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if command != "CONNECT" && command != "END" {
		m.seen = append(m.seen, command)
	}
	rs := m.replies[command]
	if len(rs) == 0 {
		return "", false
	}
	m.replies[command] = rs[1:]
	return rs[0], true
}

// mailTalk is one connection.
type mailTalk struct {
	*Mail
	conn net.Conn
	in   *bufio.Reader
	tls  bool
	user string
	mail MailMessage
}

func (m *Mail) talk(conn net.Conn) {
	t := &mailTalk{Mail: m, conn: conn}
	if m.config.Implicit && !t.handshake() {
		return
	}
	t.in = bufio.NewReaderSize(t.conn, maxMailLine)
	if !t.answer("CONNECT", "220 mail.example.com ESMTP") {
		return
	}
	for {
		line, ok := t.line()
		if !ok {
			return
		}
		command, rest, _ := strings.Cut(line, " ")
		if !t.command(strings.ToUpper(command), rest) {
			return
		}
	}
}

func (t *mailTalk) handshake() bool {
	secured := tls.Server(t.conn, &tls.Config{Certificates: []tls.Certificate{*t.config.Certificate}, MinVersion: tls.VersionTLS12})
	if secured.HandshakeContext(context.Background()) != nil {
		return false
	}
	t.conn, t.in, t.tls = secured, bufio.NewReaderSize(secured, maxMailLine), true
	return true
}

func (t *mailTalk) line() (string, bool) {
	line, err := t.in.ReadSlice('\n')
	return strings.TrimRight(string(line), "\r\n"), err == nil
}

// answer says the scripted reply or else the usual one, and reports whether the
// talk goes on.
func (t *mailTalk) answer(command, usual string) bool {
	if reply, ok := t.scripted(command); ok {
		usual = reply
	}
	return t.say(usual)
}

func (t *mailTalk) say(reply string) bool {
	switch reply {
	case "":
		return false
	case "hang":
		_, _ = io.Copy(io.Discard, t.conn)
		return false
	}
	_, err := io.WriteString(t.conn, strings.ReplaceAll(reply, "\n", "\r\n")+"\r\n")
	return err == nil && !strings.HasPrefix(reply, "421")
}

func (t *mailTalk) command(command, rest string) bool {
	switch command {
	case "EHLO":
		return t.answer(command, t.extensions())
	case "STARTTLS":
		if t.config.Certificate == nil {
			return t.answer(command, "502 no TLS here")
		}
		return t.answer(command, "220 go ahead") && t.handshake()
	case "AUTH":
		return t.auth(rest)
	case "MAIL":
		if t.config.Username != "" && t.user == "" {
			return t.answer(command, "530 5.7.0 authentication required")
		}
		t.mail = MailMessage{From: angled(rest), TLS: t.tls, User: t.user}
		return t.answer(command, "250 2.1.0 ok")
	case "RCPT":
		if reply, ok := t.scripted(command); ok {
			return t.say(reply)
		}
		t.mail.To = append(t.mail.To, angled(rest))
		return t.say("250 2.1.5 ok")
	case "DATA":
		return t.data()
	case "RSET", "NOOP":
		return t.answer(command, "250 ok")
	case "QUIT":
		t.answer(command, "221 bye")
		return false
	}
	return t.answer(command, "502 5.5.1 unknown command")
}

func (t *mailTalk) extensions() string {
	lines := []string{"250-mail.example.com", "250-8BITMIME", "250-ENHANCEDSTATUSCODES"}
	if t.config.Certificate != nil && !t.tls {
		lines = append(lines, "250-STARTTLS")
	}
	if t.config.Username != "" && t.tls {
		lines = append(lines, "250-AUTH PLAIN LOGIN")
	}
	return strings.Join(append(lines, "250 SIZE 1048576"), "\n")
}

func (t *mailTalk) auth(rest string) bool {
	mechanism, initial, _ := strings.Cut(rest, " ")
	var user, password string
	switch strings.ToUpper(mechanism) {
	case "PLAIN":
		if initial == "" && !t.ask("334 ", &initial) {
			return false
		}
		raw, _ := base64.StdEncoding.DecodeString(initial)
		if parts := strings.Split(string(raw), "\x00"); len(parts) == 3 {
			user, password = parts[1], parts[2]
		}
	case "LOGIN":
		if !t.ask("334 VXNlcm5hbWU6", &user) || !t.ask("334 UGFzc3dvcmQ6", &password) {
			return false
		}
		user, password = decoded(user), decoded(password)
	default:
		return t.answer("AUTH", "504 5.5.4 unknown mechanism")
	}
	if user != t.config.Username || password != t.config.Password {
		return t.answer("AUTH", "535 5.7.8 wrong user or password")
	}
	t.user = user
	return t.answer("AUTH", "235 2.7.0 welcome")
}

func (t *mailTalk) ask(prompt string, into *string) bool {
	if !t.say(prompt) {
		return false
	}
	line, ok := t.line()
	*into = line
	return ok
}

func (t *mailTalk) data() bool {
	if len(t.mail.To) == 0 {
		return t.answer("DATA", "503 5.5.1 nobody to send it to")
	}
	if reply, ok := t.scripted("DATA"); ok {
		return t.say(reply)
	}
	if !t.say("354 end with a dot") {
		return false
	}
	var data strings.Builder
	for {
		line, err := t.in.ReadString('\n')
		if err != nil || data.Len()+len(line) > maxMail {
			return false
		}
		if line == ".\r\n" {
			break
		}
		data.WriteString(strings.TrimPrefix(line, "."))
	}
	reply, scripted := t.scripted("END")
	if scripted && reply != "" {
		return t.say(reply)
	}
	t.mail.Data, t.mail.At = data.String(), time.Now()
	t.taken.add(t.mail)
	if scripted && reply == "" {
		return false // taken, and its answer lost
	}
	return t.say(fmt.Sprintf("250 2.0.0 taken as %d", len(t.taken.all())))
}

func angled(s string) string {
	_, s, _ = strings.Cut(s, "<")
	s, _, _ = strings.Cut(s, ">")
	return s
}

func decoded(s string) string {
	raw, _ := base64.StdEncoding.DecodeString(s)
	return string(raw)
}
