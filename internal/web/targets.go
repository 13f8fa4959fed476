package web

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"basewatch/watcher"
)

// Standing is where a target stands, in one word.
type Standing string

// The standings. Exactly one holds.
const (
	Fresh    Standing = "fresh"    // its last good look is not older than three intervals
	Settling Standing = "settling" // it moved, and is not told yet
	Failing  Standing = "failing"  // its last look failed
	Gone     Standing = "gone"     // its tag was deleted
	Late     Standing = "late"     // its last good look is older than that
	Unseen   Standing = "unseen"   // never looked at
	Asleep   Standing = "asleep"   // no configuration names it any more
)

// Target is one watched image.
type Target struct {
	Ref      string   `json:"ref" doc:"canonical name" example:"docker.io/library/python:3.13-slim"`
	Short    string   `json:"short" doc:"as people write it" example:"python:3.13-slim"`
	Standing Standing `json:"standing" enum:"fresh,settling,failing,gone,late,unseen,asleep"`
	Seq      uint64   `json:"seq" doc:"number of its last change; 0: the baseline"`
	Index    string   `json:"index,omitempty" doc:"index digest last told, or the baseline's"`
	Seen     string   `json:"seen,omitempty" doc:"index digest last seen, also one that is noise"`
	// Platforms are the wanted ones with their digests; empty when not known.
	Platforms    map[string]string   `json:"platforms,omitempty"`
	Labels       map[string][]string `json:"labels,omitempty"`
	EverySeconds int64               `json:"every_seconds"`
	FirstSeen    time.Time           `json:"first_seen,omitzero" doc:"when the told digest was first seen"`
	ToldAt       time.Time           `json:"told_at,omitzero"`
	LastLook     time.Time           `json:"last_look,omitzero"`
	LastGood     time.Time           `json:"last_good,omitzero"`
	NextLook     time.Time           `json:"next_look,omitzero"`

	Pending      *watcher.Snapshot    `json:"pending,omitempty" doc:"a move that has not settled"`
	PendingSince time.Time            `json:"pending_since,omitzero"`
	Awaiting     []string             `json:"awaiting,omitempty" doc:"platforms still to move after a partial change"`
	Missing      map[string]time.Time `json:"missing,omitempty" doc:"wanted platforms that are absent, and since when"`

	Problem      watcher.Problem `json:"problem,omitempty"`
	Reason       string          `json:"reason,omitempty"`
	FailingSince time.Time       `json:"failing_since,omitzero"`
	Failures     int             `json:"failures,omitempty" doc:"failed looks in a row"`
	Told         bool            `json:"told,omitempty" doc:"people were told that it fails"`

	// Family is set for a family of tags, which has no digests of its own.
	Family   *Family   `json:"family,omitempty"`
	Member   bool      `json:"member,omitempty" doc:"watched only because a family found it"`
	FrozenAt time.Time `json:"frozen_at,omitzero" doc:"when it was told that the tag is no longer rebuilt"`
}

// Family is what a family of tags is and found.
type Family struct {
	Pattern  string   `json:"pattern" example:"3.x-slim"`
	Keep     int      `json:"keep" doc:"how many of the newest are watched"`
	Matching int      `json:"matching" doc:"how many tags the pattern meant at the last good look"`
	Newest   []string `json:"newest" doc:"those that are watched, newest first"`
}

// TargetList is the answer of GET targets, sorted by reference.
type TargetList struct {
	Targets []Target `json:"targets"`
	// Next is where to go on (after=…); empty at the end.
	Next string `json:"next,omitempty"`
}

// TargetsQuery selects targets; zero fields select all.
type TargetsQuery struct {
	Standing string `query:"standing" enum:"fresh,settling,failing,gone,late,unseen,asleep" doc:"only these"`
	After    string `query:"after" maxLength:"512" doc:"only references after this one"`
	Limit    int    `query:"limit" minimum:"1" maximum:"1000" default:"1000"`
}

