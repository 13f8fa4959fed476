package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"basewatch/internal/text"
	"basewatch/watcher"
)

const (
	maxTagsBytes = 8 << 20
	maxNear      = 2
	maxTagBytes  = 128 // the longest a tag may be
)

// Near gives at most two tags that look like the one in ref, for somebody who
// mistyped it, from one page of the repository's tags. It is a courtesy: it may
// miss tags, and its errors are not worth telling.
func (r *Registries) Near(ctx context.Context, ref string) ([]string, error) {
	return ask(ctx, r, ref, func(e endpoint, tag string, _ bool) ([]string, error) {
		res, err := e.host.send(ctx, call{
			method: http.MethodGet, path: "/v2/" + e.repo + "/tags/list", query: "n=1000",
			repo: e.repo, kind: Tags, limit: maxTagsBytes,
		})
		if err != nil {
			return nil, err
		}
		if res.StatusCode != http.StatusOK {
			return nil, e.host.refusal(res)
		}
		var page struct {
			Tags []string `json:"tags"`
		}
		if err := json.Unmarshal(res.body, &page); err != nil {
			return nil, &watcher.LookError{Problem: watcher.Invalid, Err: err}
		}
		return nearest(tag, page.Tags), nil
	})
}

// nearest picks the names that are at most a third away from tag.
func nearest(tag string, names []string) []string {
	type near struct {
		name     string
		distance int
	}
	var found []near
	for _, n := range names {
		if n == tag || len(n) > maxTagBytes || n != text.Plain(n, 0) {
			continue
		}
		if d := editDistance(tag, n); d <= max(1, len(tag)/3) {
			found = append(found, near{n, d})
		}
	}
	slices.SortFunc(found, func(a, b near) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	var out []string
	for _, n := range found[:min(len(found), maxNear)] {
		out = append(out, n.name)
	}
	return out
}

// editDistance counts the bytes to insert, delete or replace to make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
