package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"basewatch/internal/outbound"
	"basewatch/internal/outbox"
	"basewatch/internal/text"

	"github.com/slack-go/slack"
)

const (
	// slackPause is the wait after a rate limit that names none.
	slackPause = 30 * time.Second
	// apiLimit is how much of an answer of the API is read, in bytes.
	apiLimit = 256 << 10
)

// slackPlace is where a message is: what a receipt keeps.
type slackPlace struct {
	Channel string `json:"channel"`
	TS      string `json:"ts"`
}

// sendAPI posts with the bot token: as a reply to the root where there is one,
// at the top of the channel otherwise. A root that takes no replies any more
// (somebody deleted it) is replaced by this message.
func (s *Slack) sendAPI(ctx context.Context, d outbox.Delivery, m slackMessage) (outbox.Receipt, error) {
	place := slackPlace{Channel: s.config.Channel}
	if d.Address != "" {
		place.Channel = d.Address
	}
	if root := rootPlace(d.Root); root != nil {
		at, err := s.post(ctx, *root, m)
		if !threadRefused(err) {
			return receipt(at, false), err
		}
		at, err = s.post(ctx, place, m)
		return receipt(at, err == nil), err
	}
	at, err := s.post(ctx, place, m)
	return receipt(at, false), err
}

// rootPlace is where a thread began, nil when that cannot be replied to.
func rootPlace(r *outbox.Receipt) *slackPlace {
	var p slackPlace
	if r == nil || json.Unmarshal(r.State, &p) != nil || p.Channel == "" || p.TS == "" {
		return nil
	}
	return &p
}

func receipt(at slackPlace, reroot bool) outbox.Receipt {
	if at.TS == "" {
		return outbox.Receipt{}
	}
	state, err := json.Marshal(at)
	if err != nil {
		return outbox.Receipt{}
	}
	return outbox.Receipt{State: state, Reroot: reroot}
}

// post sends m into a channel or, when to has a TS, as a reply to that. A
// refused token is read again, and tried again if it was rotated.
func (s *Slack) post(ctx context.Context, to slackPlace, m slackMessage) (slackPlace, error) {
	token, err := s.config.Token.Value()
	if err != nil {
		return slackPlace{}, fmt.Errorf("token: %w", err)
	}
	at, err := s.postWith(ctx, token, to, m)
	if !tokenRefused(err) {
		return at, err
	}
	s.config.Token.Forget()
	if again, readErr := s.config.Token.Value(); readErr == nil && again != token {
		return s.postWith(ctx, again, to, m)
	}
	return at, err
}

func (s *Slack) postWith(ctx context.Context, token string, to slackPlace, m slackMessage) (slackPlace, error) {
	seen := &observer{http: s.http, secrets: append([]string{token}, urlSecrets(s.api)...)}
	client := slack.New(token, slack.OptionHTTPClient(seen), slack.OptionAPIURL(s.api.String()))
	options := []slack.MsgOption{
		slack.MsgOptionText(m.text, false), slack.MsgOptionBlocks(m.blocks...),
		slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl(),
	}
	if to.TS != "" {
		options = append(options, slack.MsgOptionTS(to.TS))
	}
	channel, ts, err := client.PostMessageContext(ctx, to.Channel, options...)
	if err != nil {
		return slackPlace{}, seen.explain(s.api.Host, err)
	}
	if ts == "" {
		return slackPlace{}, fmt.Errorf("POST %s: the answer does not say that the message was posted", s.api.Host)
	}
	return slackPlace{Channel: channel, TS: ts}, nil
}

// observer sends slack-go's requests and keeps of the answer what slack-go does
// not tell. It serves one request.
type observer struct {
	http    *http.Client
	secrets []string
	answer  answer
}

// Do sends one request, and bounds what is read of the answer.
func (o *observer) Do(r *http.Request) (*http.Response, error) {
	resp, err := o.http.Do(r)
	if err != nil {
		return nil, err
	}
	o.answer = answer{status: resp.StatusCode, retryAfter: retryAfter(resp.Header, time.Now())}
	if resp.StatusCode != http.StatusOK {
		o.answer = readAnswer(resp, o.secrets)
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, apiLimit), resp.Body}
	return resp, nil
}

// explain makes of slack-go's error one that says what to do: retry, wait or
// give up.
func (o *observer) explain(host string, err error) error {
	var word slack.SlackErrorResponse
	switch {
	case o.answer.status == 0: // no answer
		return outbound.Redact(err)
	case o.answer.status != http.StatusOK:
		if err := o.answer.failure(host, slackPermanent()...); err != nil {
			return err
		}
		return fmt.Errorf("POST %s: %s: not an answer of the Slack API", host, o.answer)
	case errors.As(err, &word):
		return o.classify(host, word)
	}
	return fmt.Errorf("POST %s: the answer is not JSON of the Slack API: %w", host, outbound.Redact(err))
}

func (o *observer) classify(host string, said slack.SlackErrorResponse) error {
	e := &slackError{host: host, word: text.Plain(hide(said.Err, o.secrets), 80)}
	switch {
	case e.word == "ratelimited" || e.word == "rate_limited":
		return outbox.RetryAfter(e, max(o.answer.retryAfter, slackPause))
	case slices.Contains(permanentWords(), e.word):
		return outbox.Permanent(e)
	case o.answer.retryAfter > 0:
		return outbox.RetryAfter(e, o.answer.retryAfter)
	}
	return e
}

// slackError is a refusal by the API, in its own word.
type slackError struct{ host, word string }

func (e *slackError) Error() string {
	s := "POST " + e.host + ": " + e.word
	if r := remedy(e.word); r != "" {
		s += ": " + r
	}
	return s
}

func saidWord(err error, words ...string) bool {
	var e *slackError
	return errors.As(err, &e) && slices.Contains(words, e.word)
}

func threadRefused(err error) bool {
	return saidWord(err, "thread_not_found", "message_not_found", "cannot_reply_to_message", "invalid_thread_ts")
}

func tokenRefused(err error) bool {
	return saidWord(err, tokenWords()...)
}

func tokenWords() []string {
	return []string{"invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive"}
}

// permanentWords are the API's errors that no retry mends
// (docs.slack.dev, chat.postMessage, errors).
func permanentWords() []string {
	return append(tokenWords(), "channel_not_found", "not_in_channel", "is_archived", "missing_scope", "no_permission",
		"not_allowed_token_type", "access_denied", "ekm_access_denied", "team_access_not_granted", "restricted_action",
		"restricted_action_read_only_channel", "restricted_action_non_threadable_channel", "channel_type_not_supported",
		"msg_too_long", "msg_blocks_too_long", "invalid_blocks", "invalid_blocks_format", "invalid_arguments", "no_text")
}

func remedy(word string) string {
	switch {
	case word == "not_in_channel":
		return "invite the bot to the channel, or give it the scope chat:write.public"
	case word == "channel_not_found":
		return "check the channel's name; into a private one the bot must be invited"
	case word == "is_archived":
		return "the channel is archived; name another"
	case word == "missing_scope":
		return "give the bot the scope chat:write and install it again"
	case strings.HasPrefix(word, "restricted_action"):
		return "a rule of the workspace forbids it to post there"
	case slices.Contains(tokenWords(), word):
		return "check the bot token (xoxb-…)"
	}
	return ""
}
