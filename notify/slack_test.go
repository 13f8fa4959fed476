package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/outbox/outboxtest"
	"basewatch/internal/secret"
	"basewatch/internal/standin"
	"basewatch/watcher"

	"github.com/google/go-cmp/cmp"
)

func TestChangeNamesBothDigestsAndWhy(t *testing.T) {
	slack, s := workspace(t)
	d := outboxtest.Change(42)
	deliver(t, s, d)
	m := slack.Messages()[0]
	for _, text := range []string{m.Plain(), m.Text} { // clients without blocks show the text
		contains(t, text, "python:3.13-slim changed", d.Event.Old.Index, d.Event.New.Index, "linux/amd64",
			"3.13.42", "3.13.43", "github.com/docker-library/python/compare/", "python:3.13-slim@42", "prod-eu", "default")
	}
}

func TestNewsOfAChangeGoIntoItsThread(t *testing.T) {
	slack, s := workspace(t)
	root := deliver(t, s, outboxtest.Change(41))
	reply := outboxtest.Change(42)
	reply.Root = &root
	receipt := deliver(t, s, reply)

	ms := slack.Messages()
	if ms[0].ThreadTS != "" || ms[1].ThreadTS != ms[0].TS || ms[1].Channel != ms[0].Channel {
		t.Errorf("root %+v, reply %+v", ms[0], ms[1])
	}
	if receipt.Reroot {
		t.Error("a reply claims to be a new root")
	}
	var place map[string]string
	if err := json.Unmarshal(root.State, &place); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"channel": ms[0].Channel, "ts": ms[0].TS}, place); diff != "" {
		t.Errorf("receipt (-want +got):\n%s", diff)
	}
}

func TestReplyToALostThreadBecomesTheNewRoot(t *testing.T) {
	for _, word := range []string{"thread_not_found", "message_not_found", "cannot_reply_to_message"} {
		t.Run(word, func(t *testing.T) {
			slack, s := workspace(t)
			root := deliver(t, s, outboxtest.Change(41))
			slack.Next(standin.Answer{Status: 200, Body: `{"ok":false,"error":"` + word + `"}`})
			reply := outboxtest.Change(42)
			reply.Root = &root
			receipt := deliver(t, s, reply)

			ms := slack.Messages()
			if len(ms) != 2 || ms[1].ThreadTS != "" || !receipt.Reroot {
				t.Errorf("messages %+v, receipt %+v", ms, receipt)
			}
		})
	}
}

func TestRootOfAnotherSortIsNoThread(t *testing.T) {
	slack, s := workspace(t)
	for _, state := range []string{"", "null", `"x"`, `{"pr":7}`, `{"channel":"C1"}`} {
		d := outboxtest.Change(1)
		d.Root = &outbox.Receipt{Link: "https://example.com", State: json.RawMessage(state)}
		deliver(t, s, d)
	}
	for _, m := range slack.Messages() {
		if m.ThreadTS != "" {
			t.Errorf("a reply to nothing: %+v", m)
		}
	}
}

func TestRouteMayNameAChannel(t *testing.T) {
	slack, s := workspace(t)
	d := outboxtest.Change(1)
	d.Address = "#shop"
	deliver(t, s, d)
	if got := slack.Messages()[0].Via; got != "#shop" {
		t.Errorf("posted to %s", got)
	}
}

func TestIncomingWebhookHasOneChannel(t *testing.T) {
	slack := standin.NewSlack("")
	c := DefaultSlackConfig()
	c.WebhookURL = secret.Literal("http://slack.example.com/services/T0/B0/x")
	s, err := NewSlack(c, optionsTo(slack))
	if err != nil {
		t.Fatal(err)
	}
	root := outbox.Receipt{State: json.RawMessage(`{"channel":"C1","ts":"1.2"}`)}
	d := outboxtest.Change(1)
	d.Root = &root
	if r := deliver(t, s, d); !r.IsZero() {
		t.Errorf("receipt %+v", r)
	}
	if ms := slack.Messages(); len(ms) != 1 || ms[0].ThreadTS != "" {
		t.Errorf("messages %+v, refusals %v", ms, slack.Refusals())
	}
	d.Address = "#shop"
	if _, err := s.Deliver(context.Background(), d); outcome(err) != outbox.Refused {
		t.Errorf("an address: %v", err)
	}
}

func outcome(err error) outbox.Outcome {
	o, _ := outbox.Classify(err)
	return o
}

