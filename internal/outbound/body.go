package outbound

import (
	"fmt"
	"io"
)

// drainLimit is how much of an unwanted answer is read to keep its connection.
const drainLimit = 64 << 10

// TooLargeError says that an answer was longer than what we read of its kind.
type TooLargeError struct{ Max int64 }

func (e *TooLargeError) Error() string { return fmt.Sprintf("answer is longer than %d bytes", e.Max) }

// ReadAll reads r to its end, which must come within limit bytes; otherwise the
// error is a *[TooLargeError] and what was read is dropped.
func ReadAll(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, &TooLargeError{Max: limit}
	}
	return b, nil
}

// Drain closes the body of an answer that nobody wants, and reads a little of
// it first so that the connection can be used again.
func Drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, drainLimit)
	_ = body.Close()
}
