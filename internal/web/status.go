package web

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// Status is the answer of GET status.
type Status struct {
	Name      string    `json:"name"`
	Version   string    `json:"version"`
	At        time.Time `json:"at"`
	StartedAt time.Time `json:"started_at,omitzero"`
	// Offline: no daemon answered this; it was read from the store.
	Offline bool `json:"offline,omitempty"`

	Config StatusConfig `json:"config"`
	Store  StatusStore  `json:"store"`
	Images StatusImages `json:"images"`
	Queue  StatusQueue  `json:"queue"`
	// Receivers has one entry for each lane with work or trouble, and one for
	// each receiver without.
	Receivers  []StatusReceiver `json:"receivers"`
	Registries []StatusRegistry `json:"registries"`
	// Problems are what somebody should look at, at most 100.
	Problems     []Trouble `json:"problems"`
	MoreProblems int       `json:"more_problems,omitempty"`
}

// StatusConfig is the configuration in force.
type StatusConfig struct {
	File string `json:"file,omitempty"`
	Sum  string `json:"sum,omitempty" doc:"first digits of its SHA-256"`
	// Refused is an edit that was not taken; nil when there is none.
	Refused *Refusal `json:"refused,omitempty"`
}

// StatusStore is the store's file.
type StatusStore struct {
	Path  string `json:"path,omitempty"`
	Bytes int64  `json:"bytes"`
}

// StatusImages counts targets by their standing.
type StatusImages struct {
	Total        int       `json:"total" doc:"without those asleep"`
	Families     int       `json:"families" doc:"how many of them are families of tags"`
	Fresh        int       `json:"fresh"`
	Settling     int       `json:"settling"`
	Failing      int       `json:"failing"`
	Gone         int       `json:"gone"`
	Late         int       `json:"late"`
	Unseen       int       `json:"unseen"`
	Asleep       int       `json:"asleep"`
	OldestLook   time.Time `json:"oldest_look,omitzero" doc:"the oldest of all last good looks"`
	ChangesToday int       `json:"changes_today" doc:"since midnight where the daemon runs"`
}

// StatusQueue counts deliveries.
type StatusQueue struct {
	Waiting       int       `json:"waiting"`
	Dead          int       `json:"dead"`
	OldestWaiting time.Time `json:"oldest_waiting,omitzero"`
}

// StatusReceiver is a lane: a receiver, and the address where it has several.
type StatusReceiver struct {
	Lane  string `json:"lane" example:"slack:#shop"`
	Kind  string `json:"kind,omitempty"`
	State string `json:"state" enum:"ok,failing,parked" doc:"parked: the receiver is no longer configured"`
	Why   string `json:"why,omitempty" doc:"the last error while failing"`

	Since         time.Time `json:"since,omitzero" doc:"failing or parked since"`
	NextTry       time.Time `json:"next_try,omitzero"`
	Waiting       int       `json:"waiting"`
	Held          int       `json:"held,omitempty" doc:"of those waiting: held for a window, the day's message, a wave or a first pass"`
	OldestWaiting time.Time `json:"oldest_waiting,omitzero"`
}

// StatusRegistry is how we stand with a registry host.
type StatusRegistry struct {
	Host    string `json:"host"`
	Targets int    `json:"targets"`
	// PerMinute are the looks that intervals ask for, Ceiling what is allowed
	// (0: no ceiling), Stretch by how much the interval is stretched to fit.
	PerMinute   float64   `json:"per_minute"`
	Ceiling     float64   `json:"ceiling,omitempty"`
	Stretch     float64   `json:"stretch"`
	NextLook    time.Time `json:"next_look,omitzero"`
	InFlight    int       `json:"in_flight,omitempty"`
	PausedUntil time.Time `json:"paused_until,omitzero"`
	Why         string    `json:"why,omitempty"`
	// Remaining of Limit pulls within the window are left, as the host says.
	Remaining     int       `json:"remaining,omitempty"`
	Limit         int       `json:"limit,omitempty" doc:"0: the host says nothing"`
	WindowSeconds int64     `json:"window_seconds,omitempty"`
	WithoutHead   bool      `json:"without_head,omitempty" doc:"each look costs a GET, since HEAD does not work there"`
	PlainHTTP     bool      `json:"plain_http,omitempty"`
	Troubles      []string  `json:"troubles,omitempty" doc:"what somebody should know now: pulls that must wait, a login that is switched off"`
	LastError     string    `json:"last_error,omitempty" doc:"it may have passed"`
	LastErrorAt   time.Time `json:"last_error_at,omitzero"`
}

