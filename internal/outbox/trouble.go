package outbox

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// What the dispatcher asks of the store. They fail apart from each other: a
// full disk leaves listing and claiming alone.
const (
	listing  = "listing lanes"
	claiming = "claiming deliveries"
	settling = "settling attempts"
)

// trouble follows failures of the store: it logs each streak once and makes
// the waits grow from 1 s to 30 s. Safe for concurrent use.
type trouble struct {
	log   *slog.Logger
	mu    sync.Mutex
	waits map[string]time.Duration
}

// report notes a failure and says how long to wait before the next try.
func (t *trouble) report(doing string, err error) time.Duration {
	if errors.Is(err, context.Canceled) {
		return time.Second // we are stopping
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.waits[doing]
	if last == 0 {
		t.log.Error("store fails, deliveries wait", "doing", doing, "err", err)
	}
	t.waits[doing] = min(max(time.Second, 2*last), 30*time.Second)
	return t.waits[doing]
}

func (t *trouble) over(doing string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waits[doing] > 0 {
		t.log.Info("store works again", "doing", doing)
	}
	delete(t.waits, doing)
}
