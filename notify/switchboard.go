package notify

import (
	"context"
	"net/http"
	"strings"
	"sync"
)

// Switchboard brings requests of shoutrrr to the attempt that they belong to.
//
// Most of shoutrrr's services send by http.DefaultTransport and take no client
// and no context. A program that has [Chat] receivers therefore puts a
// Switchboard there, once, before it makes any; what it sends itself passes
// through. While an attempt is under way its service's host belongs to it: its
// requests go through the receiver's own client, with its address rules, proxy
// and CA, and end with its context. Attempts at one host take turns.
//
// Safe for concurrent use.
type Switchboard struct {
	next http.RoundTripper

	mu    sync.Mutex
	turns map[string]*turn // by hostname
}

// NewSwitchboard makes one that passes on to next what belongs to no attempt.
func NewSwitchboard(next http.RoundTripper) *Switchboard {
	return &Switchboard{next: next, turns: map[string]*turn{}}
}

// turn is a host's: who has it, and how many want it.
type turn struct {
	free   chan struct{} // holds one token while nobody has the turn
	wanted int
	owner  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (b *Switchboard) RoundTrip(r *http.Request) (*http.Response, error) {
	b.mu.Lock()
	to := b.next
	if t := b.turns[chatHost(r.URL.Host)]; t != nil && t.owner != nil {
		to = t.owner
	}
	b.mu.Unlock()
	return to.RoundTrip(r)
}

// take waits for the turn of a host and gives it to owner until end is called.
func (b *Switchboard) take(ctx context.Context, host string, owner http.RoundTripper) (end func(), err error) {
	host = chatHost(host)
	b.mu.Lock()
	t := b.turns[host]
	if t == nil {
		t = &turn{free: make(chan struct{}, 1)}
		t.free <- struct{}{}
		b.turns[host] = t
	}
	t.wanted++
	b.mu.Unlock()
	select {
	case <-t.free:
		b.own(t, owner)
		return func() {
			b.own(t, nil)
			t.free <- struct{}{}
			b.leave(host, t)
		}, nil
	case <-ctx.Done():
		b.leave(host, t)
		return nil, ctx.Err()
	}
}

func (b *Switchboard) own(t *turn, owner http.RoundTripper) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t.owner = owner
}

func (b *Switchboard) leave(host string, t *turn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.wanted--; t.wanted == 0 {
		delete(b.turns, host)
	}
}

// chatHost is a host without its port, as names are compared.
func chatHost(hostport string) string {
	host := hostport
	if i := strings.LastIndex(host, ":"); i > strings.LastIndex(host, "]") {
		host = host[:i]
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}
