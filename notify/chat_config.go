package notify

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"basewatch/internal/secret"
	"basewatch/internal/text"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// ChatConfig is a [notify.NAME] of kind "chat": a service that shoutrrr knows.
type ChatConfig struct {
	// URL is the service's, in the form of shoutrrr, such as
	// ntfy://ntfy.example.com/topic. It holds secrets.
	URL secret.Secret `koanf:"url"`
	// Title and Body are templates of title and text; see [Fields].
	Title string `koanf:"title"`
	Body  string `koanf:"body"`
}

// Validate checks the configuration and reads its secret once. All mistakes
// come joined, each an *outbox.ConfigError; none shows the URL.
func (c ChatConfig) Validate() error {
	var errs []error
	if c.URL.IsZero() {
		errs = append(errs, mistake("url", "a chat receiver needs a url, such as ntfy://ntfy.example.com/topic"))
	} else if err := c.check(); err != nil {
		errs = append(errs, mistake("url", "%v", err))
	}
	if _, err := newWords(c.Title, c.Body, chatDialect(true)); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Host is the host[:port] that this receiver calls.
func (c ChatConfig) Host() (string, error) {
	t, err := c.target()
	if err != nil {
		return "", err
	}
	return t.service.host(t.url), nil
}

func (c ChatConfig) check() error {
	t, err := c.target()
	switch {
	case err != nil:
		return err
	case t.service.host(t.url) == "":
		return fmt.Errorf("a %s URL needs a host", t.scheme)
	case t.scheme == "telegram" && t.url.Query().Has("parsemode"):
		return errors.New("parsemode is not supported: messages are plain text")
	case t.scheme == "matrix":
		return nil // shoutrrr logs in when it reads the URL
	}
	_, err = t.open()
	return err
}

// chatTarget is the URL of a service, read.
type chatTarget struct {
	scheme  string
	service chatService
	url     *url.URL
	sender  types.Service
	secrets []string
}

// target reads the secret anew. It sends nothing, and no error shows the URL.
func (c ChatConfig) target() (chatTarget, error) {
	raw, err := c.URL.Value()
	if err != nil {
		return chatTarget{}, err
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" {
		return chatTarget{}, errors.New("not a URL of shoutrrr; write one such as ntfy://ntfy.example.com/topic")
	}
	scheme, _, custom := strings.Cut(u.Scheme, "+")
	t := chatTarget{scheme: scheme, url: u, secrets: append(urlSecrets(u), chatWords(u)...)}
	if kind := chatElsewhere(scheme); kind != "" {
		return t, fmt.Errorf("%s is not sent through shoutrrr; use kind = %q", scheme, kind)
	}
	var ok bool
	if t.service, ok = chatServices()[scheme]; !ok {
		return t, unknownService(scheme)
	}
	if t.service.host(u) != u.Host && u.Host != "" && u.Host != scheme {
		t.secrets = append(t.secrets, u.Host) // ifttt://KEY, wecom://KEY
	}
	if t.sender, err = (&router.ServiceRouter{}).NewService(scheme); err != nil {
		return t, unknownService(scheme)
	}
	if !custom {
		return t, nil
	}
	own, ok := t.sender.(types.CustomURLService)
	if !ok {
		return t, fmt.Errorf("%s takes no URL of the form %s+https", scheme, scheme)
	}
	if t.url, err = own.GetConfigURLFromCustom(u); err != nil {
		return t, t.refused(err)
	}
	return t, nil
}

// open makes the sender ready. Matrix logs in here.
func (t chatTarget) open() (types.Service, error) {
	read := *t.url // shoutrrr writes into it
	if err := t.sender.Initialize(&read, nil); err != nil {
		return nil, t.refused(err)
	}
	return t.sender, nil
}

// refused is shoutrrr's complaint about a URL, without what may be secret in it.
func (t chatTarget) refused(err error) error {
	return fmt.Errorf("not a URL for %s: %s", t.scheme, t.clean(err.Error()))
}

func (t chatTarget) clean(said string) string {
	return text.Plain(hide(said, t.secrets), answerLimit)
}

// chatWords are more parts of a URL that may be secret than in one of the web:
// there are tokens of few letters.
func chatWords(u *url.URL) []string {
	words := []string{u.Opaque, u.Fragment}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if len(segment) >= 4 {
			words = append(words, segment)
		}
	}
	return words
}

func unknownService(scheme string) error {
	known := "known are " + strings.Join(chatSchemes(), ", ")
	if near := text.Nearest(scheme, chatSchemes(), 2, 1); len(near) > 0 {
		known = fmt.Sprintf("did you mean %q?", near[0])
	}
	return fmt.Errorf("no service %q; %s", text.Plain(text.Cut(scheme, 20), 0), known)
}

// chatDialect is plain text, or text that is markup at the service.
func chatDialect(markdown bool) dialect {
	if markdown {
		return dialect{escape: inert}
	}
	return plainDialect()
}