func TestWordsOfTheAPIDecide(t *testing.T) {
	tests := map[string]struct {
		want outbox.Outcome
		says string
	}{
		"channel_not_found":   {outbox.Refused, "check the channel's name"},
		"not_in_channel":      {outbox.Refused, "invite the bot"},
		"is_archived":         {outbox.Refused, "archived"},
		"invalid_auth":        {outbox.Refused, "check the bot token"},
		"token_revoked":       {outbox.Refused, "check the bot token"},
		"account_inactive":    {outbox.Refused, "check the bot token"},
		"missing_scope":       {outbox.Refused, "chat:write"},
		"msg_too_long":        {outbox.Refused, ""},
		"invalid_blocks":      {outbox.Refused, ""},
		"ratelimited":         {outbox.Retry, ""},
		"internal_error":      {outbox.Retry, ""},
		"service_unavailable": {outbox.Retry, ""},
		"fatal_error":         {outbox.Retry, ""},
		"thread_not_found":    {outbox.Retry, ""}, // without a thread it makes no sense
	}
	for word, tt := range tests {
		t.Run(word, func(t *testing.T) {
			slack, s := workspace(t)
			slack.Always(standin.Answer{Status: 200, Body: `{"ok":false,"error":"` + word + `"}`})
			_, err := s.Deliver(context.Background(), outboxtest.Change(1))
			if outcome(err) != tt.want {
				t.Errorf("%v is %s, want %s", err, outcome(err), tt.want)
			}
			contains(t, fmt.Sprint(err), word, tt.says, "slack.example.com")
		})
	}
}

func TestRateLimitOfTheAPIIsObeyed(t *testing.T) {
	tests := []struct {
		answer standin.Answer
		want   time.Duration
	}{
		{standin.Answer{Status: 429, Header: map[string]string{"Retry-After": "41"}}, 41 * time.Second},
		{standin.Answer{Status: 200, Body: `{"ok":false,"error":"ratelimited"}`}, slackPause},
		{standin.Answer{Status: 200, Body: `{"ok":false,"error":"ratelimited"}`, Header: map[string]string{"Retry-After": "77"}}, 77 * time.Second},
	}
	for _, tt := range tests {
		slack, s := workspace(t)
		slack.Always(tt.answer)
		_, err := s.Deliver(context.Background(), outboxtest.Change(1))
		if o, wait := outbox.Classify(err); o != outbox.Retry || wait != tt.want {
			t.Errorf("%+v: %s after %v, want retry after %v", tt.answer, o, wait, tt.want)
		}
	}
}

func TestRefusalKeepsSlacksWord(t *testing.T) {
	c := DefaultSlackConfig()
	c.WebhookURL = secret.Literal("http://slack.example.com/services/T0/B0/x")
	s, err := NewSlack(c, optionsTo(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "channel_is_archived", http.StatusGone)
	})))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Deliver(context.Background(), outboxtest.Change(1))
	if want := "POST slack.example.com: 410 Gone: channel_is_archived"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestRotatedTokenIsUsedAtOnce(t *testing.T) {
	slack, s := workspace(t)
	path := filepath.Join(t.TempDir(), "token")
	rotate := func(token string) {
		if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) // looks unchanged
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	rotate("xoxb-old--token")
	if err := s.config.Token.UnmarshalText([]byte("file:" + path)); err != nil {
		t.Fatal(err)
	}
	_, err := s.Deliver(context.Background(), outboxtest.Change(1))
	if outcome(err) != outbox.Refused || len(slack.Requests()) != 1 {
		t.Fatalf("a wrong token: %v after %d requests", err, len(slack.Requests()))
	}
	rotate(testToken)
	deliver(t, s, outboxtest.Change(1))
	if n := len(slack.Requests()); n != 3 {
		t.Errorf("%d requests, want the old token's, its again and the new one's", n)
	}
}

func TestDigestIsOneMessageThatNamesAll(t *testing.T) {
	slack, s := workspace(t)
	root := deliver(t, s, outboxtest.Change(1))
	var ds []outbox.Delivery
	for i := range 200 {
		d := outboxtest.Change(i + 1)
		d.Event.Ref = fmt.Sprintf("docker.io/library/app-%d:1", i)
		d.Root = &root
		ds = append(ds, d)
	}
	ds[3].Covers = []outbox.Delivery{outboxtest.Change(90), outboxtest.Change(91)}
	receipt, err := s.Digest(context.Background(), ds)
	if err != nil || len(receipt.State) == 0 {
		t.Fatal(receipt, err, slack.Refusals())
	}
	ms := slack.Messages()
	if len(ms) != 2 || ms[1].ThreadTS != "" {
		t.Fatalf("messages %+v", ms)
	}
	text := ms[1].Plain()
	contains(t, text, "200 of your bases changed", "And 155 more", "`@91`, `@90`")
	for _, d := range ds {
		contains(t, text, d.Event.Handle())
	}
}

func TestDigestOfManyCountsWhatItCannotName(t *testing.T) {
	for _, length := range []int{5, 40, 250} {
		slack, s := workspace(t)
		var ds []outbox.Delivery
		for i := range 1000 {
			d := outboxtest.Change(i + 1)
			d.Event.Ref = fmt.Sprintf("registry.example.com/%s/app-%d:1.2.3", strings.Repeat("x", length), i)
			ds = append(ds, d)
		}
		if _, err := s.Digest(context.Background(), ds); err != nil {
			t.Fatal(err, slack.Refusals())
		}
		text := slack.Messages()[0].Plain()
		named := strings.Count(text, "registry.example.com/")
		contains(t, text, "1000 of your bases changed", fmt.Sprintf("and %d that are not named here", 1000-named), "No rebuild", "prod-eu")
		if strings.Contains(text, "…") {
			t.Errorf("names of %d letters: something is cut off uncounted", length)
		}
	}
}

