// Package web is basewatch's HTTP side: what the commands ask, what monitoring
// scrapes, what an orchestrator probes.
//
//	GET  /healthz, /readyz             never ask for a token
//	GET  /metrics                      Prometheus text or OpenMetrics
//	GET  /api/v1/openapi.json          the API's own description
//	GET  /api/v1/status, targets, history, deliveries, explain
//	POST /api/v1/check, retry, replay, test, reload
//
// [New] makes a [Server] from the parts of the daemon, each behind a small
// interface of this package. A server has two faces over the same routes:
// [Server.SocketHandler] for the unix socket, whose file mode is the
// permission, and [Server.Handler] for TCP, which asks for tokens, refuses
// foreign Host headers on a loopback listener and cross-origin posts. [Serve]
// runs them; [ListenSocket] makes the socket.
//
// [Client] speaks to any of them and gives back the same structs: over TCP,
// over the socket ([OverSocket]), or without a daemon straight into a handler
// ([InProcess]), so that a command has one way to ask.
//
// Errors are problem+json (RFC 9457, [Problem]). Times are RFC 3339. Every
// list has a limit. Text that came from registries and receivers is handed on
// as data; whoever prints it escapes it.
package web
