package web

import (
	"context"
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// History is the answer of GET history.
type History struct {
	Ref   string        `json:"ref"`
	Lines []HistoryLine `json:"lines" doc:"newest first"`
	// More: there are older lines than the limit let through.
	More bool `json:"more,omitempty"`
}

// HistoryLine is one line of a target's history: a change, or what was seen
// and told to nobody.
type HistoryLine struct {
	At    time.Time        `json:"at"`
	Kind  watcher.NoteKind `json:"kind" example:"changed"`
	Seq   uint64           `json:"seq,omitempty"`
	Index string           `json:"index,omitempty"`
	Text  string           `json:"text,omitempty"`
	// Told of Planned deliveries arrived, by themselves or named in a newer
	// message.
	Told    int            `json:"told"`
	Planned int            `json:"planned"`
	Event   *watcher.Event `json:"event,omitempty"`
}

// HistoryQuery asks for one image's history.
type HistoryQuery struct {
	Ref   string    `query:"ref" required:"true" minLength:"1" maxLength:"512" example:"python:3.13-slim"`
	Since time.Time `query:"since" doc:"only at or after"`
	Limit int       `query:"limit" minimum:"1" maximum:"1000" default:"50"`
}

func (s *Server) history(ctx context.Context, q *HistoryQuery) (*History, error) {
	ref, err := s.canonical(q.Ref)
	if err != nil {
		return nil, err
	}
	if _, err := s.record(ctx, ref); err != nil {
		return nil, err
	}
	notes, err := s.cfg.Targets.History(ctx, ref, q.Since, q.Limit+1)
	if err != nil {
		return nil, err
	}
	h := &History{Ref: ref, Lines: []HistoryLine{}, More: len(notes) > q.Limit || len(notes) == maxList}
	notes = notes[:min(len(notes), q.Limit)]
	if len(notes) == 0 {
		return h, nil
	}
	rows, err := s.cfg.Queue.Deliveries(ctx, outbox.Query{Ref: ref, Since: plannedSince(notes[len(notes)-1].At), Limit: maxList})
	if err != nil {
		return nil, err
	}
	counts := tally(rows)
	for _, n := range notes {
		h.Lines = append(h.Lines, line(n, counts))
	}
	return h, nil
}

// plannedSince is when the deliveries of what was seen at some time may first
// have been planned: a bound for the search, with room for a clock set back.
func plannedSince(seen time.Time) time.Time { return seen.Add(-time.Hour) }

func line(n watcher.Note, counts map[string]told) HistoryLine {
	l := HistoryLine{At: n.At, Kind: n.Kind, Index: n.Index, Text: n.Text, Event: n.Event}
	if n.Event != nil {
		c := counts[n.Event.Key]
		l.Seq, l.Told, l.Planned = n.Event.Seq, c.arrived, c.planned
	}
	return l
}

type told struct{ arrived, planned int }

// tally counts deliveries by their event. A superseded row has arrived when
// what superseded it has.
func tally(rows []outbox.Delivery) map[string]told {
	byID := make(map[string]outbox.Delivery, len(rows))
	for _, d := range rows {
		byID[d.ID] = d
	}
	out := map[string]told{}
	for _, d := range rows {
		t := out[d.EventKey]
		t.planned++
		if arrived(d, byID) {
			t.arrived++
		}
		out[d.EventKey] = t
	}
	return out
}

func arrived(d outbox.Delivery, byID map[string]outbox.Delivery) bool {
	for range maxList {
		if d.State != outbox.Superseded {
			break
		}
		d = byID[d.By]
	}
	return d.State == outbox.Delivered
}