func TestDigestTitles(t *testing.T) {
	baseline := func(ref string) outbox.Delivery {
		return eventOf(watcher.Baseline, func(e *watcher.Event) { e.Ref, e.New = ref, outboxtest.Snapshot(1, e.At) })
	}
	failing := eventOf(watcher.Failing, nil)
	late := outboxtest.Change(2)
	late.Outage = &outbox.Outage{From: at("09:02"), To: at("13:10"), Reason: "503", Late: 4*time.Hour + 10*time.Minute}
	tests := []struct {
		want string
		ds   []outbox.Delivery
	}{
		{"First sight of 2 images on docker.io: baseline", []outbox.Delivery{baseline("docker.io/a/a:1"), baseline("docker.io/b/b:1")}},
		{"First sight of 2 images on 2 registries: baseline", []outbox.Delivery{baseline("docker.io/a/a:1"), baseline("ghcr.io/b/b:1")}},
		{"1 of your bases changed", []outbox.Delivery{outboxtest.Change(1), outboxtest.Change(2)}},
		{"3 events: 1 changed, 1 failing, 1 baseline", []outbox.Delivery{baseline("docker.io/a/a:1"), failing, outboxtest.Change(1)}},
		{"2 times failing", []outbox.Delivery{failing, failing}},
		{"1 of your bases changed · told 4 h 10 min late", []outbox.Delivery{outboxtest.Change(1), late}},
	}
	for _, tt := range tests {
		if got := tellAll(tt.ds, "prod-eu").headline(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestSlackConfigMistakes(t *testing.T) {
	hook, token := secret.Literal("https://hooks.slack.com/services/x"), secret.Literal(testToken)
	var unset secret.Secret
	if err := unset.UnmarshalText([]byte("env:BW_TEST_NOT_SET")); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		config SlackConfig
		want   []string
	}{
		{SlackConfig{WebhookURL: hook, Detail: "short"}, nil},
		{SlackConfig{Token: token, Channel: "#base-images", Detail: "full"}, nil},
		{SlackConfig{Token: token, Channel: "C0123456789", APIURL: "http://127.0.0.1:9/api", Detail: "full"}, nil},
		{SlackConfig{Detail: "short"}, []string{"webhook_url: a slack receiver needs webhook_url, or token + channel"}},
		{SlackConfig{WebhookURL: hook, Token: token, Detail: "short"}, []string{"token: webhook_url and token are both set; keep one"}},
		{SlackConfig{Token: token, Detail: "short"}, []string{`channel: token needs a channel too, such as "#base-images"`}},
		{SlackConfig{Token: token, Channel: "#a b", Detail: "loud"}, []string{
			`channel: "#a b" is no channel; write "#base-images" or an ID such as "C0123456789"`, `detail: "loud" is neither short nor full`}},
		{SlackConfig{Token: unset, Channel: "#a", Detail: "short"}, []string{"token: env:BW_TEST_NOT_SET: the variable is not set"}},
		{SlackConfig{WebhookURL: unset, Detail: "short"}, []string{"webhook_url: env:BW_TEST_NOT_SET: the variable is not set"}},
		{SlackConfig{WebhookURL: secret.Literal("hooks.slack.com/x"), Channel: "#a", APIURL: "http://a", Detail: "short"}, []string{
			"webhook_url: the URL must begin with https:// or http://",
			"channel: an incoming webhook posts to the channel it was made for; use token + channel to choose one",
			"api_url: only with token; an incoming webhook has its own URL"}},
		{SlackConfig{Token: token, Channel: "#a", APIURL: "slack.example.com", Detail: "short"}, []string{"api_url: the URL must begin with https:// or http://"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, mistakes(t, tt.config.Validate())); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.config, diff)
		}
	}
}

// mistakes lists the parts of a joined error, each of which must have a key.
func mistakes(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var ce *outbox.ConfigError
	if !errors.As(err, &ce) || ce.Key == "" {
		t.Errorf("not a ConfigError: %v", err)
	}
	return strings.Split(err.Error(), "\n")
}

func TestHostIsTheOneThatIsCalled(t *testing.T) {
	tests := map[string]SlackConfig{
		"hooks.slack.com": {WebhookURL: secret.Literal("https://hooks.slack.com/services/x")},
		"slack.com":       {Token: secret.Literal("x")},
		"localhost:9999":  {Token: secret.Literal("x"), APIURL: "http://localhost:9999/api/"},
	}
	for want, c := range tests {
		if got, err := c.Host(); err != nil || got != want {
			t.Errorf("Host = %q, %v; want %q", got, err, want)
		}
	}
	words := permanentWords()
	if slices.Sort(words); len(slices.Compact(words)) != len(permanentWords()) {
		t.Error("a word is listed twice")
	}
}
