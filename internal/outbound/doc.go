// Package outbound is the one way out: every HTTP request that basewatch
// sends goes through a client made here.
//
// It promises: connections only to addresses that the user's own
// configuration allows (the resolved address is checked, at the moment of
// dialing, so that a name cannot change its mind in between); TLS 1.2 or
// newer; the user's CA file on top of the system's; the configured proxy, else
// the environment's; no redirect unless asked for; no answer inflated behind
// our back; errors without URLs, which are secrets; refusals without a proxy's
// login, should somebody repeat it.
package outbound
