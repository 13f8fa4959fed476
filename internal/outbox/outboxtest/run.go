package outboxtest

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"basewatch/internal/outbox"
)

// Env is the world that a receiver is made for.
type Env struct {
	// URL is the service: a base URL without a slash at its end.
	URL string
	// Client reaches it. It follows redirects unless the receiver forbids it.
	Client *http.Client
	// Canary must be part of every secret that the receiver is given.
	Canary string
}

// Case is one receiver, in one mode.
type Case struct {
	// New makes the receiver. It is called in a synctest bubble, once a check.
	New func(t *testing.T, env Env) outbox.Receiver
	// Outcome is what the receiver promises for an HTTP status.
	Outcome func(status int) outbox.Outcome
	// Body is what the service answers; empty: ok.
	Body string
	// IDHeader is the request header that holds the delivery's ID, if one does.
	IDHeader string
	// Local says that the receiver sends nothing over HTTP: only the checks
	// without a service run.
	Local bool
}

// Run checks that a receiver keeps the contract. Every check is a subtest with
// the name of its promise.
func Run(t *testing.T, c Case) {
	t.Helper()
	for _, chk := range c.checks() {
		t.Run(chk.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if err := chk.in(t, c); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// check is one promise. It returns what breaks it, so that our own tests can
// see it broken.
type check struct {
	name string
	run  func(w *world) error
}

func (k check) in(t *testing.T, c Case) error {
	w := newWorld(t, c)
	defer w.close()
	return k.run(w)
}

func (c Case) checks() []check {
	always := []check{
		{"a delivery is taken", takes},
		{"a cancelled context delivers nothing", cancelledBefore},
		{"the same ID twice makes the same message", sameTwice},
		{"deliveries at once do not mix", atOnce},
		{"printing the receiver shows no secret", printsNoSecret},
	}
	if c.Local {
		return always
	}
	return append(always, []check{
		{"every status has its outcome", statuses},
		{"no redirect is followed", noRedirect},
		{"Retry-After in seconds is obeyed", retryAfterSeconds},
		{"Retry-After as a date is obeyed", retryAfterDate},
		{"a senseless Retry-After is survived", retryAfterSenseless},
		{"a service that hangs costs the deadline and no more", hangs},
		{"a cancelled attempt ends at once", cancelledWithin},
		{"an answer without end costs the deadline and no more", endless},
		{"a refused connection is retried", refused},
		{"a reset connection is retried", reset},
		{"an answer is kept short and harmless", longAnswer},
		{"no error shows a secret", errorsShowNoSecret},
		{"a digest is taken or fails as one", digest},
	}...)
}

// deadline is the dispatcher's usual one.
const deadline = 30 * time.Second

func attempt(r outbox.Receiver, d outbox.Delivery) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	_, err := r.Deliver(ctx, d)
	return err
}
