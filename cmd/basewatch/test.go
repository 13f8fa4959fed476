package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"basewatch/internal/outbox"
	"basewatch/internal/web"
)

func (c *cli) testCommand() *cobra.Command {
	var event string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "test RECEIVER[:ADDRESS]",
		Short: "Sends a test message through the real queue and waits for it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, a []string) error {
			return c.ask(cmd.Context(), daemonOnly, func(conn *connection) error {
				return c.test(cmd.Context(), conn, web.TestRequest{Receiver: a[0], Event: event}, wait)
			})
		},
	}
	cmd.Flags().StringVar(&event, "event", "", "imitate this event, such as changed or failing (default test)")
	cmd.Flags().DurationVar(&wait, "wait", 40*time.Second, "how long to wait for the outcome; 0: not at all")
	return cmd
}

func (c *cli) test(ctx context.Context, conn *connection, req web.TestRequest, wait time.Duration) error {
	t, err := conn.Test(ctx, req)
	if err != nil {
		return err
	}
	if len(t.Deliveries) == 0 {
		return errors.New("the event was recorded, but nothing was planned for " + req.Receiver)
	}
	d, down := t.Deliveries[0], ""
	if wait > 0 {
		if d, down, err = c.follow(ctx, conn, d, wait); err != nil {
			return err
		}
	}
	if c.output == "json" {
		if err := printJSON(c.out, d); err != nil {
			return err
		}
	}
	see := "see: basewatch explain " + d.ID[:8]
	switch {
	case d.State == outbox.Delivered:
		c.say("%s took it in %d ms: %s\n", d.Lane, d.Last.TookMS, d.ID)
	case d.Last != nil:
		return fmt.Errorf("%s did not take it: %s; %s", d.Lane, lastAnswer(d), see)
	case down != "":
		return fmt.Errorf("%s takes nothing now: %s; the test message waits behind the others; %s", d.Lane, down, see)
	case wait > 0:
		return fmt.Errorf("%s was not reached within %s; the test message still waits; %s", d.Lane, wait, see)
	default:
		c.say("%s waits in the queue of %s; %s\n", d.ID, d.Lane, see)
	}
	return nil
}

// say prints a line for people.
func (c *cli) say(format string, a ...any) {
	if c.output == "table" {
		fmt.Fprintf(c.out, format, a...)
	}
}

// follow waits until the delivery was tried, its lane was and takes nothing
// (then down is why), or wait is over.
func (c *cli) follow(ctx context.Context, conn *connection, d web.Delivery, wait time.Duration) (now web.Delivery, down string, err error) {
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		// In this order: an attempt that made the lane fail is on the delivery
		// by the time it is read.
		down, err := whyDown(limited, conn, d.Lane)
		if err == nil {
			d, err = again(limited, conn, d)
		}
		switch {
		case limited.Err() != nil:
			return d, "", ctx.Err()
		case err != nil || down != "" || d.State != outbox.Waiting || d.Last != nil:
			return d, down, err
		}
		select {
		case <-limited.Done():
		case <-tick.C:
		}
	}
}

func again(ctx context.Context, conn *connection, d web.Delivery) (web.Delivery, error) {
	list, err := conn.Deliveries(ctx, web.DeliveriesQuery{ID: d.ID})
	if err != nil || len(list.Deliveries) != 1 {
		return d, err
	}
	return list.Deliveries[0], nil
}

// whyDown tells why a lane takes nothing, once the probe that a test sets off
// has failed too.
func whyDown(ctx context.Context, conn *connection, lane string) (string, error) {
	st, err := conn.Status(ctx)
	if err != nil {
		return "", err
	}
	for _, r := range st.Receivers {
		if r.Lane == lane && r.State == "failing" && r.NextTry.After(st.At) {
			return r.Why, nil
		}
	}
	return "", nil
}
