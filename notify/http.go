package notify

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"basewatch/internal/outbound"
	"basewatch/internal/outbox"
	"basewatch/internal/text"
)

const (
	// answerLimit is how much of an answer is read, in bytes.
	answerLimit = 512
	// answerTime is how long an answer may take to say more than its status.
	answerTime = 2 * time.Second
	// maxRetryAfter is the longest wait that a receiver may ask for.
	maxRetryAfter = 24 * time.Hour
)

// answer is what a receiver said: its status, and the beginning of its body
// made harmless.
type answer struct {
	status     int
	retryAfter time.Duration
	text       string
}

// post sends one request. The status is the answer; what is said beside it is
// worth a moment and no more, so that a body without end costs nothing. The
// error, and the answer's text, show none of the secrets.
func post(ctx context.Context, client *http.Client, u *url.URL, header http.Header, body []byte, secrets []string) (answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, errors.New("not a valid URL")
	}
	req.Header = header
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, outbound.Redact(err)
	}
	defer func() { _ = resp.Body.Close() }()
	defer time.AfterFunc(answerTime, cancel).Stop()
	return readAnswer(resp, secrets), nil
}

func readAnswer(resp *http.Response, secrets []string) answer {
	// One secret more than we keep, so that none is cut and so not recognized.
	longest := 0
	for _, s := range secrets {
		longest = max(longest, len(s))
	}
	head, _ := io.ReadAll(io.LimitReader(resp.Body, int64(answerLimit+longest)))
	said := hide(string(head), secrets)
	return answer{
		status:     resp.StatusCode,
		retryAfter: retryAfter(resp.Header, time.Now()),
		text:       text.Plain(said[:min(len(said), answerLimit)], answerLimit),
	}
}

// failure says what the status means: nil for 2xx, permanent for those listed,
// otherwise a retry, not before the time that the receiver asked for.
func (a answer) failure(host string, permanent ...int) error {
	if a.status >= 200 && a.status <= 299 {
		return nil
	}
	err := fmt.Errorf("POST %s: %s", host, a)
	switch {
	case slices.Contains(permanent, a.status):
		return outbox.Permanent(err)
	case a.retryAfter > 0:
		return outbox.RetryAfter(err, a.retryAfter)
	}
	return err
}

func (a answer) String() string {
	s := strconv.Itoa(a.status)
	if name := http.StatusText(a.status); name != "" {
		s += " " + name
	}
	if a.text != "" {
		s += ": " + a.text
	}
	return s
}

// retryAfter reads Retry-After, in seconds or as a date. What is senseless or
// past is no wish; what is beyond a day is a day.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseUint(value, 10, 64); err == nil {
		return time.Duration(min(n, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// hide replaces secrets in what a receiver said: some answer with all that they
// were asked.
func hide(s string, secrets []string) string {
	for _, secret := range secrets {
		if len(secret) >= 4 { // shorter ones would eat the words
			s = strings.ReplaceAll(s, secret, "***")
		}
	}
	return s
}

// urlSecrets lists the parts of a URL that may be secret, longest first where
// one holds another: all but scheme, host and short words of the path.
func urlSecrets(u *url.URL) []string {
	parts := []string{u.String(), u.RequestURI(), u.EscapedPath(), u.Path}
	if u.User != nil {
		password, _ := u.User.Password()
		user := u.User.Username()
		parts = append(parts, base64.StdEncoding.EncodeToString([]byte(user+":"+password)), password, user)
	}
	for _, values := range u.Query() {
		parts = append(parts, values...)
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if len(segment) >= 8 {
			parts = append(parts, segment)
		}
	}
	return slices.DeleteFunc(parts, func(p string) bool { return p == "/" })
}
