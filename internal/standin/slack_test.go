package standin_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slack-go/slack"

	"basewatch/internal/standin"
)

func workspace(t *testing.T) (*standin.Slack, *slack.Client) {
	t.Helper()
	s := standin.NewSlack("xoxb-good")
	srv := standin.Serve(s)
	t.Cleanup(srv.Close)
	c := client(t, &http.Transport{})
	return s, slack.New("xoxb-good", slack.OptionAPIURL(srv.URL+"/api/"), slack.OptionHTTPClient(c))
}

func section(text string) slack.Block {
	return slack.NewSectionBlock(slack.NewTextBlockObject("mrkdwn", text, false, false), nil, nil)
}

func TestARealClientPostsThreadsAndUpdates(t *testing.T) {
	s, api := workspace(t)
	if _, err := api.AuthTestContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	channel, ts, err := api.PostMessageContext(t.Context(), "#base-images",
		slack.MsgOptionText("moved", false), slack.MsgOptionBlocks(section("*python* &amp; co <https://example.com/a?b=1&c=2|see>")))
	if err != nil {
		t.Fatal(err)
	}
	if channel != standin.ChannelID("#base-images") || !regexp.MustCompile(`^\d+\.\d{6}$`).MatchString(ts) {
		t.Errorf("channel %s, ts %s", channel, ts)
	}
	_, reply, err := api.PostMessageContext(t.Context(), channel, slack.MsgOptionText("more", false), slack.MsgOptionTS(ts))
	if err != nil || reply == ts {
		t.Fatalf("reply %s: %v", reply, err)
	}
	if _, _, _, err := api.UpdateMessageContext(t.Context(), channel, ts, slack.MsgOptionText("rebuilt", false)); err != nil {
		t.Fatal(err)
	}
	got, err := s.Wait(limited(t), 2)
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Plain() != "rebuilt" || got[0].Edits != 1 || got[1].ThreadTS != ts || got[0].Channel != got[1].Channel {
		t.Errorf("messages %+v", got)
	}
	if r := s.Refusals(); len(r) != 0 {
		t.Errorf("refusals %v", r)
	}
}

