package outbound

import (
	"fmt"
	"net/http"
	"net/url"
)

// RedirectError says that a redirect was not followed.
type RedirectError struct{ reason string }

func (e *RedirectError) Error() string { return "redirect refused: " + e.reason }

// redirectPolicy follows at most n redirects. Go's own rule lets Authorization
// go to another port, to a subdomain, and restores it when a chain comes back;
// here it goes nowhere but to the first request's scheme, host and port, and
// never after the chain has left them.
func redirectPolicy(n int) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		if n == 0 {
			return http.ErrUseLastResponse
		}
		if len(via) > n {
			return &RedirectError{fmt.Sprintf("it would be number %d, at most %d are followed", n+1, n)}
		}
		if s := req.URL.Scheme; s != "https" && (s != "http" || via[len(via)-1].URL.Scheme == "https") {
			return &RedirectError{fmt.Sprintf("it leads to %s://%s, and only https may follow https", s, req.URL.Host)}
		}
		if strayed(req, via) {
			for _, h := range []string{"Authorization", "Proxy-Authorization", "Cookie"} {
				req.Header.Del(h)
			}
		}
		req.Header.Del("Referer")
		return nil
	}
}

func strayed(req *http.Request, via []*http.Request) bool {
	home := origin(via[0].URL)
	for _, r := range via[1:] {
		if origin(r.URL) != home {
			return true
		}
	}
	return origin(req.URL) != home
}

// origin is scheme, host and port, the default port written out.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + hostname(u.Host) + ":" + port
}
