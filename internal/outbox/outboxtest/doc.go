// Package outboxtest is the conformance test that every [outbox.Receiver]
// passes. It runs a receiver against a service of its own, over connections in
// memory and in virtual time, and checks what the dispatcher relies on:
//
//   - each HTTP status has the outcome that the receiver's documentation gives,
//     and only success is nil;
//   - Retry-After is obeyed, in seconds and as a date;
//   - a service that hangs, resets, refuses, redirects, or answers without end
//     costs no more than the deadline, and a cancelled context ends at once;
//   - the same ID twice makes the same request twice;
//   - several deliveries at once do not mix (run it with -race);
//   - no error, and no way to print the receiver, shows a secret, even when the
//     service echoes it.
//
// A receiver's test calls [Run] with a [Case] for each of its modes.
package outboxtest
