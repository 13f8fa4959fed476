package outboxtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"basewatch/internal/outbox"
)

func statusList() []int {
	return []int{200, 201, 202, 204, 300, 301, 302, 303, 304, 307, 308,
		400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 422, 425, 429, 451,
		500, 501, 502, 503, 504, 507, 599}
}

func statuses(w *world) error {
	var wrong []error
	for _, status := range statusList() {
		w.service.set(func(s *service) { s.status = status })
		err := attempt(w.receiver, Change(status))
		got, _ := outbox.Classify(err)
		if want := w.c.Outcome(status); got != want {
			wrong = append(wrong, fmt.Errorf("status %d: %s (%v), want %s", status, got, err, want))
		}
		if err != nil && status >= 400 && !strings.Contains(err.Error(), strconv.Itoa(status)) {
			wrong = append(wrong, fmt.Errorf("status %d is not in its error: %w", status, err))
		}
	}
	return errors.Join(wrong...)
}

func noRedirect(w *world) error {
	for _, status := range []int{301, 302, 303, 307, 308} {
		w.service.set(func(s *service) {
			s.requests, s.status = nil, status
			s.header = http.Header{"Location": {"http://elsewhere.example.com/taken"}}
		})
		if err := attempt(w.receiver, Change(1)); err == nil {
			return fmt.Errorf("status %d counts as delivered", status)
		}
		if n := len(w.service.seen()); n != 1 {
			return fmt.Errorf("status %d made %d requests", status, n)
		}
	}
	return nil
}

// waitOf gives the wait that follows from a status with a Retry-After.
func waitOf(w *world, status int, value string) (time.Duration, error) {
	w.service.set(func(s *service) {
		s.status, s.header = status, http.Header{"Retry-After": {value}}
	})
	err := attempt(w.receiver, Change(1))
	outcome, wait := outbox.Classify(err)
	if outcome != outbox.Retry {
		return 0, fmt.Errorf("status %d with Retry-After %q: %s (%v), want %s", status, value, outcome, err, outbox.Retry)
	}
	return wait, nil
}

func retryAfterSeconds(w *world) error {
	for _, status := range []int{429, 503} {
		if wait, err := waitOf(w, status, "97"); err != nil || wait != 97*time.Second {
			return fmt.Errorf("status %d: wait %v, want 1m37s (%v)", status, wait, err)
		}
	}
	return nil
}

func retryAfterDate(w *world) error {
	for _, status := range []int{429, 503} {
		at := time.Now().Add(97 * time.Second).UTC().Format(http.TimeFormat)
		wait, err := waitOf(w, status, at)
		if err != nil || wait > 97*time.Second || wait <= 95*time.Second {
			return fmt.Errorf("status %d: wait %v, want about 1m37s (%v)", status, wait, err)
		}
	}
	return nil
}

func retryAfterSenseless(w *world) error {
	past := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	for _, value := range []string{"", "soon", "-5", "1.5e3", "999999999", "99999999999999999999", "9223372036854775807", past} {
		wait, err := waitOf(w, 429, value)
		if err != nil {
			return err
		}
		if wait < 0 || wait > 24*time.Hour {
			return fmt.Errorf("Retry-After %q: wait %v", value, wait)
		}
	}
	return nil
}

func hangs(w *world) error {
	w.service.set(func(s *service) { s.answer = hang })
	start := time.Now()
	err := attempt(w.receiver, Change(1))
	if took := time.Since(start); took > deadline {
		return fmt.Errorf("the attempt took %v", took)
	}
	if got, _ := outbox.Classify(err); got != outbox.Retry {
		return fmt.Errorf("%s (%v), want %s", got, err, outbox.Retry)
	}
	return noSecret(err)
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func cancelledWithin(w *world) error {
	w.service.set(func(s *service) { s.answer = hang })
	ctx, cancel := context.WithCancel(context.Background())
	defer time.AfterFunc(time.Second, cancel).Stop()
	start := time.Now()
	_, err := w.receiver.Deliver(ctx, Change(1))
	if took := time.Since(start); took != time.Second {
		return fmt.Errorf("cancelled after 1s, ended after %v", took)
	}
	if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("error %v, want context.Canceled in it", err)
	}
	return noSecret(err)
}

func endless(w *world) error {
	for _, status := range []int{200, 500} {
		w.service.set(func(s *service) {
			s.answer = func(rw http.ResponseWriter, r *http.Request) {
				rw.WriteHeader(status)
				_, _ = rw.Write([]byte("x"))
				_ = http.NewResponseController(rw).Flush()
				hang(rw, r)
			}
		})
		start := time.Now()
		err := attempt(w.receiver, Change(1))
		if took := time.Since(start); took > deadline {
			return fmt.Errorf("status %d: the attempt took %v", status, took)
		}
		if err == nil && status == 500 {
			return errors.New("status 500 counts as delivered")
		}
	}
	return nil
}

func refused(w *world) error {
	refusal := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	w.service.set(func(s *service) { s.refuse = refusal })
	err := attempt(w.receiver, Change(1))
	if got, _ := outbox.Classify(err); got != outbox.Retry {
		return fmt.Errorf("%s (%v), want %s", got, err, outbox.Retry)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("the cause is lost: %w", err)
	}
	return noSecret(err)
}

func reset(w *world) error {
	w.service.set(func(s *service) {
		s.answer = func(rw http.ResponseWriter, _ *http.Request) {
			if conn, _, err := http.NewResponseController(rw).Hijack(); err == nil {
				_ = conn.Close()
			}
		}
	})
	err := attempt(w.receiver, Change(1))
	if got, _ := outbox.Classify(err); got != outbox.Retry {
		return fmt.Errorf("%s (%v), want %s", got, err, outbox.Retry)
	}
	return noSecret(err)
}

func longAnswer(w *world) error {
	w.service.set(func(s *service) {
		s.status, s.body = 500, strings.Repeat("\x1b[31m<b>trouble</b>\r\n", 50_000)
	})
	err := attempt(w.receiver, Change(1))
	if err == nil {
		return errors.New("status 500 counts as delivered")
	}
	if n := len(err.Error()); n > 1024 {
		return fmt.Errorf("the error has %d bytes", n)
	}
	if strings.ContainsFunc(err.Error(), unicode.IsControl) {
		return fmt.Errorf("the error has control characters: %q", err)
	}
	return nil
}

// echo is a service that tells everything it was sent, after some padding.
func echo(status, pad int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/"+canary)
		w.WriteHeader(status)
		_, _ = fmt.Fprintln(w, strings.Repeat(".", pad), r.URL, r.Header)
	}
}

func errorsShowNoSecret(w *world) error {
	for _, status := range []int{302, 400, 401, 404, 429, 500} {
		if err := echoed(w, echo(status, 0)); err != nil {
			return fmt.Errorf("status %d: %w", status, err)
		}
	}
	// Somewhere the secret lies across the end of what is kept of an answer.
	for pad := 0; pad < 600; pad += 3 {
		if err := echoed(w, echo(500, pad)); err != nil {
			return fmt.Errorf("after %d bytes: %w", pad, err)
		}
	}
	return nil
}

func echoed(w *world, answer http.HandlerFunc) error {
	w.service.set(func(s *service) { s.requests, s.answer = nil, answer })
	err := attempt(w.receiver, Change(1))
	if err == nil {
		return errors.New("counts as delivered")
	}
	return noSecret(err)
}
