package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"basewatch/internal/text"
)

// laterSettings are names that the documentation has and this version does not
// build, by the table they stand in ("notify" for each [notify.NAME]).
func laterSettings() map[string][]string {
	return map[string][]string{
		"":      {"inspect", "rebuild", "dependent", "discover", "hook", "github", "gitlab"},
		"store": {"url", "password"},
		"route": {"when"},
	}
}

// unknown tells that the table at `at` has no such key, and which was meant.
func (c *checker) unknown(n *node, at keyPath, key string) {
	p := at.key(key)
	section, _, _ := strings.Cut(string(at), ".")
	section, _, _ = strings.Cut(section, "[")
	if slices.Contains(laterSettings()[section], key) {
		c.add(p, "not built yet in this version; take it out")
		return
	}
	if near := nearest(key, slices.Collect(maps.Keys(n.keys))); near != "" {
		c.add(p, "unknown key; did you mean %q?", near)
		c.told[at.key(near)] = true // that it is missing follows
		return
	}
	c.add(p, "unknown key; %s", instead(n, section, key))
}

// instead is the remedy for an unknown key that is like no other of its table.
func instead(n *node, section, key string) string {
	if section == "notify" {
		if nodeOf(reflect.TypeFor[peopleCommon]()).keys[key] != nil {
			return "only receivers that tell people have it; programs get each event by itself"
		}
		if kind := kindWithKey(key); kind != "" {
			return fmt.Sprintf("it belongs to kind = %q", kind)
		}
	}
	if home := homes(key); len(home) == 1 {
		return fmt.Sprintf("did you mean %s?", home[0])
	}
	return "known are: " + strings.Join(n.order, ", ")
}

// homes lists the keys of single tables that are, or nearly are, the key: one
// below the wrong [table] line is an easy mistake to make.
func homes(key string) []string {
	var found []string
	root := schema()
	for _, name := range root.order {
		table := root.keys[name]
		if table.shape != tableShape {
			continue
		}
		if near := nearest(key, slices.Collect(maps.Keys(table.keys))); near != "" {
			found = append(found, "["+name+"] "+near)
		}
	}
	return found
}

// nearest gives the candidate that is a slip of the fingers away from s, or "".
func nearest(s string, candidates []string) string {
	near := text.Nearest(strings.ToLower(s), candidates, min(2, len(s)/2), 1)
	if len(near) == 0 {
		return ""
	}
	return near[0]
}
