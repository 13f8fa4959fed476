package watcher

// RebuiltAt is for tests.
var RebuiltAt = rebuiltAt //nolint:gochecknoglobals // the usual door for tests
