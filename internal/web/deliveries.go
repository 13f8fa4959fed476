package web

import (
	"context"
	"strings"
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// Delivery is one event on its way to one receiver.
type Delivery struct {
	ID       string       `json:"id"`
	Kind     watcher.Kind `json:"kind"`
	Handle   string       `json:"handle" doc:"what it is about" example:"python:3.13-slim@42"`
	Ref      string       `json:"ref"`
	EventKey string       `json:"event_key"`

	Lane   string       `json:"lane" doc:"receiver, or receiver:address" example:"slack:#shop"`
	Route  string       `json:"route" doc:"the route that planned it" example:"route[1]"`
	State  outbox.State `json:"state" enum:"waiting,delivered,skipped,dead,superseded"`
	Reason string       `json:"reason,omitempty"`
	By     string       `json:"by,omitempty" doc:"the delivery that superseded it"`
	Link   string       `json:"link,omitempty" doc:"where the message is"`

	CreatedAt time.Time `json:"created_at"`
	HeldUntil time.Time `json:"held_until,omitzero"`
	HeldFor   string    `json:"held_for,omitempty"`
	// NextAt is when a waiting one is tried next: its own time, or its lane's
	// next probe while that fails.
	NextAt    time.Time `json:"next_at,omitzero"`
	SettledAt time.Time `json:"settled_at,omitzero"`

	Attempts int       `json:"attempts" doc:"at most the last 50 are kept"`
	Last     *Attempt  `json:"last,omitempty"`
	Audit    []Attempt `json:"audit,omitempty" doc:"every attempt kept, oldest first; only when asked by id"`
}

// Attempt is one try at a delivery.
type Attempt struct {
	At      time.Time      `json:"at"`
	TookMS  int64          `json:"took_ms"`
	Outcome outbox.Outcome `json:"outcome" enum:"delivered,retry,refused,snoozed,panic"`
	Answer  string         `json:"answer,omitempty" doc:"first bytes of the answer, or the error"`
}

// DeliveryList is the answer of GET deliveries.
type DeliveryList struct {
	Deliveries []Delivery `json:"deliveries" doc:"newest first"`
	// More: there are more than the limit let through.
	More bool `json:"more,omitempty"`
}

// DeliveriesQuery selects deliveries; zero fields select all.
type DeliveriesQuery struct {
	ID       string    `query:"id" minLength:"4" maxLength:"26" doc:"a prefix of the ID"`
	Receiver string    `query:"receiver" maxLength:"256" doc:"a receiver, or receiver:address"`
	State    string    `query:"state" enum:"waiting,delivered,skipped,dead,superseded"`
	Since    time.Time `query:"since" doc:"created at or after"`
	Image    string    `query:"image" maxLength:"512"`
	Limit    int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func (s *Server) deliveries(ctx context.Context, q *DeliveriesQuery) (*DeliveryList, error) {
	query := outbox.Query{ID: strings.ToUpper(q.ID), Receiver: q.Receiver, State: outbox.State(q.State),
		Since: q.Since, Limit: min(q.Limit+1, maxList)}
	if q.Image != "" {
		ref, err := s.canonical(q.Image)
		if err != nil {
			return nil, err
		}
		query.Ref = ref
	}
	rows, err := s.cfg.Queue.Deliveries(ctx, query)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 && q.Receiver != "" {
		if err := s.knownReceiver(ctx, q.Receiver); err != nil {
			return nil, err
		}
	}
	list := &DeliveryList{More: len(rows) > q.Limit || len(rows) == maxList}
	list.Deliveries, err = s.shown(ctx, rows[:min(len(rows), q.Limit)], q.ID != "")
	return list, err
}

// shown is rows as the API shows them.
func (s *Server) shown(ctx context.Context, rows []outbox.Delivery, audit bool) ([]Delivery, error) {
	lanes, err := s.cfg.Queue.Lanes(ctx)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]outbox.Lane, len(lanes))
	for _, l := range lanes {
		byName[l.Lane.Name] = l.Lane
	}
	out := make([]Delivery, 0, len(rows))
	for _, d := range rows {
		out = append(out, delivery(d, byName[d.Lane()], audit))
	}
	return out, nil
}

func delivery(d outbox.Delivery, lane outbox.Lane, audit bool) Delivery {
	v := Delivery{
		ID: d.ID, Kind: d.Event.Kind, Handle: d.Event.Handle(), Ref: d.Event.Ref, EventKey: d.EventKey,
		Lane: d.Lane(), Route: d.Route, State: d.State, Reason: d.Reason, By: d.By, Link: d.Receipt.Link,
		CreatedAt: d.CreatedAt, SettledAt: d.SettledAt, Attempts: len(d.Attempts),
	}
	if d.State == outbox.Waiting {
		v.HeldUntil, v.HeldFor, v.NextAt = d.Hold, d.HoldFor, d.Due()
		if lane.Failing() && lane.ProbeAt.After(v.NextAt) {
			v.NextAt = lane.ProbeAt
		}
	}
	for i, a := range d.Attempts {
		shown := Attempt{At: a.At, TookMS: a.Took.Milliseconds(), Outcome: a.Outcome, Answer: a.Answer}
		if audit {
			v.Audit = append(v.Audit, shown)
		}
		if i == len(d.Attempts)-1 {
			v.Last = &shown
		}
	}
	return v
}

// knownReceiver refuses what is neither a configured receiver nor a lane with
// work, with the names that are near.
func (s *Server) knownReceiver(ctx context.Context, name string) error {
	receiver, _ := outbox.SplitLane(name)
	var known []string
	for _, r := range s.cfg.Receivers() {
		if r.Name == receiver {
			return nil
		}
		known = append(known, r.Name)
	}
	lanes, err := s.cfg.Queue.Lanes(ctx)
	if err != nil {
		return err
	}
	for _, l := range lanes {
		if r, _ := outbox.SplitLane(l.Lane.Name); r == receiver {
			return nil
		}
	}
	near := nearest(receiver, known)
	if len(near) == 0 {
		near = known[:min(len(known), nearCount)]
	}
	return notFound("no receiver is called "+receiver, near)
}
