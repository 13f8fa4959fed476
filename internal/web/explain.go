package web

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// Explanation says why something stands where it does. Which fields are set
// follows from About: target (an image), change (image@seq) or delivery.
type Explanation struct {
	What  string `json:"what" doc:"canonical form of what was asked"`
	About string `json:"about" enum:"target,change,delivery"`
	// Target is how the image stands now.
	Target *Target `json:"target,omitempty"`
	// Event is the change asked about, the delivery's event, or the target's
	// last change.
	Event *watcher.Event `json:"event,omitempty"`
	// Routes say what today's routes make of Event; for a target never
	// changed, of a change to come.
	Routes []outbox.Decision `json:"routes"`
	// Deliveries of Event; for a delivery, that one with its audit.
	Deliveries []Delivery `json:"deliveries"`
	// Lines are the target's last history lines.
	Lines []HistoryLine `json:"lines,omitempty"`
}

// ExplainQuery names what to explain.
type ExplainQuery struct {
	What string `query:"what" required:"true" minLength:"1" maxLength:"512" doc:"an image, image@seq, or 4 letters or more of a delivery's ID" example:"python:3.13-slim@42"`
}

// explainLines is how many history lines come with a target.
const explainLines = 5

func (s *Server) explain(ctx context.Context, q *ExplainQuery) (*Explanation, error) {
	what := strings.TrimSpace(q.What)
	if IsDeliveryID(what) {
		return s.explainDelivery(ctx, what)
	}
	if name, seq, ok := splitHandle(what); ok {
		return s.explainChange(ctx, name, seq)
	}
	return s.explainTarget(ctx, what)
}

// IsDeliveryID tells the beginning of a delivery's ID from an image: IDs are
// upper case, repositories never are.
func IsDeliveryID(s string) bool {
	upper := false
	for _, c := range []byte(s) {
		switch {
		case 'A' <= c && c <= 'Z':
			upper = true
		case c < '2' || '7' < c:
			return false
		}
	}
	return upper && len(s) >= minPrefix && len(s) <= 26
}

// splitHandle takes image@seq apart.
func splitHandle(s string) (name string, seq uint64, ok bool) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return "", 0, false
	}
	seq, err := strconv.ParseUint(s[i+1:], 10, 64)
	return s[:i], seq, err == nil
}

func (s *Server) explainDelivery(ctx context.Context, prefix string) (*Explanation, error) {
	d, err := s.deliveryByPrefix(ctx, prefix)
	if err != nil {
		return nil, err
	}
	x := &Explanation{What: d.ID, About: "delivery", Event: &d.Event, Routes: s.routed(d.Event)}
	x.Deliveries, err = s.shown(ctx, []outbox.Delivery{d}, true)
	return x, err
}

func (s *Server) explainChange(ctx context.Context, name string, seq uint64) (*Explanation, error) {
	ref, x, err := s.explainImage(ctx, name)
	if err != nil {
		return nil, err
	}
	notes, err := s.cfg.Targets.History(ctx, ref, time.Time{}, maxList)
	if err != nil {
		return nil, err
	}
	for _, n := range notes {
		if n.Event != nil && n.Event.Seq == seq && (n.Kind == watcher.NoteChanged || n.Kind == watcher.NoteBaseline) {
			x.What, x.About = fmt.Sprintf("%s@%d", ref, seq), "change"
			return x, s.aboutEvent(ctx, x, *n.Event)
		}
	}
	return nil, notFound(fmt.Sprintf("%s has no change %d among its last %d lines; its last is %s@%d",
		x.Target.Short, seq, maxList, x.Target.Short, x.Target.Seq), nil)
}

func (s *Server) explainTarget(ctx context.Context, name string) (*Explanation, error) {
	ref, x, err := s.explainImage(ctx, name)
	if err != nil {
		return nil, err
	}
	h, err := s.history(ctx, &HistoryQuery{Ref: ref, Limit: explainLines})
	if err != nil {
		return nil, err
	}
	x.What, x.About, x.Lines = ref, "target", h.Lines
	for _, l := range h.Lines {
		if l.Event != nil && l.Kind == watcher.NoteChanged {
			return x, s.aboutEvent(ctx, x, *l.Event)
		}
	}
	next := watcher.Event{Kind: watcher.Changed, Ref: ref, Seq: x.Target.Seq + 1, At: time.Now(), Labels: x.Target.Labels}
	if x.Target.Family != nil {
		next.Kind, next.Seq = watcher.Appeared, 0
	}
	x.Routes = s.routed(next)
	return x, nil
}

func (s *Server) explainImage(ctx context.Context, name string) (string, *Explanation, error) {
	ref, err := s.canonical(name)
	if err != nil {
		return "", nil, err
	}
	r, err := s.record(ctx, ref)
	if err != nil {
		return "", nil, err
	}
	stretch, err := s.stretches(ctx)
	if err != nil {
		return "", nil, err
	}
	t := target(r, stretch[hostOf(ref)], time.Now())
	return ref, &Explanation{Target: &t, Routes: []outbox.Decision{}, Deliveries: []Delivery{}}, nil
}

// aboutEvent fills in an event, what the routes make of it and its deliveries.
func (s *Server) aboutEvent(ctx context.Context, x *Explanation, e watcher.Event) error {
	rows, err := s.cfg.Queue.Deliveries(ctx, outbox.Query{EventKey: e.Key, Since: plannedSince(e.At), Limit: maxList})
	if err != nil {
		return err
	}
	x.Event, x.Routes = &e, s.routed(e)
	x.Deliveries, err = s.shown(ctx, rows, true)
	return err
}

func (s *Server) routed(e watcher.Event) []outbox.Decision {
	if s.cfg.Router == nil {
		return []outbox.Decision{}
	}
	return s.cfg.Router.Explain(e)
}
