package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/outbox/outboxtest"
	"basewatch/internal/secret"
	"basewatch/watcher"

	"github.com/google/go-cmp/cmp"
	"github.com/nicholas-fedor/shoutrrr/pkg/router"
)

// inClear takes TLS away: the services of these tests have fixed addresses, and
// what answers for them speaks plain HTTP.
type inClear struct{ next http.RoundTripper }

func (t inClear) RoundTrip(r *http.Request) (*http.Response, error) {
	plain := r.Clone(r.Context())
	plain.URL.Scheme = "http"
	return t.next.RoundTrip(plain)
}

func TestChatKeepsTheContract(t *testing.T) {
	withJSON := func(status int) outbox.Outcome {
		if status == http.StatusNoContent {
			return outbox.Retry // it says nothing, and shoutrrr wants to hear something
		}
		return outcomes(chatPermanent()...)(status)
	}
	tests := map[string]struct {
		url, body string
		outcome   func(int) outbox.Outcome
	}{
		"ntfy":       {"ntfy://bot:CANARY@service.example.com/CANARY?disabletls=yes", `{"id":"x"}`, withJSON},
		"gotify":     {"gotify://service.example.com/AGOTIFY?disabletls=yes", `{"id":1}`, withJSON},
		"generic":    {"generic://service.example.com/CANARY?disabletls=yes&@Authorization=Bearer+CANARY", "", outcomes(chatPermanent()...)},
		"json":       {"generic+http://service.example.com/CANARY?template=json&$token=CANARY", "", outcomes(chatPermanent()...)},
		"telegram":   {"telegram://123456:CANARY@telegram?chats=-1001", `{"ok":true,"result":{}}`, outcomes(chatPermanent()...)},
		"mattermost": {"mattermost://bot@service.example.com/CANARY?disabletls=yes", "", nil},
		"zulip":      {"zulip://bot%40example.com:CANARY@service.example.com?stream=base&topic=x", "", nil},
		"discord": {"discord://CANARY@123456", "", func(status int) outbox.Outcome {
			if status == 201 || status == 202 {
				return outbox.Retry
			}
			return outcomes(chatPermanent()...)(status)
		}},
	}
	only200 := func(status int) outbox.Outcome {
		if status/100 == 2 && status != http.StatusOK {
			return outbox.Retry
		}
		return outcomes(chatPermanent()...)(status)
	}
	for name, tt := range tests {
		if tt.outcome == nil {
			tt.outcome = only200
		}
		t.Run(name, func(t *testing.T) {
			outboxtest.Run(t, outboxtest.Case{
				New: func(t *testing.T, env outboxtest.Env) outbox.Receiver {
					url := strings.ReplaceAll(tt.url, "CANARY", env.Canary)
					url = strings.ReplaceAll(url, "AGOTIFY", "A"+env.Canary[:14])
					c := ChatConfig{URL: secret.Literal(url)}
					client := &http.Client{Transport: inClear{env.Client.Transport}}
					return must[*Chat](t)(NewChat(c, Options{HTTP: client, Instance: "prod-eu"}))
				},
				Body: tt.body, Outcome: tt.outcome,
			})
		})
	}
}

// chatTo makes a receiver whose every request is handed to h.
func chatTo(t *testing.T, url string, h http.Handler) *Chat {
	t.Helper()
	c, err := NewChat(ChatConfig{URL: secret.Literal(url)}, optionsTo(h))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// seenRequest is what a service got.
type seenRequest struct {
	host, path, body string
	header           http.Header
}

// chatServer answers everything with status and body, and remembers it.
type chatServer struct {
	mu     sync.Mutex
	status int
	answer func(r *http.Request) string
	seen   []seenRequest
}

func (s *chatServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, seenRequest{r.URL.Host, r.URL.RequestURI(), string(body), r.Header.Clone()})
	if s.status != 0 {
		w.WriteHeader(s.status)
	}
	answer := `{"ok":true,"id":1,"result":{},"status":1,"code":0,"errcode":0}`
	if s.answer != nil {
		answer = s.answer(r)
	}
	_, _ = io.WriteString(w, answer)
}

