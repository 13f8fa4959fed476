package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// RetryRequest makes waiting deliveries due now: all of a receiver (or lane),
// or those named. Exactly one of the two is set.
type RetryRequest struct {
	Receiver string   `json:"receiver,omitempty" maxLength:"256" example:"slack"`
	IDs      []string `json:"ids,omitempty" maxItems:"1000" doc:"unique prefixes of 4 letters or more"`
}

// Retried is the answer of POST retry.
type Retried struct {
	Retried int `json:"retried" doc:"how many are due now"`
}

func (s *Server) retry(ctx context.Context, in *RetryRequest) (*Retried, error) {
	if s.cfg.Mover == nil {
		return nil, unavailable("retry")
	}
	if (in.Receiver == "") == (len(in.IDs) == 0) {
		return nil, problem(http.StatusUnprocessableEntity, "name a receiver or IDs, one of the two")
	}
	if in.Receiver != "" {
		if err := s.knownReceiver(ctx, in.Receiver); err != nil {
			return nil, err
		}
	}
	rows, err := s.resolve(ctx, in.IDs)
	if err != nil {
		return nil, err
	}
	for _, d := range rows {
		if d.State != outbox.Waiting {
			return nil, problem(http.StatusConflict, fmt.Sprintf("%s is %s, not waiting; send it again with: basewatch replay %s", d.ID, d.State, d.ID))
		}
	}
	n, err := s.cfg.Mover.Retry(ctx, in.Receiver, ids(rows))
	return &Retried{Retried: n}, err
}

// ReplayRequest sends settled deliveries again: those named, or all of a
// receiver since a time that were delivered, superseded or given up.
type ReplayRequest struct {
	IDs      []string  `json:"ids,omitempty" maxItems:"1000" doc:"unique prefixes of 4 letters or more"`
	Receiver string    `json:"receiver,omitempty" maxLength:"256"`
	Since    time.Time `json:"since,omitzero" doc:"needed with receiver: created at or after"`
	State    string    `json:"state,omitempty" enum:"delivered,dead,superseded" doc:"with receiver: only these"`
	DryRun   bool      `json:"dry_run,omitempty" doc:"only list what would be sent"`
}

// Replayed is the answer of POST replay.
type Replayed struct {
	Replayed   int        `json:"replayed" doc:"how many wait again; 0 on a dry run"`
	Deliveries []Delivery `json:"deliveries"`
}

func (s *Server) replay(ctx context.Context, in *ReplayRequest) (*Replayed, error) {
	if s.cfg.Mover == nil && !in.DryRun {
		return nil, unavailable("replay")
	}
	rows, err := s.replayed(ctx, in)
	if err != nil {
		return nil, err
	}
	out := &Replayed{}
	if out.Deliveries, err = s.shown(ctx, rows, false); err != nil || in.DryRun || len(rows) == 0 {
		return out, err
	}
	out.Replayed, err = s.cfg.Mover.Replay(ctx, ids(rows))
	return out, err
}

// replayed selects the rows that a replay is about.
func (s *Server) replayed(ctx context.Context, in *ReplayRequest) ([]outbox.Delivery, error) {
	byReceiver := in.Receiver != "" && !in.Since.IsZero()
	if byReceiver == (len(in.IDs) > 0) {
		return nil, problem(http.StatusUnprocessableEntity, "name IDs, or a receiver and since")
	}
	if !byReceiver {
		return s.resolve(ctx, in.IDs)
	}
	if err := s.knownReceiver(ctx, in.Receiver); err != nil {
		return nil, err
	}
	rows, err := s.cfg.Queue.Deliveries(ctx, outbox.Query{Receiver: in.Receiver, Since: in.Since, State: outbox.State(in.State), Limit: maxList})
	if err != nil {
		return nil, err
	}
	if len(rows) == maxList && in.State == "" {
		return nil, problem(http.StatusUnprocessableEntity,
			fmt.Sprintf("%d deliveries or more match; choose a later since, or a state", maxList))
	}
	settled := rows[:0]
	for _, d := range rows {
		if d.State != outbox.Waiting && d.State != outbox.Skipped {
			settled = append(settled, d)
		}
	}
	return settled, nil
}

