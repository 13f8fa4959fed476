package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// laterSettings are names that the documentation has and this version does not
// build, by the table they stand in ("notify" for each [notify.NAME]).
func laterSettings() map[string][]string {
	return map[string][]string{
		"":       {"inspect", "rebuild", "dependent", "discover", "hook", "heartbeat", "github", "gitlab"},
		"store":  {"url", "password"},
		"watch":  {"tags"},
		"notify": {"group_wait", "window", "pass", "daily"},
		"route":  {"when", "window"},
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

// nearest gives the candidate that a slip of the fingers away from s, or "".
func nearest(s string, candidates []string) string {
	best, least := "", min(2, len(s)/2)+1
	slices.Sort(candidates)
	for _, c := range candidates {
		if d := distance(strings.ToLower(s), c, least); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance counts the letters to add, drop, change or swap with their
// neighbour to make b of a; at least `limit` when it is not below that.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
