// Package standin has stand-ins for the services that basewatch talks to: a
// container registry, Slack, a webhook, a mail server. They run in this
// process, speak real HTTP and SMTP, and refuse what the real ones refuse.
// Tests use them, and so can a demonstration that needs no account.
//
// Each stand-in is an [http.Handler] made by a constructor: [NewRegistry],
// [NewSlack], [NewWebhook]. Serve it on a loopback port with [Serve] or
// [ServeTLS], or in memory with a [MemNet], which works inside a
// testing/synctest bubble, where real sockets stop the clock. (Make the
// stand-in inside the bubble too.) [NewMail] is no handler and serves itself.
//
// Trouble is written as a [Script]: answers that the next requests get instead
// of the usual ones. What happened is kept and can be asked for and waited for.
//
// Everything is safe for concurrent use.
package standin
