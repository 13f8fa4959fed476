package main

import (
	"slices"
	"strings"
)

const envPrefix = "BASEWATCH_"

// flagSetting is a setting given on the command line, such as
// {"--listen", ["http", "listen"], "127.0.0.1:0"}.
type flagSetting struct {
	Flag  string
	Key   []string
	Value string
}

// fromEnvironment reads the variables that are settings: those that begin with
// BASEWATCH_ and have a "__", which stands between the names of tables and
// keys (BASEWATCH_POLL__INTERVAL). Case does not matter; names with a dot or a
// dash cannot be written so. All others belong to
// somebody else: to the commands, or to Kubernetes, which makes some up for
// every service.
func fromEnvironment(environ []string) []flagSetting {
	var found []flagSetting
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		if len(name) <= len(envPrefix) || !strings.EqualFold(name[:len(envPrefix)], envPrefix) || !strings.Contains(name, "__") {
			continue
		}
		key := strings.Split(strings.ToLower(name[len(envPrefix):]), "__")
		found = append(found, flagSetting{Flag: name, Key: key, Value: value})
	}
	slices.SortFunc(found, func(a, b flagSetting) int { return strings.Compare(a.Flag, b.Flag) })
	return found
}

// overlay makes a tree of settings from outside the files, to be merged over
// theirs, and marks where each came from.
func (c *checker) overlay(n *node, found []flagSetting) map[string]any {
	tree := map[string]any{}
	for _, s := range found {
		c.put(n, tree, s)
	}
	return tree
}

func (c *checker) put(n *node, tree map[string]any, s flagSetting) {
	at, p := place{other: s.Flag}, keyPath("")
	for i, key := range s.Key {
		p, n = p.key(key), n.child(key)
		if n != nil && n.variant != nil {
			n = nil // its kind may be set by a variable too: checked when merged
		}
		if n != nil && (n.shape == listShape || n.shape == tablesShape) {
			c.addAt(at, p, "lists cannot be set by variables; write it into the file: %s", n.wants())
			return
		}
		old, there := tree[key]
		table, isTable := old.(map[string]any)
		last := i == len(s.Key)-1
		switch {
		case there && (last || !isTable):
			c.addAt(at, p, "already set by %s; keep one of the two", c.places[p])
			return
		case last:
			tree[key] = s.Value
			c.places[p] = at
		case !there:
			table = map[string]any{}
			tree[key] = table
			if _, ok := c.places[p]; !ok {
				c.places[p] = at
			}
		}
		tree = table
	}
}
