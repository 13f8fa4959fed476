package standin

import (
	"context"
	"io"
	"net/http"
	"time"
)

// Webhook is the far end of a webhook: it takes what is posted to any path and
// answers 200.
type Webhook struct {
	Script
	requests
	taken journal[WebhookMessage]
}

// WebhookMessage is one post that was taken.
type WebhookMessage struct {
	At     time.Time
	Path   string
	Header http.Header
	Body   []byte
}

// NewWebhook makes a webhook that takes everything.
func NewWebhook() *Webhook { return &Webhook{} }

// ServeHTTP takes a post, or answers by the script. Other methods get 405,
// bodies over 1 MiB 413.
func (h *Webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.observe(w, r, func(w http.ResponseWriter, r *http.Request) {
		h.serve(w, r, h.take)
	})
}

func (h *Webhook) take(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "post only", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.taken.add(WebhookMessage{At: time.Now(), Path: r.URL.Path, Header: r.Header.Clone(), Body: body})
	_, _ = io.WriteString(w, "ok")
}

// Messages lists what was taken, oldest first.
func (h *Webhook) Messages() []WebhookMessage { return h.taken.all() }

// ByID counts the messages taken by their webhook-id: the ledger in which a
// repeat shows.
func (h *Webhook) ByID() map[string]int {
	n := map[string]int{}
	for _, m := range h.taken.all() {
		n[m.Header.Get("Webhook-Id")]++
	}
	return n
}

// Wait returns all messages as soon as n were taken.
func (h *Webhook) Wait(ctx context.Context, n int) ([]WebhookMessage, error) {
	return h.taken.wait(ctx, n)
}