func (s *Server) targets(ctx context.Context, q *TargetsQuery) (*TargetList, error) {
	records, err := s.cfg.Targets.Records(ctx)
	if err != nil {
		return nil, err
	}
	stretch, err := s.stretches(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(records, func(a, b watcher.Record) int { return cmp.Compare(a.Target.Ref, b.Target.Ref) })
	list, now := &TargetList{Targets: []Target{}}, time.Now()
	for _, r := range records {
		if r.Target.Ref <= q.After {
			continue
		}
		t := target(r, stretch[hostOf(r.Target.Ref)], now)
		if q.Standing != "" && t.Standing != Standing(q.Standing) {
			continue
		}
		if len(list.Targets) == q.Limit {
			list.Next = list.Targets[q.Limit-1].Ref
			break
		}
		list.Targets = append(list.Targets, t)
	}
	return list, nil
}

// target is a record as the API shows it. stretch is by how much its host's
// interval is stretched; below 1 means not.
func target(r watcher.Record, stretch float64, now time.Time) Target {
	st, h := r.State, r.State.Health
	t := Target{
		Ref: r.Target.Ref, Short: watcher.Short(r.Target.Ref), Standing: standing(r, stretch, now),
		Seq: st.Seq, Seen: st.Seen, Platforms: map[string]string{}, Labels: r.Target.Labels,
		EverySeconds: int64(r.Target.Every / time.Second),
		ToldAt:       st.ToldAt, LastLook: h.LastLook, LastGood: h.LastGood, NextLook: st.NextAt,
		Pending: st.Pending, PendingSince: st.PendingSince, Awaiting: st.Awaiting, Missing: st.MissingSince,
		Problem: h.Problem, Reason: h.Reason, FailingSince: h.Since, Failures: h.Failures, Told: h.Told || h.Gone,
	}
	t.Member, t.FrozenAt = r.Target.Member, st.FrozenAt
	if r.Target.IsFamily() {
		t.Family, t.Seen = family(r), "" // a family's is no digest of an index
	}
	for _, p := range r.Target.Platforms {
		t.Platforms[p] = ""
	}
	if st.Current != nil {
		t.Index, t.FirstSeen = st.Current.Index, st.Current.SeenAt
		for p := range t.Platforms {
			t.Platforms[p] = st.Current.Platforms[p].Digest
		}
	}
	return t
}

func family(r watcher.Record) *Family {
	_, pattern, _ := watcher.SplitFamily(r.Target.Ref)
	f := &Family{Pattern: pattern, Keep: r.Target.Keep, Newest: []string{}}
	if r.State.Family != nil {
		f.Matching = r.State.Family.Total
		f.Newest = append(f.Newest, r.State.Family.Newest(r.Target.Keep)...)
	}
	return f
}

func standing(r watcher.Record, stretch float64, now time.Time) Standing {
	h := r.State.Health
	limit := time.Duration(3 * max(stretch, 1) * float64(r.Target.Every))
	switch {
	case r.Asleep:
		return Asleep
	case h.Gone:
		return Gone
	case h.Failures > 0:
		return Failing
	case h.LastGood.IsZero():
		return Unseen
	case r.State.Pending != nil:
		return Settling
	case now.Sub(h.LastGood) > limit:
		return Late
	}
	return Fresh
}

// record finds one target, or says which known ones are near.
func (s *Server) record(ctx context.Context, ref string) (watcher.Record, error) {
	found, err := s.cfg.Targets.Records(ctx, ref)
	if err != nil {
		return watcher.Record{}, err
	}
	if len(found) == 0 {
		return watcher.Record{}, s.unknown(ctx, ref)
	}
	return found[0], nil
}

func (s *Server) unknown(ctx context.Context, ref string) error {
	all, err := s.cfg.Targets.Records(ctx)
	if err != nil {
		return err
	}
	known := make([]string, len(all))
	for i, r := range all {
		known[i] = watcher.Short(r.Target.Ref)
	}
	return notFound(watcher.Short(ref)+" is not watched", nearest(watcher.Short(ref), known))
}

// stretches gives by how much each host's interval is stretched.
func (s *Server) stretches(ctx context.Context) (map[string]float64, error) {
	loads, err := s.cfg.Targets.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	ceiling := map[string]float64{}
	for _, r := range s.cfg.Registries() {
		ceiling[r.Host] = r.PerMinute
	}
	out := make(map[string]float64, len(loads))
	for _, l := range loads {
		out[l.Host] = watcher.Stretch(l.PerMinute, ceiling[l.Host])
	}
	return out, nil
}

func hostOf(ref string) string {
	host, _, _ := strings.Cut(ref, "/")
	return host
}