// Trouble is something that somebody should look at.
type Trouble struct {
	What    string    `json:"what" example:"nginx:alpne"`
	Kind    string    `json:"kind" enum:"image,receiver,registry,deliveries,store"`
	Text    string    `json:"text"`
	Since   time.Time `json:"since,omitzero"`
	Looks   int       `json:"looks,omitempty" doc:"failed looks in a row"`
	Told    bool      `json:"told,omitempty" doc:"people were told"`
	Explain string    `json:"explain,omitempty" doc:"the command that says more"`
}

// maxTroubles bounds the problems of one status.
const maxTroubles = 100

// StatusQuery has no parameters.
type StatusQuery struct{}

func (s *Server) status(ctx context.Context, _ *StatusQuery) (*Status, error) {
	now := time.Now()
	st := &Status{Name: s.cfg.Name, Version: s.cfg.Version, At: now, Offline: s.cfg.Offline,
		Config: s.cfg.InForce()}
	if !s.cfg.Offline {
		st.StartedAt = s.cfg.StartedAt
	}
	for _, add := range []func(context.Context, *Status) error{s.addQueue, s.addRegistries, s.addImages, s.addReceivers} {
		if err := add(ctx, st); err != nil {
			return nil, err
		}
	}
	st.MoreProblems = max(0, len(st.Problems)-maxTroubles)
	st.Problems = st.Problems[:min(len(st.Problems), maxTroubles)]
	return st, nil
}

func (s *Server) addQueue(ctx context.Context, st *Status) error {
	c, err := s.cfg.Queue.Counts(ctx)
	if err != nil {
		return err
	}
	st.Store = StatusStore{Path: s.cfg.StorePath, Bytes: c.Bytes}
	st.Queue = StatusQueue{Waiting: c.Waiting, Dead: c.Dead, OldestWaiting: c.Oldest}
	st.Problems = []Trouble{}
	if c := s.ready.store(ctx); !c.OK && !s.cfg.Offline {
		st.Problems = append(st.Problems, Trouble{What: "store", Kind: "store", Text: c.Why})
	}
	return nil
}

func (s *Server) addRegistries(ctx context.Context, st *Status) error {
	loads, err := s.cfg.Targets.Hosts(ctx)
	if err != nil {
		return err
	}
	hosts := map[string]StatusRegistry{}
	for _, l := range loads {
		hosts[l.Host] = StatusRegistry{Host: l.Host, Targets: l.Targets, PerMinute: l.PerMinute, NextLook: l.NextAt}
	}
	for _, r := range s.cfg.Registries() {
		hosts[r.Host] = hosts[r.Host].with(r, st.At)
	}
	st.Registries = []StatusRegistry{}
	for _, name := range slices.Sorted(maps.Keys(hosts)) {
		h := hosts[name]
		h.Stretch = watcher.Stretch(h.PerMinute, h.Ceiling)
		st.Registries = append(st.Registries, h)
		st.Problems = append(st.Problems, h.troubles()...)
	}
	return nil
}

func (h StatusRegistry) with(r Registry, now time.Time) StatusRegistry {
	h.Host, h.Ceiling, h.InFlight = r.Host, r.PerMinute, r.InFlight
	h.Remaining, h.Limit, h.WindowSeconds = r.Remaining, r.Limit, int64(r.Window/time.Second)
	h.WithoutHead, h.PlainHTTP = r.WithoutHead, r.PlainHTTP
	h.Troubles, h.LastError, h.LastErrorAt = r.Troubles, r.LastError, r.LastErrorAt
	if r.PausedUntil.After(now) {
		h.PausedUntil, h.Why = r.PausedUntil, r.Why
	}
	return h
}

// lowQuota is the part of a host's limit below which status warns.
const lowQuota = 0.1

func (h StatusRegistry) troubles() []Trouble {
	var out []Trouble
	for _, t := range h.Troubles {
		out = append(out, Trouble{What: h.Host, Kind: "registry", Text: t})
	}
	if len(h.Troubles) == 0 && h.Limit > 0 && float64(h.Remaining) <= lowQuota*float64(h.Limit) {
		out = append(out, Trouble{What: h.Host, Kind: "registry", Text: quotaText(h)})
	}
	if !h.PausedUntil.IsZero() {
		out = append(out, Trouble{What: h.Host, Kind: "registry",
			Text: "asks to wait until " + h.PausedUntil.Format(time.RFC3339) + ": " + cmp.Or(h.Why, "too many requests")})
	}
	if h.Stretch > 1 {
		out = append(out, Trouble{What: h.Host, Kind: "registry", Text: stretchText(h)})
	}
	return out
}

func (s *Server) addImages(ctx context.Context, st *Status) error {
	records, err := s.cfg.Targets.Records(ctx)
	if err != nil {
		return err
	}
	stretch := map[string]float64{}
	for _, h := range st.Registries {
		stretch[h.Host] = h.Stretch
	}
	year, month, day := st.At.Date()
	midnight := time.Date(year, month, day, 0, 0, 0, 0, st.At.Location())
	for _, r := range records {
		t := target(r, stretch[hostOf(r.Target.Ref)], st.At)
		st.Images.count(t)
		st.Problems = append(st.Problems, t.troubles()...)
		if r.State.ToldAt.Before(midnight) {
			continue
		}
		n, err := s.changesSince(ctx, r.Target.Ref, midnight)
		if err != nil {
			return err
		}
		st.Images.ChangesToday += n
	}
	return nil
}

