// Package housekeeping has no code, only tests of the repository itself: which
// room may import which, that documents name paths that exist, and the shape
// that files keep.
package housekeeping