// sampleURLs has a URL for each service.
func sampleURLs() map[string]string {
	return map[string]string{
		"bark":       "bark://:devicekey@bark.example.com",
		"discord":    "discord://token@123456",
		"generic":    "generic://hooks.example.com/path",
		"googlechat": "googlechat://chat.googleapis.com/v1/spaces/FOO/messages?key=bar&token=baz",
		"gotify":     "gotify://gotify.example.com/Aaa.bbb.ccc.ddd",
		"hangouts":   "hangouts://chat.googleapis.com/v1/spaces/FOO/messages?key=bar&token=baz",
		"ifttt":      "ifttt://webhookid/?events=event1",
		"join":       "join://shoutrrr:apikey@join?devices=device1",
		"lark":       "lark://open.larksuite.com/token",
		"matrix":     "matrix://:token@matrix.example.com?rooms=!room:example.com",
		"mattermost": "mattermost://bot@mattermost.example.com/token",
		"notifiarr":  "notifiarr://apikey?channel=123456789012345678",
		"ntfy":       "ntfy://ntfy.example.com/topic",
		"opsgenie":   "opsgenie://api.opsgenie.com/apikey",
		"pagerduty":  "pagerduty://events.pagerduty.com/eb243592faa24ba2a5511afdf565c889",
		"pushbullet": "pushbullet://o." + strings.Repeat("t", 32),
		"pushover":   "pushover://shoutrrr:apptoken@usertoken",
		"rocketchat": "rocketchat://bot@rocketchat.example.com/tokenA/tokenB",
		"signal":     "signal://signal.example.com:8080/+1234567890/+0987654321",
		"teams":      "teams://11111111-4444-4444-8444-cccccccccccc@22222222-4444-4444-8444-cccccccccccc/33333333012222222222333333333344/44444444-4444-4444-8444-cccccccccccc/V2ESyij?host=example.webhook.office.com",
		"telegram":   "telegram://123456:token@telegram?chats=-1001",
		"wecom":      "wecom://693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa",
		"zulip":      "zulip://bot%40example.com:key@zulip.example.com?stream=base",
	}
}

// pushed is Pushbullet's answer, which repeats what it was sent.
func pushed(r *http.Request, body string) string {
	var p map[string]any
	_ = json.Unmarshal([]byte(body), &p)
	p["active"] = true
	out, _ := json.Marshal(p)
	return string(out)
}

// Every service of the library is known or left out on purpose, and every
// request of every service goes through our client, to the host that we said.
func TestEveryServiceSendsThroughOurClientToItsHost(t *testing.T) {
	urls := sampleURLs()
	for _, scheme := range (&router.ServiceRouter{}).ListServices() {
		if chatElsewhere(scheme) != "" {
			continue
		}
		t.Run(scheme, func(t *testing.T) {
			if urls[scheme] == "" {
				t.Fatal("the library has a service that we do not know")
			}
			s := &chatServer{}
			s.answer = func(r *http.Request) string {
				if scheme == "pushbullet" {
					return pushed(r, s.seen[len(s.seen)-1].body)
				}
				if strings.HasSuffix(r.URL.Path, "joined_rooms") {
					return `{"joined_rooms":["!room:example.com"]}`
				}
				if scheme == "bark" {
					return `{"code":200}`
				}
				if scheme == "teams" {
					return "1"
				}
				if scheme == "signal" {
					return `{"timestamp":"1"}`
				}
				return `{"ok":true,"id":1,"result":{},"status":1,"code":0,"errcode":0,"room_id":"!room:example.com"}`
			}
			c := chatTo(t, urls[scheme], s)
			_, err := c.Deliver(t.Context(), outboxtest.Change(42))
			if err != nil && scheme != "pagerduty" && scheme != "opsgenie" {
				t.Error(err)
			}
			host, _ := c.config.Host()
			if len(s.seen) == 0 {
				t.Fatal("nothing came through our client")
			}
			for _, r := range s.seen {
				if chatHost(r.host) != chatHost(host) {
					t.Errorf("a request went to %s, the configuration says %s", r.host, host)
				}
			}
			contains(t, decodedBody(s.seen), "python:3.13-slim", "9f2c00000056", "prod-eu")
		})
	}
	for scheme := range chatServices() {
		if !slices.Contains((&router.ServiceRouter{}).ListServices(), scheme) {
			t.Errorf("%s is not in the library", scheme)
		}
	}
}

func decodedBody(rs []seenRequest) string {
	var b strings.Builder
	for _, r := range rs {
		b.WriteString(r.body + r.path)
		fmt.Fprint(&b, r.header)
	}
	return strings.NewReplacer("%3A", ":", "%2F", "/", "+", " ").Replace(b.String())
}

