package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"basewatch/internal/outbound"
)

// smallBody is what is read of an answer without a further thought. Real
// manifests are smaller still.
const smallBody = 64 << 10

// readReply reads the body that the caller wants, or the beginning of the one
// that says what is wrong.
func (h *host) readReply(req *http.Request, res *http.Response, w want) (*reply, error) {
	defer outbound.Drain(res.Body)
	r := &reply{Response: res}
	switch {
	case res.Request != nil && res.Request.Method == http.MethodHead:
		return r, nil
	case res.StatusCode == http.StatusOK:
		return r, h.readBody(req.Context(), r, w)
	}
	// An error's text is a help and no more: what can be read of it will do.
	r.body, _ = io.ReadAll(io.LimitReader(res.Body, maxErrorBytes))
	r.body = h.hidden(r.body, req)
	return r, nil
}

func (h *host) readBody(ctx context.Context, r *reply, w want) error {
	if r.ContentLength > w.limit {
		return &outbound.TooLargeError{Max: w.limit}
	}
	first, err := io.ReadAll(io.LimitReader(r.Body, min(smallBody, w.limit)+1))
	if err != nil {
		return &bodyError{err}
	}
	r.body = first
	if len(first) > smallBody {
		if err := h.enterLarge(ctx); err != nil {
			return err
		}
		defer func() { <-h.large }()
		buffer := h.buffer(w)
		if w.take != nil {
			defer h.buffers.Put(&buffer)
		}
		if r.body, err = readOn(buffer, first, r.Body); err != nil {
			return err
		}
	}
	if int64(len(r.body)) > w.limit {
		return &outbound.TooLargeError{Max: w.limit}
	}
	if w.take == nil || saysTooMany(r.StatusCode, r.body) {
		return nil
	}
	err = w.take(r)
	r.body = nil
	return err
}

// enterLarge waits until nobody else reads a large body of this host, no longer
// than a request may take.
func (h *host) enterLarge(ctx context.Context) error {
	late := time.NewTimer(requestTimeout)
	defer late.Stop()
	select {
	case h.large <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-late.C:
		return &bodyError{fmt.Errorf("large answers before this one took too long: %w", context.DeadlineExceeded)}
	}
}

// buffer has room for a byte more than is wanted. One whose content is taken is
// used again.
func (h *host) buffer(w want) []byte {
	if w.take != nil {
		if old, ok := h.buffers.Get().(*[]byte); ok && int64(cap(*old)) > w.limit {
			return (*old)[:w.limit+1]
		}
	}
	return make([]byte, w.limit+1)
}

// readOn reads first and what follows it into body; what fills it is too large.
func readOn(body, first []byte, rest io.Reader) ([]byte, error) {
	for n := copy(body, first); n < len(body); {
		more, err := rest.Read(body[n:])
		n += more
		if errors.Is(err, io.EOF) {
			return body[:n], nil
		}
		if err != nil {
			return nil, &bodyError{err}
		}
	}
	return nil, &outbound.TooLargeError{Max: int64(len(body)) - 1}
}

// bodyError is an answer that began well and did not come to its end.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "the answer broke off: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }
