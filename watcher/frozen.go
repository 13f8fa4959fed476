package watcher

import (
	"context"
	"fmt"
	"time"
)

const (
	// A tag is frozen when it was not rebuilt for so long, and another tag of
	// its repository was.
	frozenAfter = 90 * 24 * time.Hour
	// Frozen tags are looked for so long after the start, and then so often.
	firstCensus = time.Hour
	nextCensus  = 24 * time.Hour
	// createdKey is the annotation that says when an image was built. Builds
	// that are made to be reproducible say a time before there were images.
	createdKey = "org.opencontainers.image.created"
	firstImage = 2013
)

// Census reads all that is watched.
type Census interface {
	// Each calls f for every target that is awake, in the order of their
	// references, with a few at a time in memory. It ends with f's error.
	Each(ctx context.Context, f func(Record) error) error
}

// rebuiltAt is when what a target stands on was built, as far as is known: when
// its annotations say so, or when we saw it move to that; a first sight counts
// only where no annotation says better. It is zero for what was never seen.
func rebuiltAt(s State) time.Time {
	if s.Current == nil {
		return time.Time{}
	}
	var built time.Time
	note := func(annotations map[string]string) {
		if t, err := time.Parse(time.RFC3339, annotations[createdKey]); err == nil && t.Year() >= firstImage {
			built = later(built, t)
		}
	}
	note(s.Current.Annotations)
	for _, m := range s.Current.Platforms {
		note(m.Annotations)
	}
	if built.IsZero() || s.Seq > 0 {
		built = later(built, s.Current.SeenAt)
	}
	return built
}

// dated is a tag and when it was rebuilt.
type dated struct {
	ref string
	at  time.Time
}

// frozen is a tag that is no longer rebuilt, and one beside it that is.
type frozen struct{ tag, sibling dated }

// thaw finds the frozen tags of one repository after the other.
type thaw struct {
	now        time.Time
	repository string
	newest     dated
	still      []dated
	found      []frozen
}

// take takes in the next target, in the order of references.
func (t *thaw) take(r Record) error {
	if r.Target.IsFamily() {
		return nil
	}
	if repository := repositoryOf(r.Target.Ref); repository != t.repository {
		t.end()
		t.repository = repository
	}
	d := dated{r.Target.Ref, rebuiltAt(r.State)}
	if d.at.After(t.newest.at) {
		t.newest = d
	}
	// What a family found is expected to be left behind by what is newer.
	if !r.Target.Member && r.State.mayBeFrozen(t.now) {
		t.still = append(t.still, d)
	}
	return nil
}

// end judges a repository of which all targets were taken in.
func (t *thaw) end() {
	if !lasted(t.newest.at, t.now, frozenAfter) {
		for _, d := range t.still {
			t.found = append(t.found, frozen{d, t.newest})
		}
	}
	t.newest, t.still = dated{}, nil
}

// mayBeFrozen reports a healthy tag that stands where it stood long ago, and of
// which that was not told.
func (s State) mayBeFrozen(now time.Time) bool {
	at := rebuiltAt(s)
	return !at.IsZero() && lasted(at, now, frozenAfter) && s.FrozenAt.IsZero() && s.Pending == nil &&
		s.Health.Failures == 0 && !s.Health.Gone
}

// freeze is the state that follows when a tag is told to be frozen.
func freeze(s State, t Target, sibling dated, now time.Time) (State, Event, Note) {
	since := rebuiltAt(s)
	e := Event{Kind: Frozen, Ref: t.Ref, At: now, Since: since, Labels: t.Labels,
		Reason: fmt.Sprintf("not rebuilt since %s, while %s was on %s", since.UTC().Format(time.DateOnly),
			Short(sibling.ref), sibling.at.UTC().Format(time.DateOnly))}
	e.Identify()
	s.FrozenAt = now
	return s, e, Note{At: now, Kind: NoteHealth, Index: s.Seen, Text: "frozen: " + e.Reason}
}

// watchFrozen tells of frozen tags, now and then, until ctx ends.
func (l *Loop) watchFrozen(ctx context.Context) {
	for wait := firstCensus; sleep(ctx, wait, nil); wait = nextCensus {
		if err := l.tellFrozen(ctx); err != nil && ctx.Err() == nil {
			l.log.Error("cannot look for tags that are no longer rebuilt; trying again", "wait", nextCensus, "error", err)
		}
	}
}

func (l *Loop) tellFrozen(ctx context.Context) error {
	t := &thaw{now: time.Now()}
	if err := l.cfg.Census.Each(ctx, t.take); err != nil {
		return fmt.Errorf("read what is watched: %w", err)
	}
	t.end()
	for _, f := range t.found {
		if err := l.tellOneFrozen(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// tellOneFrozen makes it a part of the target's state, unless somebody is
// looking at that right now: then the next census does.
func (l *Loop) tellOneFrozen(ctx context.Context, f frozen) error {
	h := l.host(hostOf(f.tag.ref))
	claims, err := l.cfg.Store.Claim(ctx, ClaimRequest{Host: h.name, Max: 1, TTL: claimTTL, Refs: []string{f.tag.ref}})
	if err != nil || len(claims) == 0 {
		return err
	}
	h.hold(1)
	c, now := claims[0], time.Now()
	r := handBack(c, time.Time{}, nil).result
	s, err := l.cfg.Store.State(ctx, f.tag.ref)
	r.NextAt = s.NextAt
	if err == nil && s.mayBeFrozen(now) {
		next, e, n := freeze(s, c.Target, f.sibling, now)
		r.Unlooked, r.State, r.Events, r.Notes = false, &next, []Event{e}, []Note{n}
	}
	lingering, cancel := linger(ctx)
	defer cancel()
	l.commit(ctx, lingering, h, []Result{r})
	return err
}
