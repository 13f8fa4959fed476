package web

import (
	"net/http"
	"net/url"
	"strings"
)

// linkPath is where links in messages lead: /i/HOST/REPOSITORY/TAG/SEQ. There
// is no page yet, so they lead on to the same answer of the API.
const linkPath = "/i/"

func link(w http.ResponseWriter, r *http.Request) {
	name, seq, ok := cutLast(strings.TrimPrefix(r.URL.Path, linkPath))
	repository, tag, tagged := cutLast(name)
	if !ok || !tagged {
		notFound("a link is "+linkPath+"HOST/REPOSITORY/TAG/SEQ", nil).write(w)
		return
	}
	what := url.Values{"what": {repository + ":" + tag + "@" + seq}}
	http.Redirect(w, r, apiPrefix+"explain?"+what.Encode(), http.StatusFound)
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i <= 0 || i == len(s)-1 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}
