package standin

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// api answers a method of the Web API. Errors are 200 with ok false, as Slack
// has it.
func (s *Slack) api(w http.ResponseWriter, r *http.Request, method string) {
	p, token, err := readCall(r)
	var result map[string]any
	switch {
	case err != nil:
	case token == "":
		err = refusef("not_authed", "no token")
	case token != s.Token:
		err = refusef("invalid_auth", "wrong token")
	case method == "auth.test":
		result = map[string]any{"team": "acme", "user": "basewatch", "team_id": "T0ACME", "user_id": "U0BASEWATCH", "bot_id": "B0BASEWATCH"}
	case method == "chat.postMessage":
		result, err = s.post(p)
	case method == "chat.update":
		result, err = s.update(p)
	default:
		err = refusef("unknown_method", "no method %s", method)
	}
	if err != nil {
		s.refused(err)
		result = map[string]any{"error": err.code}
	}
	if result == nil {
		result = map[string]any{}
	}
	result["ok"] = err == nil
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(result)
}

// readCall reads arguments as a form, with blocks as JSON in it, or as JSON.
func readCall(r *http.Request) (payload, string, *refusal) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	body, _ := io.ReadAll(r.Body)
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		p, err := parsePayload(body)
		return p, token, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return payload{}, "", refusef("invalid_form_data", "not a form: %v", err)
	}
	if token == "" {
		token = form.Get("token")
	}
	p := payload{
		Channel: form.Get("channel"), TS: form.Get("ts"), ThreadTS: form.Get("thread_ts"),
		Text: form.Get("text"), Parse: form.Get("parse"),
	}
	if v := form.Get("link_names"); v != "" {
		p.LinkNames = v
	}
	for field, into := range map[string]any{"blocks": &p.Blocks, "attachments": &p.Attachments} {
		if raw := form.Get(field); raw != "" {
			if err := json.Unmarshal([]byte(raw), into); err != nil {
				return p, token, refusef("invalid_blocks", "%s: not JSON: %v", field, err)
			}
		}
	}
	return p, token, nil
}

func (s *Slack) post(p payload) (map[string]any, *refusal) {
	if err := s.open(p.Channel); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	id := ChannelID(p.Channel)
	if p.ThreadTS != "" && !s.stands(id, p.ThreadTS) {
		return nil, refusef("thread_not_found", "thread %s in %s", p.ThreadTS, p.Channel)
	}
	m := SlackMessage{
		At: time.Now(), Channel: id, Via: p.Channel,
		TS: s.stamp(), ThreadTS: p.ThreadTS, Text: p.Text, Blocks: p.Blocks,
	}
	s.messages.add(m)
	return map[string]any{"channel": id, "ts": m.TS, "message": map[string]any{"text": m.Text, "ts": m.TS, "thread_ts": m.ThreadTS}}, nil
}

// update replaces a message. Unlike a post it wants the channel's ID.
func (s *Slack) update(p payload) (map[string]any, *refusal) {
	if !isChannelID(p.Channel) {
		return nil, refusef("channel_not_found", "chat.update wants a channel ID, not %q", p.Channel)
	}
	if err := s.open(p.Channel); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	found := s.messages.edit(func(m *SlackMessage) bool {
		if m.Channel != p.Channel || m.TS == "" || m.TS != p.TS {
			return false
		}
		m.Text, m.Blocks = p.Text, p.Blocks
		m.Edits++
		return true
	})
	if !found {
		return nil, refusef("message_not_found", "message %s in %s", p.TS, p.Channel)
	}
	return map[string]any{"channel": p.Channel, "ts": p.TS, "text": p.Text}, nil
}

// open checks that a channel takes messages.
func (s *Slack) open(channel string) *refusal {
	if channel == "" {
		return refusef("channel_not_found", "no channel")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if code := s.trouble[ChannelID(channel)]; code != "" {
		return refusef(code, "channel %s", channel)
	}
	return nil
}

func (s *Slack) stands(channel, ts string) bool {
	return s.messages.edit(func(m *SlackMessage) bool { return m.Channel == channel && m.TS == ts })
}
