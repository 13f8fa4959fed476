package notify

import (
	"errors"
	"net"
	"net/mail"
	"strconv"
	"strings"

	"basewatch/internal/secret"
)

// EmailConfig is a [notify.NAME] of kind "email".
type EmailConfig struct {
	// Host is the mail server that takes mail for everybody, such as
	// smtp.example.com, without a port.
	Host string `koanf:"host"`
	// Port is 0 for the usual one of TLS: 587 for starttls, 465 for tls, 25 for
	// the others.
	Port int `koanf:"port"`
	// TLS is "starttls" (nothing is sent when the server has no TLS), "tls"
	// (from the first byte), "opportunistic" (if the server offers it), "none".
	TLS string `koanf:"tls"`
	// Username and Password are for AUTH; both or none.
	Username string        `koanf:"username"`
	Password secret.Secret `koanf:"password"`
	// From is an address, or "Name <address>".
	From string `koanf:"from"`
	// To is who gets the mail unless a route names an address: NAME:ADDRESS.
	To []string `koanf:"to"`
	// Title and Body are templates of subject and text; see [Fields].
	Title string `koanf:"title"`
	Body  string `koanf:"body"`
}

// DefaultEmailConfig is what holds where nothing is written.
func DefaultEmailConfig() EmailConfig { return EmailConfig{TLS: "starttls"} }

// maxRecipients bounds To: one mail is one attempt.
const maxRecipients = 50

// Validate checks the configuration and reads its secrets once. All mistakes
// come joined, each an *outbox.ConfigError; none shows a secret.
func (c EmailConfig) Validate() error {
	errs := c.validateServer()
	if c.From == "" {
		errs = append(errs, mistake("from", "an email receiver needs a from, such as basewatch@example.com"))
	} else if err := CheckMailAddress(c.From); err != nil {
		errs = append(errs, mistake("from", "%v", err))
	}
	if len(c.To) == 0 {
		errs = append(errs, mistake("to", `an email receiver needs at least one address, such as to = ["ops@example.com"]`))
	}
	if len(c.To) > maxRecipients {
		errs = append(errs, mistake("to", "%d addresses are too many for one mail (at most %d); use a mailing list", len(c.To), maxRecipients))
	}
	for _, to := range c.To {
		if err := CheckMailAddress(to); err != nil {
			errs = append(errs, mistake("to", "%v", err))
		}
	}
	if _, err := newWords(c.Title, c.Body, plainDialect()); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (c EmailConfig) validateServer() []error {
	var errs []error
	switch {
	case c.Host == "":
		errs = append(errs, mistake("host", "an email receiver needs a host, such as smtp.example.com"))
	case strings.ContainsAny(c.Host, "/@ \t") || strings.Contains(c.Host, ":") && net.ParseIP(c.Host) == nil:
		errs = append(errs, mistake("host", "%q is no name of a host; write smtp.example.com, and the port as port = 587", c.Host))
	}
	if c.Port < 0 || c.Port > 65535 {
		errs = append(errs, mistake("port", "%d is no port", c.Port))
	}
	switch c.TLS {
	case "starttls", "tls", "opportunistic", "none":
	default:
		errs = append(errs, mistake("tls", "%q is none of starttls, tls, opportunistic, none", c.TLS))
	}
	switch {
	case c.Username == "" && c.Password.IsZero():
	case c.Username == "":
		errs = append(errs, mistake("username", "password is set and username is not"))
	case c.Password.IsZero():
		errs = append(errs, mistake("password", "username is set and password is not"))
	case c.TLS == "none":
		errs = append(errs, mistake("tls", `"none" would send the password in the clear; use starttls or tls, or take username and password out`))
	default:
		if _, err := c.Password.Value(); err != nil {
			errs = append(errs, mistake("password", "%v", err))
		}
	}
	return errs
}

// CheckMailAddress tells what is wrong with the address of one mailbox.
func CheckMailAddress(s string) error {
	if a, err := mail.ParseAddress(s); err != nil || !strings.Contains(a.Address, "@") || len(s) > 320 || strings.ContainsAny(s, "\r\n") {
		return errors.New(strconv.Quote(s) + " is no mail address; write ops@example.com")
	}
	return nil
}

// HostPort is the host:port that this receiver calls.
func (c EmailConfig) HostPort() string {
	port := c.Port
	if port == 0 {
		port = map[string]int{"starttls": 587, "tls": 465}[c.TLS]
	}
	if port == 0 {
		port = 25
	}
	return net.JoinHostPort(c.Host, strconv.Itoa(port))
}
