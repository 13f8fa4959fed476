package standin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Slack is a workspace: incoming webhooks at any path below /services/, and
// the methods auth.test, chat.postMessage and chat.update below /api/ (so
// api_url is Server.URL + "/api/").
//
// It refuses messages that Slack would refuse, and, as invalid_blocks too, what
// basewatch promises never to send: no fallback text, a mention, characters
// that are not escaped. See [Slack.Refusals].
type Slack struct {
	Script
	requests
	// Token is what the API wants as a bearer token.
	Token string

	mu       sync.Mutex
	last     time.Time
	trouble  map[string]string // error by channel
	hooks    map[string]string // channel by webhook path
	refusals []string
	messages journal[SlackMessage]
}

// SlackMessage is a message as it stands in its channel now.
type SlackMessage struct {
	At time.Time
	// Channel is the channel's ID, C and ten letters; Via the name or path that
	// was posted to.
	Channel, Via string
	TS           string
	ThreadTS     string // of the message that it answers
	Text         string
	Blocks       []Block
	Edits        int // times it was updated
}

// Plain is all that the message shows: its blocks, or its text when it has
// none.
func (m SlackMessage) Plain() string {
	if len(m.Blocks) == 0 {
		return m.Text
	}
	var lines []string
	for _, b := range m.Blocks {
		b.texts(func(t Text) { lines = append(lines, t.Text) })
	}
	return strings.Join(lines, "\n")
}

// NewSlack makes a workspace that takes one bot token and knows every channel.
func NewSlack(token string) *Slack {
	return &Slack{Token: token, trouble: map[string]string{}, hooks: map[string]string{}}
}

// ChannelID is the ID that a channel name has.
func ChannelID(name string) string {
	if isChannelID(name) {
		return name
	}
	return "C" + strings.ToUpper(strings.TrimPrefix(digestOf([]byte(strings.TrimPrefix(name, "#"))), "sha256:")[:10])
}

func isChannelID(s string) bool {
	return len(s) == 11 && s[0] == 'C' && strings.ToUpper(s) == s
}

// Refuse makes the API answer all that goes to a channel with an error, such as
// channel_not_found, is_archived or not_in_channel; an empty one ends it.
func (s *Slack) Refuse(channel, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble[ChannelID(channel)] = code
}

// Forget removes a message, so that it can be neither updated nor answered.
// The message stays listed, with an empty TS.
func (s *Slack) Forget(ts string) {
	s.messages.edit(func(m *SlackMessage) bool {
		if m.TS != ts {
			return false
		}
		m.TS = ""
		return true
	})
}

// Messages lists all messages, oldest first, as they stand after updates.
func (s *Slack) Messages() []SlackMessage { return s.messages.all() }

// Wait returns all messages as soon as there are n.
func (s *Slack) Wait(ctx context.Context, n int) ([]SlackMessage, error) {
	return s.messages.wait(ctx, n)
}

// Refusals says why messages were refused for what they are: a test that did
// not mean to send a bad one finds it empty.
func (s *Slack) Refusals() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.refusals...)
}

// ServeHTTP answers one request.
func (s *Slack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.observe(w, r, func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, s.answer)
	})
}

func (s *Slack) answer(w http.ResponseWriter, r *http.Request) {
	method, isAPI := strings.CutPrefix(r.URL.Path, "/api/")
	switch {
	case isAPI:
		s.api(w, r, method)
	case strings.HasPrefix(r.URL.Path, "/services/"):
		s.hook(w, r)
	default:
		http.Error(w, "no_service", http.StatusNotFound)
	}
}

// hook takes a post to an incoming webhook. Errors are plain words.
func (s *Slack) hook(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "invalid_method", http.StatusMethodNotAllowed)
		return
	}
	body, _ := io.ReadAll(r.Body)
	p, err := parsePayload(body)
	if err == nil {
		err = p.check()
	}
	if err != nil {
		s.refused(err)
		http.Error(w, err.code, http.StatusBadRequest)
		return
	}
	s.messages.add(SlackMessage{
		At: time.Now(), Channel: ChannelID(r.URL.Path), Via: r.URL.Path,
		TS: s.stamp(), ThreadTS: p.ThreadTS, Text: p.Text, Blocks: p.Blocks,
	})
	_, _ = io.WriteString(w, "ok")
}

// stamp makes the next ts: Unix seconds with six decimals, never the same twice.
func (s *Slack) stamp() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().Truncate(time.Microsecond)
	if !now.After(s.last) {
		now = s.last.Add(time.Microsecond)
	}
	s.last = now
	return fmt.Sprintf("%d.%06d", now.Unix(), now.Nanosecond()/1000)
}

func (s *Slack) refused(err *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals = append(s.refusals, err.Error())
}

// payload is a message on its way in, by webhook or API.
type payload struct {
	Channel     string       `json:"channel"`
	TS          string       `json:"ts"`
	ThreadTS    string       `json:"thread_ts"`
	Text        string       `json:"text"`
	Blocks      []Block      `json:"blocks"`
	Attachments []attachment `json:"attachments"`
	LinkNames   any          `json:"link_names"`
	Parse       string       `json:"parse"`
}

type attachment struct {
	Blocks []Block `json:"blocks"`
}

func parsePayload(body []byte) (payload, *refusal) {
	var p payload
	if err := json.Unmarshal(body, &p); err != nil {
		return p, refusef("invalid_payload", "not a message: %v", err)
	}
	return p, nil
}
