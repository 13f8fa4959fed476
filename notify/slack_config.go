package notify

import (
	"errors"
	"net/url"
	"regexp"
	"strings"

	"basewatch/internal/secret"

	"github.com/slack-go/slack"
)

// SlackConfig is a [notify.NAME] of kind "slack": either WebhookURL, or Token
// and Channel.
type SlackConfig struct {
	// WebhookURL is an incoming webhook. It has one channel, and no threads.
	WebhookURL secret.Secret `koanf:"webhook_url"`
	// Token is a bot token with the scope chat:write.
	Token secret.Secret `koanf:"token"`
	// Channel is where messages go unless a route names another: "#name", a
	// name or an ID.
	Channel string `koanf:"channel"`
	// APIURL replaces https://slack.com/api/, for tests and proxies.
	APIURL string `koanf:"api_url"`
	// Detail is "short", or "full": with the digests of all moved platforms.
	Detail string `koanf:"detail"`
	// Title and Body are templates of header and sections; see [Fields].
	Title string `koanf:"title"`
	Body  string `koanf:"body"`
}

// DefaultSlackConfig is what holds where nothing is written.
func DefaultSlackConfig() SlackConfig { return SlackConfig{Detail: "short"} }

// Threads reports whether replies are possible, and NAME:ADDRESS in routes.
func (c SlackConfig) Threads() bool { return !c.Token.IsZero() }

// Validate checks the configuration and reads its secrets once. All mistakes
// come joined, each an *outbox.ConfigError; none shows a secret.
func (c SlackConfig) Validate() error {
	var errs []error
	switch {
	case c.WebhookURL.IsZero() && c.Token.IsZero():
		errs = append(errs, mistake("webhook_url", "a slack receiver needs webhook_url, or token + channel"))
	case !c.WebhookURL.IsZero() && !c.Token.IsZero():
		errs = append(errs, mistake("token", "webhook_url and token are both set; keep one"))
	case !c.WebhookURL.IsZero():
		errs = append(errs, c.validateHook()...)
	default:
		errs = append(errs, c.validateAPI()...)
	}
	if c.Detail != "short" && c.Detail != "full" {
		errs = append(errs, mistake("detail", "%q is neither short nor full", c.Detail))
	}
	if _, err := newWords(c.Title, c.Body, slackDialect()); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (c SlackConfig) validateHook() []error {
	var errs []error
	if _, err := endpoint(c.WebhookURL); err != nil {
		errs = append(errs, mistake("webhook_url", "%v", err))
	}
	if c.Channel != "" {
		errs = append(errs, mistake("channel", "an incoming webhook posts to the channel it was made for; use token + channel to choose one"))
	}
	if c.APIURL != "" {
		errs = append(errs, mistake("api_url", "only with token; an incoming webhook has its own URL"))
	}
	return errs
}

func (c SlackConfig) validateAPI() []error {
	var errs []error
	if _, err := c.Token.Value(); err != nil {
		errs = append(errs, mistake("token", "%v", err))
	}
	if c.Channel == "" {
		errs = append(errs, mistake("channel", `token needs a channel too, such as "#base-images"`))
	} else if !validChannel(c.Channel) {
		errs = append(errs, mistake("channel", `%q is no channel; write "#base-images" or an ID such as "C0123456789"`, c.Channel))
	}
	if _, err := c.api(); err != nil {
		errs = append(errs, mistake("api_url", "%v", err))
	}
	return errs
}

var channelName = regexp.MustCompile(`^#?[\p{L}\p{N}][\p{L}\p{N}\p{M}._-]{0,79}$`)

func validChannel(s string) bool { return channelName.MatchString(s) }

// Host is the host[:port] that this receiver calls.
func (c SlackConfig) Host() (string, error) {
	u, err := c.api()
	if !c.WebhookURL.IsZero() {
		u, err = endpoint(c.WebhookURL)
	}
	if err != nil {
		return "", err
	}
	return u.Host, nil
}

// api is the base URL of the Web API, with a slash at its end, as slack-go
// wants it.
func (c SlackConfig) api() (*url.URL, error) {
	raw := c.APIURL
	if raw == "" {
		raw = slack.APIURL
	}
	u, err := parseEndpoint(raw)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	return u, nil
}
