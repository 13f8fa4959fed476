package bolt

import (
	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// What the store promises to be.
var (
	_ watcher.Store  = (*Store)(nil)
	_ watcher.Passes = (*Store)(nil)
	_ watcher.Hosts  = (*Store)(nil)
	_ watcher.Census = (*Store)(nil)
	_ outbox.Store   = deliveries{}
)
