// Package watcher decides when to look at a base image and when what was seen
// is a change.
//
// The parts, in the order in which one change meets them:
//
//   - [Target] and [Reference]: what is watched, by its canonical name.
//   - [Loop]: claims due targets host by host, looks, and reports. It owns no
//     state between calls; the [Store] does.
//   - [Registry]: how a look is made. One HEAD per look; a GET only when the
//     digest differs from the one last seen.
//   - [Settle]: the pure core. It turns a state and a look into the next state
//     and the events that follow from it. A change is a moved projection (the
//     digests of the wanted platforms) that has settled; an index that moved
//     for any other reason is noise, recorded and silent.
//
// The package promises: a first sight is a baseline and never a change; an
// error is never a change; what was pending is told after its time also while
// looks fail; nobody is told before the change is durable.
//
// It refuses references by digest, since a digest never moves.
//
// It does no I/O of its own and imports nothing but the standard library and
// go-containerregistry's name package.
package watcher
