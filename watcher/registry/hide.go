package registry

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// hidden takes out of an error's text what we sent to be let in. Some servers
// answer with all that they were asked.
func (h *host) hidden(body []byte, req *http.Request) []byte {
	if len(body) == 0 {
		return body
	}
	var secrets []string
	add := func(values ...string) {
		for _, v := range values {
			if len(v) >= 4 { // shorter ones would eat the words
				secrets = append(secrets, v, url.QueryEscape(v))
			}
		}
	}
	if _, sent, ok := strings.Cut(req.Header.Get("Authorization"), " "); ok {
		add(sent)
		if plain, err := base64.StdEncoding.DecodeString(sent); err == nil {
			_, password, _ := strings.Cut(string(plain), ":")
			add(string(plain), password)
		}
	}
	add(h.auth.creds.shown()...)
	// The longest first, where one holds another.
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, s := range secrets {
		body = bytes.ReplaceAll(body, []byte(s), []byte("***"))
	}
	return body
}

// shown are the secrets that the host may have been shown.
func (c *credentials) shown() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return []string{c.current.password, c.current.identity, c.current.bearer}
}
