package outbox

import "time"

// Query selects deliveries for listings; a zero field selects all. Results are
// newest first.
type Query struct {
	ID       string // a prefix
	Receiver string // a receiver's name, or a lane
	State    State
	Since    time.Time // created at or after
	Ref      string    // the event's
	EventKey string
	Limit    int // at most 1000; 0 means 1000
}

// Counts sums up a store of deliveries.
type Counts struct {
	Waiting, Dead, Delivered, Skipped, Superseded int
	// Oldest is when the oldest waiting row was created; zero when none waits.
	Oldest time.Time
	// Bytes is the size of the store on disk.
	Bytes int64
}
