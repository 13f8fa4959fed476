package registry

import (
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
	if _, _, ok := watcher.SplitFamily(ref); ok {
		return nil, nil // a pattern is like no tag
	}
	return ask(ctx, r, ref, func(e endpoint, tag string, _ bool) ([]string, error) {
		res, err := e.host.send(ctx, call{
			method: http.MethodGet, path: "/v2/" + e.repo + "/tags/list", query: "n=1000",
			repo: e.repo, kind: Tags, want: want{limit: maxTagsBytes},
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
	names = slices.DeleteFunc(names, func(n string) bool { return n == tag || len(n) > maxTagBytes || n != text.Plain(n, 0) })
	return text.Nearest(tag, names, max(1, len(tag)/3), maxNear)
}
