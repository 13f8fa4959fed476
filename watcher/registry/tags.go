package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"basewatch/watcher"
	"basewatch/watcher/tags"
)

const (
	maxTagPages = 200
	maxTags     = 200_000
	tagsQuery   = "n=1000" // more is refused by some
)

// Tags lists the tags that a family's pattern means, newest first. The whole
// list of the repository is read, page by page; one that does not come to its
// end, in 200 pages and 200,000 tags, is an error.
func (r *Registries) Tags(ctx context.Context, t watcher.Target) ([]string, error) {
	_, written, _ := watcher.SplitFamily(t.Ref)
	pattern, err := tags.ParsePattern(written)
	if err != nil {
		return nil, invalid("%s: %w", t.Ref, err)
	}
	return ask(ctx, r, t.Ref, func(e endpoint, _ string, _ bool) ([]string, error) {
		all, err := e.tags(ctx)
		if err != nil {
			return nil, err
		}
		meant := pattern.Newest(all, 0)
		if len(meant) == 0 {
			return nil, &watcher.LookError{Problem: watcher.NotFound, Err: fmt.Errorf(
				"none of the %d tags of %s/%s is meant by %q; correct tags in its [[watch]]", len(all), e.host.name, e.repo, written)}
		}
		return meant, nil
	})
}

// tags lists all tags of a repository.
func (e endpoint) tags(ctx context.Context) ([]string, error) {
	list := tagList{endpoint: e, known: map[string]bool{}, asked: map[string]bool{}}
	query := tagsQuery
	for range maxTagPages {
		next, err := list.page(ctx, query)
		if err != nil || next == "" {
			return list.tags, err
		}
		query = next
	}
	return nil, invalid("%s has more than %d pages of tags: the list is not read to its end", e.host.name, maxTagPages)
}

// tagList is a list of tags that is being read.
type tagList struct {
	endpoint
	tags  []string
	known map[string]bool
	asked map[string]bool // queries
}

// page reads one page and gives the query for the next; empty at the end.
func (l *tagList) page(ctx context.Context, query string) (next string, err error) {
	if l.asked[query] {
		return "", invalid("%s leads in a circle through the pages of its tags", l.host.name)
	}
	l.asked[query] = true
	res, err := l.get(ctx, query)
	if err == nil && query == tagsQuery && res.StatusCode == http.StatusRequestEntityTooLarge {
		res, err = l.get(ctx, "") // Quay's word for a page size that it does not have
	}
	if err != nil {
		return "", err
	}
	switch {
	case res.StatusCode == http.StatusNotFound && len(l.asked) == 1:
		return "", l.host.problem(watcher.NotFound, res, "no such repository, or no list of its tags")
	case res.StatusCode != http.StatusOK:
		return "", l.host.refusal(res)
	}
	return l.link(res)
}

// get asks for a page and takes its tags in.
func (l *tagList) get(ctx context.Context, query string) (*reply, error) {
	c := call{method: http.MethodGet, path: "/v2/" + l.repo + "/tags/list", query: query, repo: l.repo, kind: Tags}
	c.limit, c.take = maxTagsBytes, func(r *reply) error { return l.add(r.body) }
	return l.host.send(ctx, c)
}

// add takes a page's tags in. A page without the key is no page; null is an
// empty one. Names that no tag can have are passed over.
func (l *tagList) add(body []byte) error {
	var page struct {
		Tags json.RawMessage `json:"tags"`
	}
	if err := json.Unmarshal(body, &page); err != nil || page.Tags == nil {
		return invalid("%s answered something that is no list of tags", l.host.name)
	}
	var names []string
	if err := json.Unmarshal(page.Tags, &names); err != nil {
		return invalid("%s answered a list of tags that cannot be read: %w", l.host.name, err)
	}
	for _, name := range names {
		if l.known[name] || !tags.IsTag(name) {
			continue
		}
		if len(l.tags) == maxTags {
			return invalid("%s has more than %d tags there: the list is not read to its end", l.host.name, maxTags)
		}
		l.known[name] = true
		l.tags = append(l.tags, name)
	}
	return nil
}

// link is the query of the next page, as the answer's Link has it; empty
// without one. Only the query is taken: the path is the one that we asked, since
// registries behind a proxy are known to name one that does not exist, and
// another host is none of ours.
func (l *tagList) link(res *reply) (query string, err error) {
	for _, value := range res.Header.Values("Link") {
		for one := range strings.SplitSeq(value, "<") { // a comma may be in the address too
			target, params, ok := strings.Cut(one, ">")
			if ok && isNext(strings.TrimRight(params, ", ")) {
				return l.queryOf(target)
			}
		}
	}
	return "", nil
}

// isNext reports the parameters of a link to the next page.
func isNext(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(key, "rel") && strings.EqualFold(strings.Trim(value, `" `), "next") {
			return true
		}
	}
	return false
}

func (l *tagList) queryOf(target string) (string, error) {
	u, err := url.Parse(target)
	switch {
	case err != nil || u.RawQuery == "":
		return "", invalid("%s names a next page of tags that cannot be asked for", l.host.name)
	case u.Host != "" && !strings.EqualFold(u.Hostname(), l.host.base.Hostname()):
		return "", invalid("%s names a next page of tags on another host, %.80q: it is not asked there", l.host.name, u.Host)
	}
	return u.RawQuery, nil
}