func TestAChatMessageHasTitleBodyAndSmallPrint(t *testing.T) {
	s := &chatServer{}
	if _, err := chatTo(t, "ntfy://ntfy.example.com/topic", s).Deliver(t.Context(), outboxtest.Change(42)); err != nil {
		t.Fatal(err)
	}
	if got := s.seen[0].header.Get("Title"); got != "python:3.13-slim changed" {
		t.Errorf("title %q", got)
	}
	want := "9f2c00000054 → 9f2c00000056 · linux/amd64 · seen 2026-11-22 10:14 UTC\nversion 3.13.42 → 3.13.43 · "
	if !strings.HasPrefix(s.seen[0].body, want) || !strings.HasSuffix(s.seen[0].body, "you get this by default · python:3.13-slim@42 · prod-eu") {
		t.Errorf("body:\n%s", s.seen[0].body)
	}
}

func TestAChatDigestIsOneMessageWithEachChange(t *testing.T) {
	s := &chatServer{}
	var ds []outbox.Delivery
	for i := range 60 {
		d := outboxtest.Change(i + 1)
		d.Event.Ref = fmt.Sprintf("docker.io/library/image-with-a-long-name-%d:1", i)
		ds = append(ds, d)
	}
	if _, err := chatTo(t, "ntfy://ntfy.example.com/topic", s).Digest(t.Context(), ds); err != nil {
		t.Fatal(err)
	}
	body := s.seen[0].body
	if len(s.seen) != 1 || len(body) > chatLimit || s.seen[0].header.Get("Title") != "60 of your bases changed" {
		t.Errorf("%d requests, %d bytes, title %q", len(s.seen), len(body), s.seen[0].header.Get("Title"))
	}
	contains(t, body, "image-with-a-long-name-0:1@1  9f2c", "And 15 more:", "image-with-a-long-name-59:1@60")
}

// A service that reads markup gets what came from outside as code, where
// nothing is a mention or a link.
func TestNothingFromOutsideIsMarkupInAChat(t *testing.T) {
	const evil = "@everyone <!channel> [click](https://evil.example.net) `x` <users/all>"
	d := eventOf(watcher.Failing, func(e *watcher.Event) { e.Reason = evil })
	for _, url := range []string{"discord://token@123456", "mattermost://bot@mattermost.example.com/token",
		"zulip://bot%40example.com:key@zulip.example.com?stream=base", "googlechat://chat.googleapis.com/v1/spaces/FOO/messages?key=bar&token=baz"} {
		for _, body := range []string{"", "{{.Reason}}"} {
			s := &chatServer{}
			c, err := NewChat(ChatConfig{URL: secret.Literal(url), Body: body}, optionsTo(s))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Deliver(t.Context(), d); err != nil && len(s.seen) == 0 {
				t.Fatalf("%s: %v", url, err)
			}
			said := s.seen[0].body
			if strings.HasPrefix(url, "zulip") {
				said = formValue(t, said)
			}
			said = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(said)
			if want := "`@everyone <!channel> [click](https://evil.example.net) 'x' <users/all>`"; !strings.Contains(said, want) {
				t.Errorf("%.12s: %q is not in %s", url, want, said)
			}
		}
	}
}

func formValue(t *testing.T, body string) string {
	t.Helper()
	values, err := url.ParseQuery(body)
	if err != nil {
		t.Fatal(err)
	}
	return values.Get("content")
}

func TestTextIsFittedByLinesAndBytes(t *testing.T) {
	long := strings.Repeat("ä", 600)
	for _, tt := range []struct {
		lines []string
		room  int
	}{
		{[]string{"a", "b"}, 10}, {[]string{long}, 100}, {[]string{"a", long, "b"}, 100}, {[]string{long, long}, 1250},
		{[]string{strings.Repeat("x", 95), "b", "c"}, 100}, {slices.Repeat([]string{"line"}, 200), 500},
	} {
		got := fit(tt.lines, tt.room)
		if len(got) > tt.room || !strings.HasPrefix(got, tt.lines[0][:1]) || strings.ContainsRune(got, '\uFFFD') {
			t.Errorf("%d bytes of %d: %q", len(got), tt.room, got)
		}
		if whole := strings.Join(tt.lines, "\n"); len(whole) <= tt.room && got != whole {
			t.Errorf("cut though it fits: %q", got)
		}
	}
}