func TestTheAPIRefusesInSlacksWords(t *testing.T) {
	s, api := workspace(t)
	channel, ts, err := api.PostMessageContext(t.Context(), "#a", slack.MsgOptionText("root", false))
	if err != nil {
		t.Fatal(err)
	}
	text := slack.MsgOptionText("x", false)
	s.Refuse("#old", "is_archived")
	post := func(channel string, o ...slack.MsgOption) error {
		_, _, err := api.PostMessageContext(t.Context(), channel, o...)
		return err
	}
	update := func(channel, ts string) error {
		_, _, _, err := api.UpdateMessageContext(t.Context(), channel, ts, text)
		return err
	}
	for want, got := range map[string]error{
		"is_archived":       post("#old", text),
		"channel_not_found": update("#a", ts), // a name, where an ID is wanted
		"message_not_found": update(channel, "1.000001"),
		"thread_not_found":  post("#a", text, slack.MsgOptionTS("1.000001")),
		"invalid_blocks":    post("#a", text, slack.MsgOptionBlocks(section("<!channel>"))),
	} {
		if got == nil || got.Error() != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
	s.Forget(ts)
	if err := post("#a", text, slack.MsgOptionTS(ts)); err == nil || err.Error() != "thread_not_found" {
		t.Errorf("reply to a removed message: %v", err)
	}
	s.Token = "xoxb-rotated"
	if err := post("#a", text); err == nil || err.Error() != "invalid_auth" {
		t.Errorf("old token: %v", err)
	}
}

func TestA429OfSlackIsUnderstoodByTheClient(t *testing.T) {
	s, api := workspace(t)
	s.Next(standin.Answer{Status: 429, Header: map[string]string{"Retry-After": "30"}, Body: `{"ok":false,"error":"ratelimited"}`})
	_, _, err := api.PostMessageContext(t.Context(), "#a", slack.MsgOptionText("x", false))
	var limited *slack.RateLimitedError
	if !errors.As(err, &limited) || limited.RetryAfter != 30*time.Second {
		t.Errorf("error %v", err)
	}
	if n := len(s.Messages()); n != 0 {
		t.Errorf("%d messages taken", n)
	}
}

// TestABadMessageIsRefused has one case for each limit of Slack and for each
// promise of ours about what a message never holds.
func TestABadMessageIsRefused(t *testing.T) {
	type m = map[string]any
	mrkdwn := func(s string) m { return m{"type": "mrkdwn", "text": s} }
	plain := func(s string) m { return m{"type": "plain_text", "text": s} }
	sec := func(s string) m { return m{"type": "section", "text": mrkdwn(s)} }
	long := func(n int) string { return strings.Repeat("é", n) }
	list := func(n int, v any) (vs []any) {
		for range n {
			vs = append(vs, v)
		}
		return vs
	}
	blocks := func(bs ...any) m { return m{"text": "fallback", "blocks": bs} }
	button := func(label, url string) m {
		return m{"type": "actions", "elements": []any{m{"type": "button", "text": plain(label), "url": url}}}
	}
	for _, tc := range []struct {
		name string
		msg  any
		why  string // empty: it is taken
	}{
		{"plain text", m{"text": "hello"}, ""},
		{"every good block", blocks(
			m{"type": "header", "text": plain(long(150))}, sec(long(3000)), m{"type": "divider"},
			m{"type": "section", "fields": list(10, mrkdwn(long(10)))},
			m{"type": "context", "elements": list(10, mrkdwn("<!date^1700000000^{date}|Nov 14>"))},
			button("Open", "https://example.com"),
			m{"type": "image", "image_url": "https://example.com/a.png", "alt_text": "a"}), ""},
		{"fifty blocks", blocks(list(50, sec("x"))...), ""},
		{"escaped", m{"text": "&lt;!channel&gt; a &amp; b @channel"}, ""},

		{"not JSON", "{", "invalid_payload"},
		{"no fallback", m{"blocks": []any{sec("x")}}, "no_text"},
		{"fallback too long", m{"text": long(40001)}, "msg_too_long"},
		{"51 blocks", blocks(list(51, sec("x"))...), "51 blocks"},
		{"51 in attachments", m{"text": "x", "attachments": []any{m{"blocks": list(51, sec("x"))}}}, "51 blocks"},
		{"all blocks too long", blocks(list(5, sec(long(2900)))...), "msg_blocks_too_long"},
		{"unknown block", blocks(m{"type": "table"}), "unsupported type"},
		{"header of mrkdwn", blocks(m{"type": "header", "text": mrkdwn("x")}), "plain_text"},
		{"long header", blocks(m{"type": "header", "text": plain(long(151))}), "151 characters"},
		{"long section", blocks(sec(long(3001))), "3001 characters"},
		{"empty section", blocks(sec("")), "0 characters"},
		{"section of nothing", blocks(m{"type": "section"}), "neither text nor fields"},
		{"11 fields", blocks(m{"type": "section", "fields": list(11, mrkdwn("x"))}), "11 fields"},
		{"long field", blocks(m{"type": "section", "fields": list(1, mrkdwn(long(2001)))}), "2001 characters"},
		{"11 in context", blocks(m{"type": "context", "elements": list(11, mrkdwn("x"))}), "11 elements"},
		{"empty context", blocks(m{"type": "context", "elements": []any{}}), "0 elements"},
		{"block_id twice", blocks(m{"type": "divider", "block_id": "a"}, m{"type": "divider", "block_id": "a"}), "block_id"},
		{"long button", blocks(button(long(76), "")), "76 characters"},
		{"odd link", blocks(button("Open", "javascript:alert(1)")), "no web address"},
		{"image without alt", blocks(m{"type": "image", "image_url": "https://example.com/a.png"}), "alt_text"},

		{"mention in text", m{"text": "<!channel> hi"}, "a mention: <!channel>"},
		{"mention of a user", blocks(sec("<@U123>")), "a mention: <@U123>"},
		{"mention in a header", blocks(m{"type": "header", "text": plain("<!here>")}), "a mention"},
		{"mention in a link", blocks(sec("<https://example.com|<!here>>")), "a mention"},
		{"raw ampersand", blocks(sec("a & b")), "not escaped"},
		{"raw bracket", m{"text": "1 < 2"}, "not escaped"},
		{"link of another kind", m{"text": "<javascript:alert(1)|x>"}, "not escaped"},
		{"link_names", m{"text": "@channel", "link_names": true}, "link_names"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := standin.NewSlack("")
			srv := standin.Serve(s)
			t.Cleanup(srv.Close)
			body, ok := tc.msg.(string)
			if !ok {
				b, err := json.Marshal(tc.msg)
				if err != nil {
					t.Fatal(err)
				}
				body = string(b)
			}
			r := must(t, client(t, &http.Transport{}), "POST", srv.URL+"/services/T0/B0/x", strings.NewReader(body))
			refusals := strings.Join(s.Refusals(), "\n")
			taken := len(s.Messages()) == 1
			if tc.why == "" {
				if r.status != 200 || r.body != "ok" || !taken {
					t.Errorf("%d %s: %s", r.status, r.body, refusals)
				}
				return
			}
			if r.status != 400 || taken || !strings.Contains(refusals, tc.why) {
				t.Errorf("%d, taken %v, refusals %q; want 400 for %q", r.status, taken, refusals, tc.why)
			}
		})
	}
}

func TestMessagesOfOneInstantHaveTimestampsOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := standin.NewSlack("")
		ln := standin.NewMemListener("hooks.example.com:80")
		srv := standin.ServeOn(ln, s)
		defer srv.Close()
		tr := &http.Transport{DialContext: ln.DialContext}
		defer tr.CloseIdleConnections()
		for range 2 {
			must(t, &http.Client{Transport: tr}, "POST", srv.URL+"/services/T/B/x", strings.NewReader(`{"text":"x"}`))
		}
		if m := s.Messages(); len(m) != 2 || m[0].TS == m[1].TS {
			t.Errorf("messages %+v", m)
		}
	})
}

func TestAnUnknownWebhookIs404(t *testing.T) {
	srv := standin.Serve(standin.NewSlack(""))
	t.Cleanup(srv.Close)
	c := client(t, &http.Transport{})
	if r := must(t, c, "POST", srv.URL+"/other", strings.NewReader("{}")); r.status != 404 || !strings.Contains(r.body, "no_service") {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := must(t, c, "GET", srv.URL+"/services/T0/B0/x", nil); r.status != 405 {
		t.Errorf("GET: %d", r.status)
	}
}
