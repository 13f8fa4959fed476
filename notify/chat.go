package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"basewatch/internal/outbound"
	"basewatch/internal/outbox"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/discord"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// Chat tells people through any service that shoutrrr knows, in plain text.
// Several deliveries become one message. Safe for concurrent use.
//
// shoutrrr builds the requests; we send them, so that contexts, statuses and
// Retry-After count as with every other receiver: 400, 401, 403, 404 and 410
// are permanent, all else but 2xx is retried, redirects too. What a service
// refuses with status 200 is retried as well.
type Chat struct {
	config  ChatConfig
	options Options
	http    *http.Client
	board   *Switchboard
	words   words
}

var _ outbox.Digester = (*Chat)(nil)

// NewChat makes a receiver of a configuration, which it validates.
// http.DefaultTransport must be a [Switchboard].
func NewChat(c ChatConfig, o Options) (*Chat, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	board, ok := http.DefaultTransport.(*Switchboard) //nolint:forbidigo // to see that it is not used
	if !ok {
		return nil, errors.New("chat receivers need a Switchboard as http.DefaultTransport")
	}
	t, err := c.target()
	if err != nil {
		return nil, err
	}
	w, err := newWords(c.Title, c.Body, chatDialect(t.service.markdown))
	if err != nil {
		return nil, err
	}
	return &Chat{config: c, options: o, http: o.client(), board: board, words: w}, nil
}

// Deliver tells one event.
func (c *Chat) Deliver(ctx context.Context, d outbox.Delivery) (outbox.Receipt, error) {
	return outbox.Receipt{}, c.send(ctx, c.words.apply(tell(d, c.options.Instance, false), d, c.options))
}

// Digest tells all of ds, which are of one lane, in one message.
func (c *Chat) Digest(ctx context.Context, ds []outbox.Delivery) (outbox.Receipt, error) {
	if len(ds) == 0 {
		return outbox.Receipt{}, nil
	}
	return outbox.Receipt{}, c.send(ctx, tellAll(ds, c.options.Instance))
}

func (c *Chat) send(ctx context.Context, s story) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t, err := c.config.target()
	if err != nil {
		return fmt.Errorf("url: %w", err)
	}
	a := &chatAttempt{ctx: ctx, http: c.http, host: t.service.host(t.url), secrets: t.secrets, agent: c.options.userAgent()}
	end, err := c.board.take(ctx, a.host, a)
	if err != nil {
		return fmt.Errorf("waiting for another message to %s: %w", a.host, err)
	}
	defer end()
	return a.outcome(t, t.send(a, s))
}

// send lets shoutrrr build and send the message. Some of its services panic
// where a request fails (zulip closes an answer that there is not).
func (t chatTarget) send(a *chatAttempt, s story) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("shoutrrr panicked: %v", p)
		}
	}()
	sender, err := t.open()
	if err != nil {
		return err
	}
	a.attach(sender)
	title, body := t.service.render(s)
	params := types.Params{}
	if t.service.title || t.scheme == "generic" { // there the title counts for template=json
		params.SetTitle(title)
	}
	return sender.Send(body, &params)
}

// chatAttempt sends the requests of one attempt and remembers what became of
// them. After the first failure it sends no more: shoutrrr's own retries know
// neither our schedule nor the service's.
type chatAttempt struct {
	ctx     context.Context //nolint:containedctx // shoutrrr has no place for it
	http    *http.Client
	host    string
	secrets []string
	agent   string

	mu   sync.Mutex
	sent int
	err  error
}

// attach gives itself to the services that bring a transport of their own.
func (a *chatAttempt) attach(sender types.Service) {
	switch s := sender.(type) {
	case *discord.Service:
		s.HTTPClient, s.Sleeper = &http.Client{Transport: a}, noSleep{}
	case interface{ SetHTTPClient(c *http.Client) }: // ntfy, pagerduty
		s.SetHTTPClient(&http.Client{Transport: a})
	case interface{ GetHTTPClient() *http.Client }: // gotify, mattermost
		if client := s.GetHTTPClient(); client != nil {
			client.Transport = a
		}
	}
}

// noSleep keeps Discord's client from waiting before it tries again: what it
// waits for has failed for good.
type noSleep struct{}

// Sleep returns at once.
func (noSleep) Sleep(time.Duration) {}

// RoundTrip sends a request through the receiver's client, with the attempt's
// context, and turns every answer but 2xx into an error.
func (a *chatAttempt) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Body != nil {
		defer func() { _ = r.Body.Close() }()
	}
	if a.err != nil {
		return nil, errStopped()
	}
	resp, err := a.do(r)
	if err != nil {
		a.err = err
		return nil, errStopped()
	}
	a.sent++
	return resp, nil
}

// errStopped is what shoutrrr sees of a failure: enough to give up. Ours says
// what it was.
func errStopped() error { return errors.New("not sent") }

func (a *chatAttempt) do(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	req := r.Clone(ctx)
	req.RequestURI = ""
	req.Header.Set("User-Agent", a.agent)
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, outbound.Redact(err)
	}
	defer func() { _ = resp.Body.Close() }()
	defer time.AfterFunc(answerTime, cancel).Stop()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, readAnswer(resp, a.secrets).failure(a.host, chatPermanent()...)
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, chatAnswer))
	whole := *resp
	whole.Body, whole.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return &whole, nil
}

// chatAnswer is how much of an answer shoutrrr gets to read, in bytes.
const chatAnswer = 256 << 10

// chatPermanent lists the statuses by which services refuse for good: a bad
// message, a wrong token, an unknown or deleted room.
func chatPermanent() []int { return []int{400, 401, 403, 404, 410} }

// outcome says what follows from an attempt. What went wrong on the way is ours
// to say; only where nothing did, shoutrrr's own words count.
func (a *chatAttempt) outcome(t chatTarget, err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.err != nil:
		return a.err
	case err != nil:
		return fmt.Errorf("%s at %s: %s", t.scheme, a.host, t.clean(err.Error()))
	case a.sent == 0:
		return fmt.Errorf("%s at %s: nothing was sent", t.scheme, a.host)
	}
	return nil
}