func TestOnlyTheFirstFailureOfAChatServiceCounts(t *testing.T) {
	s := &chatServer{status: http.StatusInternalServerError}
	start := time.Now()
	_, err := chatTo(t, "discord://token@123456", s).Deliver(t.Context(), outboxtest.Change(1))
	if len(s.seen) != 1 || time.Since(start) > time.Second {
		t.Errorf("%d requests in %v: the library's own retries", len(s.seen), time.Since(start))
	}
	if got, _ := outbox.Classify(err); got != outbox.Retry || !strings.Contains(fmt.Sprint(err), "500") {
		t.Errorf("%s (%v)", got, err)
	}
}

// Attempts at one host wait for each other and for nothing else, and one that
// waits ends with its context.
func TestAttemptsAtOneHostTakeTurns(t *testing.T) {
	b := NewSwitchboard(direct{http.NotFoundHandler()})
	first, second := direct{http.RedirectHandler("/1", http.StatusFound)}, direct{http.RedirectHandler("/2", http.StatusFound)}
	end, err := b.take(t.Context(), "chat.example.com:443", first)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.take(ctx, "CHAT.example.com", second); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	got := []string{location(b, "https://chat.example.com/"), location(b, "https://other.example.com/")}
	entered := make(chan func())
	go func() {
		end, _ := b.take(t.Context(), "chat.example.com", second)
		entered <- end
	}()
	end()
	endSecond := <-entered
	got = append(got, location(b, "https://chat.example.com:8443/"))
	endSecond()
	got = append(got, location(b, "https://chat.example.com/"))
	if diff := cmp.Diff([]string{"/1", "", "/2", ""}, got); diff != "" {
		t.Errorf("who answered (-want +got):\n%s", diff)
	}
	if len(b.turns) != 0 {
		t.Errorf("%d turns are left", len(b.turns))
	}
}

func location(b *Switchboard, url string) string {
	resp, err := b.RoundTrip(httptest.NewRequest(http.MethodGet, url, nil))
	if err != nil {
		return err.Error()
	}
	_ = resp.Body.Close()
	return resp.Header.Get("Location")
}

func TestAWrongChatURLIsToldWithoutItsSecrets(t *testing.T) {
	for url, want := range map[string]string{
		"":                                "url: a chat receiver needs a url, such as ntfy://ntfy.example.com/topic",
		"nftyy://ntfy.example.com/canary": `url: no service "nftyy"; did you mean "ntfy"?`,
		"slack://hook:canary-canary-canary@webhook":           `url: slack is not sent through shoutrrr; use kind = "slack"`,
		"smtp://bot:canary@mail.example.com":                  `url: smtp is not sent through shoutrrr; use kind = "email"`,
		"://canary":                                           "url: not a URL of shoutrrr; write one such as ntfy://ntfy.example.com/topic",
		"canary":                                              "url: not a URL of shoutrrr; write one such as ntfy://ntfy.example.com/topic",
		"ntfy://ntfy.example.com":                             "url: not a URL for ntfy: topic is required",
		"ntfy+https://canary@ntfy.example.com":                "url: ntfy takes no URL of the form ntfy+https",
		"generic://":                                          "url: a generic URL needs a host",
		"telegram://canary:canary@telegram?chats=1":           "url: not a URL for telegram: invalid telegram token: ***:***",
		"telegram://1:canary@telegram?chats=1&parsemode=HTML": "url: parsemode is not supported: messages are plain text",
		"discord://canarytoken":                               "url: ",
	} {
		c := ChatConfig{}
		if url != "" {
			c.URL = secret.Literal(url)
		}
		err := c.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s:\n%v, want\n%s", url, err, want)
		}
	}
}

// What a service refuses with status 200 is not delivered, and its words show
// no secret.
func TestARefusalWithStatus200IsRetried(t *testing.T) {
	s := &chatServer{answer: func(*http.Request) string { return `{"code":19001,"msg":"param invalid canarytoken12"}` }}
	_, err := chatTo(t, "lark://open.larksuite.com/canarytoken12", s).Deliver(t.Context(), outboxtest.Change(1))
	if got, _ := outbox.Classify(err); got != outbox.Retry || strings.Contains(fmt.Sprint(err), "canary") {
		t.Errorf("%s (%v)", got, err)
	}
}
