package outbound

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
)

// maskLimit is how much of a refusal is searched for what must not be told; it
// is then all that there is of it.
const maskLimit = 64 << 10

// proxyMask hides a proxy's login in refusals. A request by plain http that a
// proxy carries has that login in its header: the proxy, or who answers through
// it, may repeat it, and what is answered ends in logs and the store.
type proxyMask struct {
	*http.Transport
	pick    func(*url.URL) (*url.URL, error)
	secrets [][]byte // longest first
}

// newProxyMask is the transport itself when no proxy has a login.
func newProxyMask(t *http.Transport, px proxy) http.RoundTripper {
	if len(px.secrets) == 0 {
		return t
	}
	return &proxyMask{Transport: t, pick: px.pick, secrets: px.secrets}
}

// RoundTrip implements http.RoundTripper.
func (m *proxyMask) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := m.Transport.RoundTrip(r)
	if err != nil || r.URL.Scheme != "http" || res.StatusCode < http.StatusBadRequest {
		return res, err
	}
	if through, _ := m.pick(r.URL); through == nil {
		return res, nil
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, maskLimit))
	_ = res.Body.Close()
	for _, s := range m.secrets {
		body = bytes.ReplaceAll(body, s, []byte("***"))
	}
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	res.Header.Del("Content-Length")
	return res, nil
}

// loginForms are the forms in which a proxy's login may come back.
func loginForms(u *url.Userinfo) [][]byte {
	password, ok := u.Password()
	if !ok && u.Username() == "" {
		return nil
	}
	plain := u.Username() + ":" + password
	forms := [][]byte{[]byte(plain), []byte(u.String()), []byte(base64.StdEncoding.EncodeToString([]byte(plain)))}
	if len(password) >= 4 { // shorter ones would eat the words
		forms = append(forms, []byte(password), []byte(url.QueryEscape(password)))
	}
	slices.SortFunc(forms, func(a, b []byte) int { return cmp.Compare(len(b), len(a)) })
	return forms
}
