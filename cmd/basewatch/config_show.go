package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"basewatch/internal/secret"
)

// shownSetting is one line of `config show`.
type shownSetting struct {
	Name   keyPath `json:"key"`
	Value  string  `json:"value"` // TOML; secrets are "***"
	Source string  `json:"source"`
	// header is the TOML line that the setting stands under, key its name
	// there.
	header, key string
}

// list makes the listing of everything that is in force.
func (b *builder) list() {
	set := b.set
	set.Name = b.cfg.Name
	set.Store.Path = b.cfg.Store.Path
	set.HTTP.Socket = b.cfg.HTTP.Socket
	set.HTTP.Token, set.HTTP.ReadToken = b.cfg.HTTP.Tokens, b.cfg.HTTP.ReadTokens
	set.Watch = slices.Clone(set.Watch)
	for i, w := range set.Watch {
		if len(w.Platforms) == 0 {
			set.Watch[i].Platforms = defaultPlatforms()
		}
		set.Watch[i].Interval = b.watchInterval(w, keyPath("watch").item(i))
	}
	b.listTable(reflect.ValueOf(set), "", "")
	for _, n := range b.cfg.Notify {
		p := keyPath("notify").key(n.Name)
		own := networkSettings{CAFile: n.Outbound.CAFile, Proxy: n.Outbound.Proxy, NoProxy: n.Outbound.NoProxy}
		common := receiverCommon{Kind: n.Kind, Window: n.Pace.Window, Pass: n.Pace.Pass, networkSettings: own}
		b.listTable(reflect.ValueOf(common), "["+string(p)+"]", p)
		if n.Info.People {
			people := peopleCommon{GroupWait: Duration(n.Pace.GroupWait), Daily: n.Pace.Daily}
			b.listTable(reflect.ValueOf(people), "["+string(p)+"]", p)
		}
		b.listTable(reflect.ValueOf(n.Settings).Elem(), "["+string(p)+"]", p)
	}
	// The receivers came last; routes are shown after them, as in the file.
	slices.SortStableFunc(b.cfg.Listing, func(x, y shownSetting) int {
		return cmp.Compare(boolInt(x.Name.within("route")), boolInt(y.Name.within("route")))
	})
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// listTable lists the keys of one table, then the tables in it.
func (b *builder) listTable(v reflect.Value, table string, at keyPath) {
	var inner []func()
	for i := range v.NumField() {
		key, squash := fieldKey(v.Type().Field(i))
		f, p := v.Field(i), at.key(key)
		n := nodeOf(f.Type())
		switch {
		case f.Type() == reflect.TypeFor[networkSettings]() && squash && !b.ownNetwork(at):
		case squash:
			b.listTable(f, table, at)
		case key == "" || key == "include":
		case n.shape == tableShape:
			inner = append(inner, func() { b.listTable(f, "["+string(p)+"]", p) })
		case n.shape == tablesShape:
			inner = append(inner, func() {
				for i := range f.Len() {
					b.listTable(f.Index(i), "[["+string(p)+"]]", p.item(i))
				}
			})
		case n.shape == namedShape && n.elem.variant == nil:
			inner = append(inner, func() {
				for _, name := range sortedKeys(f) {
					b.listTable(f.MapIndex(reflect.ValueOf(name)), "["+string(p.key(name))+"]", p.key(name))
				}
			})
		case n.shape == pairsShape && at == "":
			inner = append(inner, func() { b.listPairs(f, "["+string(p)+"]", p) })
		case n.shape != namedShape:
			b.listOne(f, table, key, p)
		}
	}
	for _, list := range inner {
		list()
	}
}

// ownNetwork reports whether a table has its own way out; where it has not,
// that of [network] is in force and is not shown again.
func (b *builder) ownNetwork(at keyPath) bool {
	n := nodeOf(reflect.TypeFor[networkSettings]())
	return slices.ContainsFunc(n.order, func(key string) bool { return b.has(at.key(key)) })
}

func (b *builder) listPairs(v reflect.Value, table string, at keyPath) {
	for _, name := range sortedKeys(v) {
		b.listOne(v.MapIndex(reflect.ValueOf(name)), table, name, at.key(name))
	}
}

func (b *builder) listOne(v reflect.Value, table, key string, p keyPath) {
	s := shownSetting{Name: p, Value: b.tomlValue(v, p), Source: "default", header: table, key: string(keyPath("").key(key))}
	if at, ok := b.places[p]; ok {
		s.Source = at.String()
	}
	if why := rotation(v); why != "" {
		s.Source += ", " + why
	}
	b.cfg.Listing = append(b.cfg.Listing, s)
}

// rotation says where secrets are kept and when a new value is seen.
func rotation(v reflect.Value) string {
	var said []string
	for _, s := range secretsIn(v) {
		switch source := s.Source(); {
		case strings.HasPrefix(source, "env:"):
			said = append(said, source+" (a new value needs a restart)")
		case strings.HasPrefix(source, "file:"):
			said = append(said, source+" (read again when it changes)")
		}
	}
	return strings.Join(said, ", ")
}

func secretsIn(v reflect.Value) []secret.Secret {
	switch s := v.Interface().(type) {
	case secret.Secret:
		return []secret.Secret{s}
	case []secret.Secret:
		return s
	case map[string]secret.Secret:
		return slices.Collect(maps.Values(s))
	}
	return nil
}

// tomlValue prints a value as TOML, without secrets. What a reference points to
// may be one: the reference is shown.
func (b *builder) tomlValue(v reflect.Value, p keyPath) string {
	if ref, ok := b.via[p]; ok {
		return strconv.Quote(ref)
	}
	if s, ok := v.Interface().(fmt.Stringer); ok {
		return strconv.Quote(s.String())
	}
	switch v.Kind() {
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = b.tomlValue(v.Index(i), p.item(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case reflect.Map:
		items := make([]string, 0, v.Len())
		for _, k := range sortedKeys(v) {
			items = append(items, string(keyPath("").key(k))+" = "+b.tomlValue(v.MapIndex(reflect.ValueOf(k)), p.key(k)))
		}
		if len(items) == 0 {
			return "{}"
		}
		return "{ " + strings.Join(items, ", ") + " }"
	case reflect.String:
		return strconv.Quote(withoutPassword(v.String()))
	}
	return fmt.Sprint(v.Interface())
}

// withoutPassword hides what stands before the @ of a URL.
func withoutPassword(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		scheme, rest = "", s // proxies may be written so
	} else {
		scheme += "://"
	}
	at := strings.LastIndexByte(rest, '@')
	if at < 0 || !ok && !strings.Contains(rest[:at], ":") {
		return s
	}
	return scheme + "***" + rest[at:]
}

func sortedKeys(m reflect.Value) []string {
	keys := make([]string, 0, m.Len())
	for _, k := range m.MapKeys() {
		keys = append(keys, k.String())
	}
	slices.Sort(keys)
	return keys
}

// printListing writes the settings as a TOML file with a comment on each.
func printListing(w io.Writer, settings []shownSetting) {
	last := keyPath("")
	for _, s := range settings {
		if table := s.Name.parent(); table != last {
			fmt.Fprintf(w, "\n%s\n", s.header)
			last = table
		}
		fmt.Fprintf(w, "%-40s # %s\n", s.key+" = "+s.Value, s.Source)
	}
}
