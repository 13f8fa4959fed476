package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestLinksOfMessagesLeadToTheExplanation(t *testing.T) {
	for path, want := range map[string]string{
		"/i/docker.io/library/python/3.13-slim/42": "/api/v1/explain?what=docker.io%2Flibrary%2Fpython%3A3.13-slim%4042",
		"/i/localhost:5000/a/b/c/1/2":              "/api/v1/explain?what=localhost%3A5000%2Fa%2Fb%2Fc%3A1%402",
		"/i/docker.io/":                            "",
		"/i/x":                                     "",
		"/i/":                                      "",
	} {
		w := httptest.NewRecorder()
		link(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		if got := w.Header().Get("Location"); got != want || want == "" && w.Code != http.StatusNotFound {
			t.Errorf("%s: %d to %q, want %q", path, w.Code, got, want)
		}
	}
}
