package notify

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"basewatch/internal/text"
)

// chatService is what basewatch has to know of a service of shoutrrr.
type chatService struct {
	// host is where its requests go, by its URL.
	host func(u *url.URL) string
	// limit is how long a message may be, in bytes, so that it is one request.
	limit int
	// title says that the service shows a title of its own.
	title bool
	// markdown says that text is markup there, so that what came from outside
	// must be code.
	markdown bool
}

const (
	chatTitle     = 180  // runes
	chatLimit     = 3500 // where nothing else is known: ntfy, Telegram and others take 4096
	discordLimit  = 1900 // a longer one is cut into several by shoutrrr
	pushoverLimit = 1000
	zulipLimit    = 9000
)

// chatServices are the services, by the scheme of their URLs, as of shoutrrr
// v0.13.2. Its slack, smtp and logger are left out: we have better ones, and
// smtp does not go by HTTP.
func chatServices() map[string]chatService {
	own := func(u *url.URL) string { return u.Host }
	at := func(host string) func(*url.URL) string { return func(*url.URL) string { return host } }
	or := func(host string) func(*url.URL) string {
		return func(u *url.URL) string {
			if u.Host == "" {
				return host
			}
			return u.Host
		}
	}
	return map[string]chatService{
		"bark":       {host: own, limit: chatLimit, title: true},
		"discord":    {host: at("discord.com"), limit: discordLimit, title: true, markdown: true},
		"generic":    {host: own, limit: chatLimit},
		"googlechat": {host: own, limit: chatLimit, markdown: true},
		"gotify":     {host: own, limit: chatLimit, title: true},
		"hangouts":   {host: own, limit: chatLimit, markdown: true},
		"ifttt":      {host: at("maker.ifttt.com"), limit: chatLimit},
		"join":       {host: at("joinjoaomgcd.appspot.com"), limit: chatLimit, title: true},
		"lark":       {host: or("open.larksuite.com"), limit: chatLimit, title: true},
		"matrix":     {host: own, limit: chatLimit},
		"mattermost": {host: own, limit: chatLimit, markdown: true},
		"notifiarr":  {host: at("notifiarr.com"), limit: discordLimit, markdown: true},
		"ntfy":       {host: own, limit: chatLimit, title: true},
		"opsgenie":   {host: or("api.opsgenie.com"), limit: chatLimit, title: true},
		"pagerduty":  {host: or("events.pagerduty.com"), limit: pushoverLimit},
		"pushbullet": {host: at("api.pushbullet.com"), limit: chatLimit, title: true},
		"pushover":   {host: at("api.pushover.net"), limit: pushoverLimit, title: true},
		"rocketchat": {host: own, limit: chatLimit, markdown: true},
		"signal":     {host: own, limit: chatLimit},
		"teams":      {host: func(u *url.URL) string { return u.Query().Get("host") }, limit: chatLimit, title: true, markdown: true},
		"telegram":   {host: at("api.telegram.org"), limit: chatLimit},
		"wecom":      {host: at("qyapi.weixin.qq.com"), limit: chatLimit},
		"zulip":      {host: own, limit: zulipLimit, markdown: true},
	}
}

// chatSchemes lists the schemes, sorted.
func chatSchemes() []string { return slices.Sorted(maps.Keys(chatServices())) }

// chatElsewhere is the kind of receiver to use for a service that is left out.
func chatElsewhere(scheme string) string {
	return map[string]string{"slack": "slack", "smtp": "email", "logger": "log"}[scheme]
}

// inert makes values harmless where text is markup: one that could become a
// link, a mention or a quote is shown as code, line by line.
func inert(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.ContainsAny(l, "[]<>@`!") || strings.Contains(l, "://") || strings.Contains(strings.ToLower(l), "www.") {
			lines[i] = codeSpan(l)
		}
	}
	return strings.Join(lines, "\n")
}

func codeSpan(s string) string { return "`" + strings.ReplaceAll(s, "`", "'") + "`" }

// chat renders the story for a service: a title and a text that fits.
func (c chatService) render(s story) (title, body string) {
	title = text.Plain(s.headline(), chatTitle)
	if c.markdown {
		title = inert(title)
	}
	room := c.limit
	if !c.title {
		room -= len(title) + 2
	}
	body = fit(append(c.lines(s.Body), c.lines(s.Foot)...), room)
	if !c.title {
		return title, title + "\n\n" + body
	}
	return title, body
}

func (c chatService) lines(ls []line) []string {
	var out []string
	for _, l := range ls {
		var b strings.Builder
		for _, s := range l {
			switch {
			case s.URL != "":
				b.WriteString(s.Text + ": " + s.URL)
			case s.Fact && c.markdown && s.Text != "":
				b.WriteString(codeSpan(s.Text))
			default:
				b.WriteString(s.Text)
			}
		}
		if b.Len() > 0 {
			out = append(out, b.String())
		}
	}
	return out
}

// fit joins as many lines as have room, in bytes, and counts what is left out.
// A single line that is too long is cut.
func fit(lines []string, room int) string {
	if whole := strings.Join(lines, "\n"); len(whole) <= room {
		return whole
	}
	const tail = 32 // for: … and 123 lines more
	used := 0
	for i, l := range lines {
		if used += len(l) + 1; used <= room-tail {
			continue
		}
		kept := lines[:i]
		if i == 0 {
			kept = []string{cutBytes(l, room-tail)}
			i = 1
		}
		if i == len(lines) {
			return kept[0]
		}
		return strings.Join(kept, "\n") + fmt.Sprintf("\n… and %d lines more", len(lines)-i)
	}
	return ""
}

// cutBytes shortens s to at most n bytes, between runes.
func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	end := 0
	for i := range s {
		if i > n-len("…") {
			break
		}
		end = i
	}
	return s[:end] + "…"
}
