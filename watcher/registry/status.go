package registry

import "time"

// Kind is what a request is for: few, bounded, fit for a metric label.
type Kind string

// The kinds of requests.
const (
	Head  Kind = "head"  // a tag's digest
	Get   Kind = "get"   // an index or a manifest
	Token Kind = "token" // a bearer token
	Blob  Kind = "blob"  // an image's config
	Tags  Kind = "tags"  // a page of a tag list
)

// Kinds lists every kind.
func Kinds() []Kind { return []Kind{Head, Get, Token, Blob, Tags} }

// Observer hears of every request, as it ends. It is called by many goroutines
// and must not block. Hosts are named as in image references.
type Observer interface {
	// Request tells a request's HTTP status; 0: there was no answer.
	Request(host string, kind Kind, status int)
	// Quota tells what a host says is left of its limit of pulls.
	Quota(host string, remaining, limit int)
}

type nobody struct{}

func (nobody) Request(string, Kind, int) {}
func (nobody) Quota(string, int, int)    {}

// HostStatus is what is known of one registry host now.
type HostStatus struct {
	Host string `json:"host"`
	// PausedUntil is when the host may be asked again, zero when it may now;
	// Reason says why.
	PausedUntil time.Time `json:"paused_until,omitzero"`
	Reason      string    `json:"reason,omitempty"`
	// Remaining of Limit pulls within Window, as the host last said. Limited is
	// false while it said nothing, or not lately.
	Limited   bool          `json:"limited"`
	Remaining int           `json:"remaining,omitempty"`
	Limit     int           `json:"limit,omitempty"`
	Window    time.Duration `json:"window,omitempty"`
	// PerMinute is the configured ceiling, 0 when there is none.
	PerMinute int `json:"per_minute,omitempty"`
	InFlight  int `json:"in_flight"`
	Waiting   int `json:"waiting"`
	// WithoutHead: each look costs a GET, since HEAD does not work there.
	WithoutHead bool `json:"without_head,omitempty"`
	PlainHTTP   bool `json:"plain_http,omitempty"`
	// Troubles are what somebody should know now, in words: pulls that must
	// wait, a login that is switched off.
	Troubles []string `json:"troubles,omitempty"`
	// LastError is the last failure of a request; it may have passed.
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
}

func (h *host) status() HostStatus {
	now := time.Now()
	s := HostStatus{Host: h.name, WithoutHead: h.headless.Load(), PlainHTTP: h.cfg.PlainHTTP, PerMinute: h.cfg.PerMinute}
	if f := h.lastFailure.Load(); f != nil {
		s.LastError, s.LastErrorAt = f.text, f.at
	}
	g := h.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	s.InFlight, s.Waiting = g.inFlight, g.waiting
	if g.pausedUntil.After(now) {
		s.PausedUntil, s.Reason = g.pausedUntil, g.reason
	}
	if q := g.pulls.quota; q.known(now) {
		s.Limited, s.Remaining, s.Limit, s.Window = true, q.remaining, q.limit, q.window
	}
	if at := g.pulls.opensAt(now); at.After(now) {
		s.Troubles = append(s.Troubles, g.pulls.error(h.name, at).Error())
	}
	if why := h.auth.creds.switchedOff(now); why != "" {
		s.Troubles = append(s.Troubles, why)
	}
	return s
}