func (c *StatusImages) count(t Target) {
	by := map[Standing]*int{Fresh: &c.Fresh, Settling: &c.Settling, Failing: &c.Failing, Gone: &c.Gone,
		Late: &c.Late, Unseen: &c.Unseen, Asleep: &c.Asleep}
	*by[t.Standing]++
	if t.Standing == Asleep {
		return
	}
	c.Total++
	if t.Family != nil {
		c.Families++
	}
	if !t.LastGood.IsZero() && (c.OldestLook.IsZero() || t.LastGood.Before(c.OldestLook)) {
		c.OldestLook = t.LastGood
	}
}

func (t Target) troubles() []Trouble {
	explain := "basewatch explain " + t.Short
	switch t.Standing {
	case Failing, Gone:
		return []Trouble{{What: t.Short, Kind: "image", Text: string(t.Problem) + ": " + t.Reason,
			Since: t.FailingSince, Looks: t.Failures, Told: t.Told, Explain: explain}}
	case Late:
		return []Trouble{{What: t.Short, Kind: "image", Text: "no good look for more than three intervals",
			Since: t.LastGood, Explain: explain}}
	case Asleep:
		return nil
	}
	var out []Trouble
	if !t.FrozenAt.IsZero() {
		out = append(out, Trouble{What: t.Short, Kind: "image", Text: "no longer rebuilt, while other tags of its repository are",
			Since: t.FrozenAt, Told: true, Explain: explain})
	}
	for _, p := range slices.Sorted(maps.Keys(t.Missing)) {
		out = append(out, Trouble{What: t.Short, Kind: "image", Text: p + " is wanted and absent", Since: t.Missing[p], Explain: explain})
	}
	return out
}

func (s *Server) changesSince(ctx context.Context, ref string, since time.Time) (int, error) {
	notes, err := s.cfg.Targets.History(ctx, ref, since, maxList)
	n := 0
	for _, note := range notes {
		if note.Kind == watcher.NoteChanged {
			n++
		}
	}
	return n, err
}

func (s *Server) addReceivers(ctx context.Context, st *Status) error {
	lanes, err := s.cfg.Queue.Lanes(ctx)
	if err != nil {
		return err
	}
	kinds := map[string]string{}
	for _, r := range s.cfg.Receivers() {
		kinds[r.Name] = r.Kind
	}
	listed := map[string]bool{}
	st.Receivers = []StatusReceiver{}
	for _, l := range lanes {
		name, _ := outbox.SplitLane(l.Lane.Name)
		listed[name] = true
		r := receiver(l, kinds[name])
		st.Receivers = append(st.Receivers, r)
		st.Problems = append(st.Problems, r.troubles()...)
	}
	for name, kind := range kinds {
		if !listed[name] {
			st.Receivers = append(st.Receivers, StatusReceiver{Lane: name, Kind: kind, State: "ok"})
		}
	}
	slices.SortFunc(st.Receivers, func(a, b StatusReceiver) int { return cmp.Compare(a.Lane, b.Lane) })
	if st.Queue.Dead > 0 {
		st.Problems = append(st.Problems, Trouble{What: "deliveries", Kind: "deliveries",
			Text: deadText(st.Queue.Dead), Explain: "basewatch deliveries --state dead"})
	}
	return nil
}

func receiver(l outbox.LaneWork, kind string) StatusReceiver {
	r := StatusReceiver{Lane: l.Lane.Name, Kind: kind, State: "ok", Waiting: l.Waiting, Held: l.Held, OldestWaiting: l.Oldest, NextTry: l.NextDue}
	switch {
	case !l.Lane.ParkedSince.IsZero():
		r.State, r.Since, r.Why, r.NextTry = "parked", l.Lane.ParkedSince, "no receiver of this name is configured", time.Time{}
	case l.Lane.Failing():
		r.State, r.Since, r.Why, r.NextTry = "failing", l.Lane.FailingSince, l.Lane.LastError, l.Lane.ProbeAt
		if l.NextDue.After(r.NextTry) {
			r.NextTry = l.NextDue // nothing is due for the probe before
		}
	}
	return r
}

func (r StatusReceiver) troubles() []Trouble {
	if r.State == "ok" {
		return nil
	}
	return []Trouble{{What: r.Lane, Kind: "receiver", Text: r.State + ": " + r.Why, Since: r.Since,
		Explain: "basewatch deliveries --receiver " + r.Lane}}
}
