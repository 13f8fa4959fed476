// Package rebuild will hold the receivers that tell machines: CI triggers and
// GitHub pull requests, and the proof that a rebuild happened. None is built
// yet, so a [rebuild.*] table in the configuration is refused as unknown.
package rebuild
