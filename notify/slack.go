package notify

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"basewatch/internal/outbox"
)

// Slack tells a Slack channel: through an incoming webhook, or with a bot token
// into any channel, with later news of a change in its thread. Several
// deliveries become one message. Safe for concurrent use.
//
// 400, 403, 404 and 410 are permanent, and so are the API's words for a wrong
// token, channel or message; 429 is obeyed; all else is retried. Slack cannot
// tell a repeat: when an answer is lost, the message may come twice.
type Slack struct {
	config  SlackConfig
	http    *http.Client
	api     *url.URL
	options Options
	words   words
}

var _ outbox.Digester = (*Slack)(nil)

// NewSlack makes a receiver of a configuration, which it validates.
func NewSlack(c SlackConfig, o Options) (*Slack, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	api, err := c.api()
	if err != nil {
		return nil, err
	}
	w, err := newWords(c.Title, c.Body, slackDialect())
	if err != nil {
		return nil, err
	}
	return &Slack{config: c, http: o.client(), api: api, options: o, words: w}, nil
}

// Deliver tells one event. With a bot token the receipt says where the message
// is, and a delivery with a root becomes a reply to it.
func (s *Slack) Deliver(ctx context.Context, d outbox.Delivery) (outbox.Receipt, error) {
	told := tell(d, s.options.Instance, s.config.Detail == "full")
	return s.send(ctx, d, renderSlack(s.words.apply(told, d, s.options)))
}

// Digest tells all of ds, which are of one lane, in one message at the top of
// the channel.
func (s *Slack) Digest(ctx context.Context, ds []outbox.Delivery) (outbox.Receipt, error) {
	if len(ds) == 0 {
		return outbox.Receipt{}, nil
	}
	top := ds[0]
	top.Root = nil
	return s.send(ctx, top, renderSlack(tellAll(ds, s.options.Instance)))
}

func (s *Slack) send(ctx context.Context, d outbox.Delivery, m slackMessage) (outbox.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return outbox.Receipt{}, err
	}
	if s.config.Threads() {
		return s.sendAPI(ctx, d, m)
	}
	if d.Address != "" {
		return outbox.Receipt{}, outbox.Permanent(errors.New("an incoming webhook has one channel; to choose one use token + channel"))
	}
	return outbox.Receipt{}, s.sendHook(ctx, m)
}
