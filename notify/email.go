package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"basewatch/internal/outbound"
	"basewatch/internal/outbox"
	"basewatch/internal/text"

	"github.com/wneessen/go-mail"
)

// mailTime is how long an attempt takes at most where its context sets no end.
const mailTime = 30 * time.Second

// Email sends mail through one server, one connection a message. Several
// deliveries become one mail. Safe for concurrent use.
//
// The Message-ID is the delivery's, the same in every attempt, so that mail
// programs can drop a repeat. Of the server's refusals those of a message or
// of its addresses and of a password (5xx) are permanent; all others, and all
// failures of TLS and the network, are retried.
type Email struct {
	config  EmailConfig
	options Options
	words   words
}

var _ outbox.Digester = (*Email)(nil)

// NewEmail makes a receiver of a configuration, which it validates.
func NewEmail(c EmailConfig, o Options) (*Email, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	w, err := newWords(c.Title, c.Body, plainDialect())
	if err != nil {
		return nil, err
	}
	return &Email{config: c, options: o, words: w}, nil
}

// Deliver sends one mail.
func (m *Email) Deliver(ctx context.Context, d outbox.Delivery) (outbox.Receipt, error) {
	s := m.words.apply(tell(d, m.options.Instance, true), d, m.options)
	l := letter{id: d.ID, address: d.Address, story: s}
	if d.Thread != d.EventKey {
		// What began the thread went out under this ID, unless in a digest.
		l.reply = outbox.DeliveryID(d.Thread, d.Lane(), "")
	}
	return outbox.Receipt{}, m.send(ctx, l)
}

// Digest sends all of ds, which are of one lane, in one mail.
func (m *Email) Digest(ctx context.Context, ds []outbox.Delivery) (outbox.Receipt, error) {
	if len(ds) == 0 {
		return outbox.Receipt{}, nil
	}
	ids := make([]string, len(ds))
	for i, d := range ds {
		ids[i] = d.ID
	}
	id := outbox.DeliveryID(strings.Join(ids, "|"), ds[0].Lane(), "")
	return outbox.Receipt{}, m.send(ctx, letter{id: id, address: ds[0].Address, story: tellAll(ds, m.options.Instance)})
}

// send makes one attempt, and a second one when a refused password was rotated.
func (m *Email) send(ctx context.Context, l letter) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	msg, err := l.message(m.config, m.options)
	if err != nil {
		return outbox.Permanent(err)
	}
	password, err := m.password()
	if err != nil {
		return fmt.Errorf("password: %w", err)
	}
	err = m.attempt(ctx, msg, password)
	if !passwordRefused(err) {
		return m.outcome(err, password)
	}
	m.config.Password.Forget()
	if again, readErr := m.password(); readErr == nil && again != password {
		password = again
		err = m.attempt(ctx, msg, password)
	}
	return m.outcome(err, password)
}

func (m *Email) password() (string, error) {
	if m.config.Username == "" {
		return "", nil
	}
	return m.config.Password.Value()
}

// attempt is one connection. It ends with ctx, whatever it is waiting for, and
// is closed in the end: go-mail leaves it open where an attempt fails.
func (m *Email) attempt(ctx context.Context, msg *mail.Msg, password string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, mailTime)
	defer cancel()
	defer func() {
		if ctx.Err() != nil && err != nil {
			err = ctx.Err()
		}
	}()
	var conn net.Conn
	dial := func(dialing context.Context, network, address string) (net.Conn, error) {
		c, err := m.options.dial(dialing, network, address)
		if err != nil {
			return nil, err
		}
		conn = &boundedConn{Conn: c, left: mailAnswers}
		context.AfterFunc(ctx, func() { _ = c.Close() })
		if m.config.TLS == "tls" {
			return tls.Client(conn, m.tls()), nil
		}
		return conn, nil
	}
	client, err := mail.NewClient(m.config.Host, m.clientOptions(dial, password)...)
	if err != nil {
		return err
	}
	talk, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return err
	}
	if err := client.SendWithSMTPClient(talk, msg); err != nil {
		return sendError(err)
	}
	// The message is taken; a server that does not say goodbye gets a moment.
	_ = conn.SetDeadline(time.Now().Add(answerTime))
	_ = talk.Quit()
	return nil
}

