package outbox

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"basewatch/watcher"
)

// RouteConfig is one [[route]]: which events go to which receivers. An empty
// field does not filter. Every field must match.
type RouteConfig struct {
	// Images are patterns; see [ImageGlobs].
	Images []string `koanf:"images"`
	// Labels must all be on the event; values are globs, and any of the
	// event's values for the key may match.
	Labels map[string]string `koanf:"labels"`
	// Events are kinds. None: all but appeared, report, triggered, rebuilt,
	// baseline and test; machines get report too. A route that names failing
	// or receiver-failing gets the recovery as well.
	Events []string `koanf:"events"`
	// To are receivers, NAME or NAME:ADDRESS. Only a route with Stop, which
	// then keeps events from later ones, may name none.
	To []string `koanf:"to"`
	// Stop ends the search when this route matched.
	Stop bool `koanf:"stop"`
	// Window and Pass replace those of the receivers for what this route sends;
	// see [PaceConfig].
	Window []string `koanf:"window"`
	Pass   []string `koanf:"pass"`
}

// ReceiverInfo is what routing has to know of a receiver.
type ReceiverInfo struct {
	Name string
	Kind string
	// People read it: changes of one image may join one message there, and what
	// a first pass finds waits for its end. Others are machines and get each
	// event by itself, at once.
	People bool
	// Threads says that replies are possible.
	Threads bool
	// Addressable receivers take NAME:ADDRESS. NAME:DefaultAddress is the same
	// lane as NAME.
	Addressable    bool
	DefaultAddress string
	// Pace is when it may be told.
	Pace Pace
}

// ConfigError is one mistake in a configuration and the key where it stands,
// such as route[1].to (counted from 0).
type ConfigError struct {
	Key     string
	Problem string
}

func (e *ConfigError) Error() string { return e.Key + ": " + e.Problem }

// Validate checks one route; key is its place, such as route[1]. All mistakes
// come joined, each a *[ConfigError].
func (c RouteConfig) Validate(key string, receivers []ReceiverInfo) error {
	_, err := newRoute(key, c, receivers)
	return err
}

// Router says what an event means: which deliveries to which lanes. It is
// immutable and safe for concurrent use.
type Router struct {
	routes    []route
	receivers []ReceiverInfo // by name
	defaults  []target       // every receiver, by name
}

type route struct {
	key    string
	images ImageGlobs
	labels []labelGlob
	events map[watcher.Kind]bool // nil: the default of each receiver
	to     []target
	stop   bool
}

type labelGlob struct{ key, value string }

// target is a lane to plan for, with what is known of its receiver.
type target struct {
	info    ReceiverInfo
	address string
}

func (t target) lane() string { return LaneName(t.info.Name, t.address) }

// NewRouter compiles routes. Without any, every receiver gets changed, failing,
// recovered, gone, overdue, receiver-failing, receiver-recovered and
// config-refused. All mistakes come joined, each a *[ConfigError].
func NewRouter(routes []RouteConfig, receivers []ReceiverInfo) (*Router, error) {
	r := &Router{receivers: slices.Clone(receivers)}
	slices.SortFunc(r.receivers, func(a, b ReceiverInfo) int { return strings.Compare(a.Name, b.Name) })
	for _, info := range r.receivers {
		r.defaults = append(r.defaults, target{info: info})
	}
	var errs []error
	for i, c := range routes {
		one, err := newRoute(routeKey(i), c, r.receivers)
		errs = append(errs, err)
		r.routes = append(r.routes, one)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return r, nil
}

func routeKey(i int) string { return fmt.Sprintf("route[%d]", i) }

func newRoute(key string, c RouteConfig, receivers []ReceiverInfo) (route, error) {
	r := route{key: key, stop: c.Stop}
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, &ConfigError{Key: key + "." + field, Problem: fmt.Sprintf(format, args...)})
	}
	for _, p := range c.Images {
		if _, err := parseImageGlob(p); err != nil {
			wrong("images", "%q: %v", p, err)
		}
	}
	r.images, _ = NewImageGlobs(c.Images) // reported above, one by one
	for _, k := range slices.Sorted(maps.Keys(c.Labels)) {
		if !doublestar.ValidatePattern(c.Labels[k]) {
			wrong("labels", "%s = %q: not a pattern; [ and { need their closing bracket", k, c.Labels[k])
		}
		r.labels = append(r.labels, labelGlob{k, c.Labels[k]})
	}
	var err error
	if r.events, err = parseEvents(c.Events); err != nil {
		wrong("events", "%v", err)
	}
	windows, err := routeWindows(c.Window)
	if err != nil {
		wrong("window", "%v", err)
	}
	pass, err := parsePass(c.Pass)
	if err != nil {
		wrong("pass", "%v", err)
	}
	for _, to := range c.To {
		t, err := parseTarget(to, receivers)
		if err != nil {
			wrong("to", "%q: %v", to, err)
			continue
		}
		t.info.Pace = t.info.Pace.replacedBy(windows, pass)
		r.to = append(r.to, t)
	}
	if len(c.To) == 0 && !c.Stop {
		wrong("to", "names nobody; %s", suggest("", receiverNames(receivers)))
	}
	return r, errors.Join(errs...)
}

// routeWindows reads a route's own windows; nil: it has none.
func routeWindows(texts []string) (*Windows, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	ws, err := ParseWindows(texts)
	return &ws, err
}

func parseEvents(names []string) (map[watcher.Kind]bool, error) {
	if len(names) == 0 {
		return nil, nil
	}
	known := make([]string, 0, len(watcher.Kinds()))
	for _, k := range watcher.Kinds() {
		known = append(known, string(k))
	}
	set := make(map[watcher.Kind]bool, len(names)+2)
	for _, n := range names {
		if !slices.Contains(known, n) {
			return nil, fmt.Errorf("%q: no such event; %s", n, suggest(n, known))
		}
		set[watcher.Kind(n)] = true
	}
	set[watcher.Recovered] = set[watcher.Recovered] || set[watcher.Failing]
	set[watcher.ReceiverRecovered] = set[watcher.ReceiverRecovered] || set[watcher.ReceiverFailing]
	return set, nil
}

func parseTarget(to string, receivers []ReceiverInfo) (target, error) {
	name, address := SplitLane(to)
	i := slices.IndexFunc(receivers, func(r ReceiverInfo) bool { return r.Name == name })
	if i < 0 {
		return target{}, fmt.Errorf("no receiver %q; %s", name, suggest(name, receiverNames(receivers)))
	}
	info := receivers[i]
	switch {
	case address == "" && name != to:
		return target{}, fmt.Errorf("no address after the colon; write %q alone for its default", name)
	case address != "" && !info.Addressable:
		return target{}, fmt.Errorf("%s receivers take no address; write %q alone", info.Kind, name)
	case address == info.DefaultAddress:
		address = ""
	}
	return target{info: info, address: address}, nil
}

func receiverNames(receivers []ReceiverInfo) []string {
	names := make([]string, 0, len(receivers))
	for _, r := range receivers {
		names = append(names, r.Name)
	}
	return names
}
