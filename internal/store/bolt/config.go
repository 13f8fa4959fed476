package bolt

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"basewatch/watcher"
)

// want is what one source asks of a target.
type want struct {
	Platforms []string            `json:"platforms"`
	Every     time.Duration       `json:"every"` // nanoseconds
	Labels    map[string][]string `json:"labels,omitempty"`
	Keep      int                 `json:"keep,omitempty"`   // of a family
	Member    bool                `json:"member,omitempty"` // found by a family
}

// config is what is asked of a target: by each source, and united. It is
// immutable, and the same config is one pointer for all its targets. Without
// sources the target sleeps, and Union is what it last was.
type config struct {
	Sources map[string]want `json:"sources"`
	Union   want            `json:"union"`

	payload []byte // its JSON
}

// wantOf copies a target's wishes, so that no caller can change them later.
func wantOf(t watcher.Target) (want, error) {
	switch {
	case t.Ref == "":
		return want{}, fmt.Errorf("watch: a target without a reference")
	case len(t.Platforms) == 0:
		return want{}, fmt.Errorf("watch %s: no platform", t.Ref)
	case t.Every <= 0:
		return want{}, fmt.Errorf("watch %s: interval %s is not positive", t.Ref, t.Every)
	}
	w := want{Platforms: slices.Clone(t.Platforms), Every: t.Every, Keep: t.Keep, Member: t.Member}
	slices.Sort(w.Platforms)
	w.Platforms = slices.Compact(w.Platforms)
	for name, values := range t.Labels {
		w = w.label(name, values)
	}
	return w, nil
}

// label adds values to a label of a want that shares no memory.
func (w want) label(name string, values []string) want {
	if w.Labels == nil {
		w.Labels = make(map[string][]string)
	}
	all := slices.Concat(w.Labels[name], values)
	slices.Sort(all)
	w.Labels[name] = slices.Compact(all)
	return w
}

// unite is both wishes at once: all platforms, all label values, the shortest
// interval, the most tags kept. What somebody named is not only a member.
func (w want) unite(o want) want {
	u := want{Every: min(w.Every, o.Every), Platforms: slices.Concat(w.Platforms, o.Platforms),
		Keep: max(w.Keep, o.Keep), Member: w.Member && o.Member}
	slices.Sort(u.Platforms)
	u.Platforms = slices.Compact(u.Platforms)
	for _, labels := range []map[string][]string{w.Labels, o.Labels} {
		for name, values := range labels {
			u = u.label(name, values)
		}
	}
	return u
}

func (w want) equal(o want) bool {
	return w.Every == o.Every && w.Keep == o.Keep && w.Member == o.Member && slices.Equal(w.Platforms, o.Platforms) &&
		maps.EqualFunc(w.Labels, o.Labels, slices.Equal[[]string])
}

// configs keeps one copy of each config, by its JSON. Guarded by Store.mu.
type configs map[string]*config

// load gives the config that was stored.
func (cs configs) load(key, payload []byte) (*config, error) {
	if c, ok := cs[string(payload)]; ok {
		return c, nil
	}
	c, err := decode[config](targetsBucket, key, payload)
	if err != nil {
		return nil, err
	}
	if c.Union.Every <= 0 {
		return nil, &DamagedError{Bucket: string(targetsBucket), Key: string(key), Reason: "no interval"}
	}
	c.payload = slices.Clone(payload)
	cs[string(payload)] = &c
	return &c, nil
}

// with gives c with one source's wish set, or taken away when w is nil. c may
// be nil: a target not known yet.
func (cs configs) with(c *config, source string, w *want) (*config, error) {
	n := config{Sources: make(map[string]want)}
	if c != nil {
		maps.Copy(n.Sources, c.Sources)
		n.Union = c.Union
	}
	delete(n.Sources, source)
	if w != nil {
		n.Sources[source] = *w
	}
	for i, name := range slices.Sorted(maps.Keys(n.Sources)) {
		if i == 0 {
			n.Union = n.Sources[name]
			continue
		}
		n.Union = n.Union.unite(n.Sources[name])
	}
	payload, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("watch: encode a target: %w", err)
	}
	if same, ok := cs[string(payload)]; ok {
		return same, nil
	}
	n.payload = payload
	cs[string(payload)] = &n
	return &n, nil
}
