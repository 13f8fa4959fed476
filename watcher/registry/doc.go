// Package registry looks at container registries: politely, with the right
// credentials, and believing nothing that a digest does not prove.
//
// [Registries] is the [watcher.Registry] of the daemon. The parts, in the order
// in which one look meets them:
//
//   - endpoints: a reference is asked of its host's mirrors in order, then of
//     the host itself. Each is a host of its own, with its own settings.
//   - host: one client per registry host. It repeats what failed by chance,
//     renews what expired, and says in words what failed for good.
//   - auth: the challenge that the host gave once, a token per repository
//     fetched ahead, the credentials that belong to this host and no other.
//   - gate: how many requests may be in flight, how many in a minute, and none
//     at all before the time that a 429 or Retry-After named.
//   - document: an index or a manifest, refused if it could be read in two ways.
//
// What is promised: one HEAD per unchanged look (a GET where a host has no HEAD
// or no digest header, remembered per host); every body that is read is capped
// and must have the digest that it was asked by; credentials go to the host
// that they were given for, and to a token server only if it is under the same
// domain; every error is a *[watcher.LookError] that names what was tried, and
// the remedy where there is one.
//
// Nothing is kept on disk. What is remembered of a host (challenge, tokens,
// pause, quota) is lost with the process and found again within one look.
package registry
