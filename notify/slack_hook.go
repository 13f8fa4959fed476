package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/slack-go/slack"
)

// sendHook posts to the incoming webhook. We post it ourselves: slack-go drops
// the word in which Slack says why, and a Retry-After that is a date.
func (s *Slack) sendHook(ctx context.Context, m slackMessage) error {
	body, err := json.Marshal(slack.WebhookMessage{
		Text: m.text, Blocks: &slack.Blocks{BlockSet: m.blocks}, UnfurlLinks: new(false), UnfurlMedia: new(false),
	})
	if err != nil {
		return fmt.Errorf("slack message: %w", err)
	}
	u, err := endpoint(s.config.WebhookURL)
	if err != nil {
		return fmt.Errorf("webhook_url: %w", err)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	a, err := post(ctx, s.http, u, header, body, urlSecrets(u))
	if err != nil {
		return err
	}
	return a.failure(u.Host, slackPermanent()...)
}

// slackPermanent lists the statuses by which Slack refuses for good: a bad
// message, a forbidden, unknown or archived channel, a revoked webhook.
func slackPermanent() []int { return []int{400, 403, 404, 410} }