// clientOptions leave the time to the context: the library's own limit is
// beyond it.
func (m *Email) clientOptions(dial mail.DialContextFunc, password string) []mail.Option {
	_, port, _ := net.SplitHostPort(m.config.HostPort())
	number, _ := strconv.Atoi(port)
	o := []mail.Option{
		mail.WithPort(number), mail.WithTimeout(2 * mailTime), mail.WithHELO(helo(m.options.Instance)),
		mail.WithDialContextFunc(dial), mail.WithTLSConfig(m.tls()), mail.WithoutNoop(), mail.WithoutRset(),
	}
	switch m.config.TLS {
	case "tls":
		o = append(o, mail.WithSSL())
	case "opportunistic":
		o = append(o, mail.WithTLSPolicy(mail.TLSOpportunistic))
	case "none":
		o = append(o, mail.WithTLSPolicy(mail.NoTLS))
	default:
		o = append(o, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if m.config.Username != "" {
		o = append(o, mail.WithUsername(m.config.Username), mail.WithPassword(password),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlain, mail.SMTPAuthLogin, mail.SMTPAuthCramMD5))
	}
	return o
}

// helo is a name to greet a server with: the instance's where it is fit for it.
func helo(instance string) string {
	if instance == "" || strings.Trim(instance, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") != "" {
		return "basewatch"
	}
	return instance
}

// refusal is a server's answer to a command.
type refusal struct {
	stage string
	code  int
	said  string
}

func (r *refusal) Error() string { return strings.TrimSpace(r.stage + " " + r.said) }

// sendError makes of go-mail's error, which holds the whole message, one that
// holds the answer. A message that was taken stays sent, whatever follows.
func sendError(err error) error {
	var se *mail.SendError
	if !errors.As(err, &se) {
		return err
	}
	said, _, _ := strings.Cut(se.Error(), ", affected ")
	_, said, _ = strings.Cut(said, ": ")
	stages := map[mail.SendErrReason]string{
		mail.ErrSMTPMailFrom: "MAIL FROM:", mail.ErrSMTPRcptTo: "RCPT TO:", mail.ErrSMTPData: "DATA:", mail.ErrSMTPDataClose: "DATA:",
	}
	return &refusal{stage: stages[se.Reason], code: se.ErrorCode(), said: said}
}

// passwordCodes are the answers to a wrong password, or one that is missing
// (RFC 4954).
func passwordCodes() []int { return []int{530, 534, 535, 538} }

func passwordRefused(err error) bool {
	code, _ := replyCode(err)
	return slices.Contains(passwordCodes(), code)
}

// replyCode is the code that the server answered, 0 if it did not; final tells
// that it was about this message or its sender, not about the server's state.
func replyCode(err error) (code int, final bool) {
	var r *refusal
	if errors.As(err, &r) {
		return r.code, true
	}
	var te *textproto.Error
	if errors.As(err, &te) {
		return te.Code, slices.Contains(passwordCodes(), te.Code)
	}
	return 0, false
}

// outcome says what follows from an attempt, in words without secrets.
func (m *Email) outcome(err error, password string) error {
	if err == nil {
		return nil
	}
	said := &mailError{host: m.config.HostPort(), said: m.clean(err, password), cause: outbound.Redact(cause(err))}
	if code, final := replyCode(err); final && code >= 500 && code <= 599 {
		return outbox.Permanent(said)
	}
	return said
}

// cause is what of an error others look for: the end of a context, or a failure
// of the network. What the server said stays out of it.
func cause(err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.As(err, &op):
		return op
	}
	return nil
}

func (m *Email) clean(err error, password string) string {
	secrets := []string{password, m.config.Username}
	for _, s := range slices.Clone(secrets) {
		secrets = append(secrets, smtpForms(s)...)
	}
	secrets = append(secrets, smtpForms("\x00"+m.config.Username+"\x00"+password)...)
	return text.Plain(hide(err.Error(), secrets), answerLimit)
}

type mailError struct {
	host, said string
	cause      error
}

func (e *mailError) Error() string { return "mail to " + e.host + ": " + e.said }
func (e *mailError) Unwrap() error { return e.cause }

func (m *Email) tls() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if m.options.TLS != nil {
		c = m.options.TLS.Clone()
	}
	c.ServerName = m.config.Host
	return c
}

// mailAnswers is how much a server may say during one attempt, TLS included, in
// bytes: go-mail reads lines of any length.
const mailAnswers = 256 << 10

type boundedConn struct {
	net.Conn
	left int
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errors.New("the server says more than any answer needs")
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