// minPrefix is the shortest prefix of a delivery ID that is looked for.
const minPrefix = 4

// resolve finds the one delivery that each prefix means.
func (s *Server) resolve(ctx context.Context, prefixes []string) ([]outbox.Delivery, error) {
	var rows []outbox.Delivery
	seen := map[string]bool{}
	for _, p := range prefixes {
		d, err := s.deliveryByPrefix(ctx, p)
		if err != nil {
			return nil, err
		}
		if !seen[d.ID] {
			seen[d.ID], rows = true, append(rows, d)
		}
	}
	return rows, nil
}

func (s *Server) deliveryByPrefix(ctx context.Context, prefix string) (outbox.Delivery, error) {
	prefix = strings.ToUpper(strings.TrimSpace(prefix))
	if len(prefix) < minPrefix {
		return outbox.Delivery{}, problem(http.StatusUnprocessableEntity, fmt.Sprintf("%q is too short for a delivery; give %d letters or more", prefix, minPrefix))
	}
	rows, err := s.cfg.Queue.Deliveries(ctx, outbox.Query{ID: prefix, Limit: nearCount})
	switch {
	case err != nil:
		return outbox.Delivery{}, err
	case len(rows) == 0:
		return outbox.Delivery{}, notFound("no delivery's ID begins with "+prefix, nil)
	case len(rows) > 1:
		p := problem(http.StatusConflict, "more than one delivery's ID begins with "+prefix)
		p.Near = ids(rows)
		return outbox.Delivery{}, p
	}
	return rows[0], nil
}

func ids(rows []outbox.Delivery) []string {
	var out []string
	for _, d := range rows {
		out = append(out, d.ID)
	}
	return out
}

// TestRequest asks for a test event.
type TestRequest struct {
	Receiver string `json:"receiver" minLength:"1" maxLength:"256" doc:"receiver, or receiver:address" example:"slack:#shop"`
	Event    string `json:"event,omitempty" maxLength:"64" doc:"the kind to imitate; default test"`
}

// Tested is the answer of POST test: what was sent, and its delivery to follow.
type Tested struct {
	Event      watcher.Event `json:"event"`
	Deliveries []Delivery    `json:"deliveries"`
}

func (s *Server) test(ctx context.Context, in *TestRequest) (*Tested, error) {
	if s.cfg.Tester == nil {
		return nil, unavailable("test")
	}
	kind, err := kindNamed(in.Event)
	if err != nil {
		return nil, err
	}
	if err := s.configured(in.Receiver); err != nil {
		return nil, err
	}
	e, err := s.cfg.Tester.Test(ctx, in.Receiver, kind)
	if err != nil {
		return nil, err
	}
	rows, err := s.cfg.Queue.Deliveries(ctx, outbox.Query{EventKey: e.Key, Since: plannedSince(e.At), Limit: maxList})
	if err != nil {
		return nil, err
	}
	out := &Tested{Event: e}
	out.Deliveries, err = s.shown(ctx, rows, false)
	return out, err
}

func kindNamed(name string) (watcher.Kind, error) {
	if name == "" {
		return watcher.Test, nil
	}
	var known []string
	for _, k := range watcher.Sent() {
		if string(k) == name {
			return k, nil
		}
		known = append(known, string(k))
	}
	p := problem(http.StatusUnprocessableEntity, fmt.Sprintf("no event that can be sent is called %q", name))
	p.Near = known
	return "", p
}

// configured refuses a receiver that no configuration names.
func (s *Server) configured(lane string) error {
	receiver, _ := outbox.SplitLane(lane)
	var known []string
	for _, r := range s.cfg.Receivers() {
		if r.Name == receiver {
			return nil
		}
		known = append(known, r.Name)
	}
	return notFound("no receiver is called "+receiver, known[:min(len(known), maxList)])
}
