package registry

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"basewatch/internal/standin"
	"basewatch/watcher"
)

func family(pattern string) watcher.Target {
	return watcher.Target{Ref: watcher.FamilyRef(hostName+"/"+repoName, pattern), Platforms: []string{"linux/amd64"}, Every: time.Hour, Keep: 3}
}

// tagPages answers each page of a tag list: the tags, and the Link to the next.
func tagPages(pages map[string][2]string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/tags/list") {
			return false
		}
		page, ok := pages[r.URL.RawQuery]
		if !ok {
			http.Error(w, "no such page: "+r.URL.RawQuery, http.StatusNotFound)
			return true
		}
		if page[1] != "" {
			w.Header().Set("Link", page[1])
		}
		_, _ = fmt.Fprint(w, page[0])
		return true
	}
}

func TestTagsOfAFamilyAreReadFromAllPagesNewestFirst(t *testing.T) {
	w := newWorld(t, standin.Behaviour{Auth: standin.Bearer}, nil)
	digest := w.Put(repoName, linux)
	for i := range 2500 {
		w.Move(repoName, fmt.Sprintf("other-%04d", i), digest)
	}
	for _, tag := range []string{"3.9-slim", "3.14-slim", "3.13-slim", "3.14", "3.14.1-slim", "3.15.0a1-slim", "latest"} {
		w.Move(repoName, tag, digest)
	}
	got, err := w.us.Tags(t.Context(), family("3.x-slim"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"3.14-slim", "3.13-slim", "3.9-slim"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := w.Counts().Tags; n > 4 { // the first is refused without a token
		t.Errorf("%d requests for three pages", n)
	}
}

func TestLinksToTheNextPageOfTags(t *testing.T) {
	const first, rest = `{"tags":["1"]}`, `{"tags":["2"]}`
	const path = "/v2/" + repoName + "/tags/list"
	for name, link := range map[string]string{
		"relative":                    `<` + path + `?last=1&n=1000>; rel="next"`,
		"absolute":                    `<http://` + hostName + path + `?last=1&n=1000>; rel="next"`,
		"of a proxy with TLS":         `<https://` + hostName + path + `?last=1&n=1000>; rel="next"`,
		"without the path of a proxy": `</tags/list?last=1&n=1000>; rel=next`,
		"after another":               `</v2/?a=b,c>; rel="first", <` + path + `?last=1&n=1000>; type="x"; rel="next"`,
		"query alone":                 `<?last=1&n=1000>; rel="next"`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, standin.Behaviour{Answer: tagPages(map[string][2]string{
				"n=1000": {first, link}, "last=1&n=1000": {rest, ""}})}, nil)
			got, err := w.us.Tags(t.Context(), family("x"))
			if diff := cmp.Diff([]string{"2", "1"}, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestAListOfTagsThatIsNotWholeIsAFailedLook(t *testing.T) {
	const path = "/v2/" + repoName + "/tags/list"
	next := func(query string) string { return "<" + path + "?" + query + `>; rel="next"` }
	one := `{"tags":["1"]}`
	for name, tc := range map[string]struct {
		pages   map[string][2]string
		problem watcher.Problem
		words   string
	}{
		"a circle":          {map[string][2]string{"n=1000": {one, next("a=1")}, "a=1": {one, next("b=1")}, "b=1": {one, next("a=1")}}, watcher.Invalid, "in a circle"},
		"itself":            {map[string][2]string{"n=1000": {one, next("n=1000")}}, watcher.Invalid, "in a circle"},
		"another host":      {map[string][2]string{"n=1000": {one, `<http://evil.example` + path + `?a=1>; rel="next"`}}, watcher.Invalid, "another host"},
		"an expired page":   {map[string][2]string{"n=1000": {one, next("next_page=old")}}, watcher.Invalid, "404"},
		"no query":          {map[string][2]string{"n=1000": {one, `<` + path + `>; rel="next"`}}, watcher.Invalid, "cannot be asked for"},
		"no tags":           {map[string][2]string{"n=1000": {`{"name":"x"}`, ""}}, watcher.Invalid, "no list of tags"},
		"no JSON":           {map[string][2]string{"n=1000": {`<html>`, ""}}, watcher.Invalid, "no list of tags"},
		"tags of a sort":    {map[string][2]string{"n=1000": {`{"tags":{"1":2}}`, ""}}, watcher.Invalid, "cannot be read"},
		"bad second page":   {map[string][2]string{"n=1000": {one, next("a=1")}, "a=1": {`{}`, ""}}, watcher.Invalid, "no list of tags"},
		"too large":         {map[string][2]string{"n=1000": {`{"tags":["` + strings.Repeat("x", maxTagsBytes) + `"]}`, ""}}, watcher.Invalid, "bytes"},
		"no repository":     {map[string][2]string{}, watcher.NotFound, "no such repository"},
		"nothing":           {map[string][2]string{"n=1000": {`{"tags":null}`, ""}}, watcher.NotFound, "none of the 0 tags"},
		"nothing that fits": {map[string][2]string{"n=1000": {`{"tags":["latest","1.2"]}`, ""}}, watcher.NotFound, "none of the 2 tags"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, standin.Behaviour{Answer: tagPages(tc.pages)}, nil)
			got, err := w.us.Tags(t.Context(), family("x"))
			if got != nil {
				t.Errorf("tags all the same: %q", got)
			}
			wantProblem(t, err, tc.problem, tc.words, hostName+"/"+repoName+"#x: ")
		})
	}
}

func TestEndlessPagesOfTagsEndAtTheCap(t *testing.T) {
	pages := 0
	w := newWorld(t, standin.Behaviour{Answer: func(w http.ResponseWriter, r *http.Request) bool {
		pages++
		w.Header().Set("Link", fmt.Sprintf(`<%s?p=%d>; rel="next"`, r.URL.Path, pages))
		_, _ = fmt.Fprintf(w, `{"tags":["%d"]}`, pages)
		return true
	}}, nil)
	_, err := w.us.Tags(t.Context(), family("x"))
	wantProblem(t, err, watcher.Invalid, "more than 200 pages")
	if pages != maxTagPages {
		t.Errorf("%d requests", pages)
	}
}

func TestARegistryThatRefusesThePageSizeIsAskedWithout(t *testing.T) {
	w := newWorld(t, standin.Behaviour{Answer: func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Has("n") {
			http.Error(w, `{"errors":[{"code":"TAG_LIMIT_EXCEEDED"}]}`, http.StatusRequestEntityTooLarge)
			return true
		}
		_, _ = fmt.Fprint(w, `{"tags":["1","2"]}`)
		return true
	}}, nil)
	got, err := w.us.Tags(t.Context(), family("x"))
	if diff := cmp.Diff([]string{"2", "1"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestATokenThatEndsBetweenPagesOfTagsIsRenewed(t *testing.T) {
	w := newWorld(t, standin.Behaviour{Auth: standin.Bearer}, nil)
	digest := w.Put(repoName, linux)
	for i := range 2500 {
		w.Move(repoName, strconv.Itoa(i), digest)
	}
	ended := false
	w.Behave(func(b *standin.Behaviour) {
		b.Answer = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Has("last") && !ended {
				ended = true
				w.ForgetTokens()
			}
			return false
		}
	})
	got, err := w.us.Tags(t.Context(), family("x"))
	if err != nil || len(got) != 2500 || !ended {
		t.Errorf("%d tags, %v", len(got), err)
	}
}

func TestAnUnreachableRegistryIsNoEmptyFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, standin.Behaviour{FailPercent: 100}, nil)
		_, err := w.us.Tags(t.Context(), family("x"))
		wantProblem(t, err, watcher.Unreachable)
	})
}
