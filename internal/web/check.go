package web

import (
	"context"
	"slices"
	"time"

	"basewatch/watcher"
)

// CheckRequest asks for looks now; no refs means all that is watched.
type CheckRequest struct {
	Refs []string `json:"refs,omitempty" maxItems:"1000"`
}

// CheckList is the answer of POST check.
type CheckList struct {
	Results []Checked `json:"results" doc:"in the order of the request, each image once"`
}

// Checked is what one look found.
type Checked struct {
	Ref string `json:"ref"`
	// Moved: the index moved since the look before. Whether that is a change,
	// Events say.
	Moved bool `json:"moved,omitempty"`
	// Problem and Reason say why there was no look, or why it failed.
	Problem watcher.Problem `json:"problem,omitempty"`
	Reason  string          `json:"reason,omitempty"`
	// Target is how it stands after the look, Snapshot what the tag holds.
	Target   Target            `json:"target"`
	Snapshot *watcher.Snapshot `json:"snapshot,omitempty"`
	Events   []watcher.Event   `json:"events,omitempty"`
}

// checkTime is how long a check may take: a registry may make us wait.
const checkTime = 5 * time.Minute

func (s *Server) check(ctx context.Context, in *CheckRequest) (*CheckList, error) {
	if s.cfg.Checker == nil {
		return nil, unavailable("check that records")
	}
	records, err := s.watched(ctx, in.Refs)
	if err != nil {
		return nil, err
	}
	stretch, err := s.stretches(ctx)
	if err != nil {
		return nil, err
	}
	extend(ctx, checkTime+writeTimeout)
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	refs := make([]string, len(records))
	for i, r := range records {
		refs[i] = r.Target.Ref
	}
	results, err := s.cfg.Checker.Check(ctx, refs)
	if err != nil {
		return nil, err
	}
	list, now := &CheckList{Results: []Checked{}}, time.Now()
	for i, r := range results {
		records[i].State = r.State
		list.Results = append(list.Results, checked(r, target(records[i], stretch[hostOf(r.Ref)], now)))
	}
	return list, nil
}

func checked(r watcher.CheckResult, t Target) Checked {
	c := Checked{Ref: r.Ref, Moved: r.Moved, Target: t, Snapshot: r.State.Current, Events: r.Events}
	if r.Err != nil {
		c.Problem, c.Reason = watcher.ProblemOf(r.Err), r.Err.Error()
	}
	if p := r.State.Pending; p != nil && p.Index == r.State.Seen {
		c.Snapshot = p
	}
	return c
}

// watched finds the targets that a request names, all when it names none. What
// is not watched is refused, so that nobody can make us ask a registry for
// what the user did not configure.
func (s *Server) watched(ctx context.Context, names []string) ([]watcher.Record, error) {
	if len(names) == 0 {
		all, err := s.cfg.Targets.Records(ctx)
		return slices.DeleteFunc(all, func(r watcher.Record) bool { return r.Asleep }), err
	}
	var records []watcher.Record
	for _, n := range names {
		ref, err := s.canonical(n)
		if err != nil {
			return nil, err
		}
		r, err := s.record(ctx, ref)
		switch {
		case err != nil:
			return nil, err
		case r.Asleep:
			return nil, notFound(watcher.Short(ref)+" is no longer watched", nil)
		case slices.ContainsFunc(records, func(had watcher.Record) bool { return had.Target.Ref == ref }):
			continue
		}
		records = append(records, r)
	}
	return records, nil
}
