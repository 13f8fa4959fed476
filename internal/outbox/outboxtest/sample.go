package outboxtest

import (
	"fmt"
	"strings"
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// Change makes a delivery of the n-th change of python:3.13-slim, on the lane
// of a receiver named "people". The same n makes the same delivery.
func Change(n int) outbox.Delivery {
	at := time.Date(2026, 11, 22, 10, 14, 3, 0, time.UTC)
	e := watcher.Event{
		Kind: watcher.Changed,
		Ref:  "docker.io/library/python:3.13-slim",
		Seq:  uint64(n),
		At:   at.Add(time.Duration(n) * time.Minute),
		Old:  Snapshot(n, at.Add(-10*24*time.Hour)), New: Snapshot(n+1, at),
		Platforms: []string{"linux/amd64"},
		Labels:    map[string][]string{"team": {"shop"}},
	}
	e.Identify()
	return Delivery(e)
}

// Delivery plans e for the receiver "people", as the default route would.
func Delivery(e watcher.Event) outbox.Delivery {
	return outbox.Delivery{
		ID:       outbox.DeliveryID(e.Key, "people", ""),
		EventKey: e.Key, Receiver: "people", Thread: e.Thread, Route: "default",
		State: outbox.Waiting, CreatedAt: e.At, Event: e,
	}
}

// Snapshot makes the n-th content of an image, with real-looking digests.
func Snapshot(n int, seen time.Time) *watcher.Snapshot {
	return &watcher.Snapshot{
		Index:     Digest(2 * n),
		Platforms: map[string]watcher.Manifest{"linux/amd64": {Digest: Digest(2*n + 1), Size: 1940}},
		Annotations: map[string]string{
			"org.opencontainers.image.version":  fmt.Sprintf("3.13.%d", n),
			"org.opencontainers.image.revision": strings.Repeat(fmt.Sprintf("%04x", n%0x10000), 10),
			"org.opencontainers.image.source":   "https://github.com/docker-library/python.git",
		},
		SeenAt: seen,
	}
}

// Digest makes a well-formed digest; its first 12 hex digits differ by n.
func Digest(n int) string { return fmt.Sprintf("sha256:%012x%052x", 0x9f2c00000000+n, n) }
