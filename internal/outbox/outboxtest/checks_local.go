package outboxtest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"

	"basewatch/internal/outbox"
)

func takes(w *world) error {
	if err := attempt(w.receiver, Change(1)); err != nil {
		return fmt.Errorf("a service that takes everything: %w", err)
	}
	if n := len(w.service.seen()); !w.c.Local && n != 1 {
		return fmt.Errorf("one delivery made %d requests", n)
	}
	return nil
}

func cancelledBefore(w *world) error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := w.receiver.Deliver(ctx, Change(1)); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("error %v, want context.Canceled in it", err)
	}
	if n := len(w.service.seen()); n != 0 {
		return fmt.Errorf("%d requests were sent", n)
	}
	return nil
}

func sameTwice(w *world) error {
	d := Change(1)
	for range 2 {
		if err := attempt(w.receiver, d); err != nil {
			return err
		}
	}
	if w.c.Local {
		return nil
	}
	got := w.service.seen()
	if len(got) != 2 {
		return fmt.Errorf("%d requests, want 2", len(got))
	}
	if got[0].body != got[1].body || got[0].path != got[1].path {
		return fmt.Errorf("the requests differ:\n%s\n%s", got[0].body, got[1].body)
	}
	for _, r := range got {
		if h := w.c.IDHeader; h != "" && r.header.Get(h) != d.ID {
			return fmt.Errorf("%s: %q, want %q", h, r.header.Get(h), d.ID)
		}
	}
	return nil
}

func atOnce(w *world) error {
	const n = 16
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = attempt(w.receiver, Change(i+1)) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil || w.c.Local {
		return err
	}
	bodies := map[string]bool{}
	for _, r := range w.service.seen() {
		bodies[r.body] = true
	}
	if len(bodies) != n {
		return fmt.Errorf("%d deliveries arrived as %d different messages", n, len(bodies))
	}
	return nil
}

func printsNoSecret(w *world) error {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if err := noCanary(fmt.Sprintf(verb, w.receiver)); err != nil {
			return fmt.Errorf("printed with %s: %w", verb, err)
		}
	}
	return nil
}

// noSecret looks at an error and everything that it wraps.
func noSecret(err error) error {
	if err == nil {
		return nil
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%q"} {
		if e := noCanary(fmt.Sprintf(verb, err)); e != nil {
			return fmt.Errorf("error %T printed with %s: %w", err, verb, e)
		}
	}
	switch u := err.(type) { //nolint:errorlint // each layer is looked at by itself
	case interface{ Unwrap() error }:
		return noSecret(u.Unwrap())
	case interface{ Unwrap() []error }:
		for _, e := range u.Unwrap() {
			if err := noSecret(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// noCanary looks for the first half of the canary: a secret cut short is one
// all the same.
func noCanary(s string) error {
	half := canary[:9]
	for _, form := range []string{half, base64.StdEncoding.EncodeToString([]byte(half))} {
		if strings.Contains(s, form) {
			return fmt.Errorf("a secret is shown: %s", s)
		}
	}
	return nil
}

func digest(w *world) error {
	g, ok := w.receiver.(outbox.Digester)
	if !ok {
		return nil
	}
	ds := []outbox.Delivery{Change(1), Change(2), Change(3)}
	tell := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		_, err := g.Digest(ctx, ds)
		return err
	}
	if err := tell(); err != nil {
		return err
	}
	if n := len(w.service.seen()); n != 1 {
		return fmt.Errorf("a digest made %d requests, want 1", n)
	}
	w.service.set(func(s *service) { s.answer = echo(500, 0) })
	err := tell()
	if got, _ := outbox.Classify(err); got != outbox.Retry {
		return fmt.Errorf("a digest answered with 500 is %s, want %s", got, outbox.Retry)
	}
	return noSecret(err)
}
