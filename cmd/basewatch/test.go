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
	d := t.Deliveries[0]
	if wait > 0 {
		if d, err = c.follow(ctx, conn, d, wait); err != nil {
			return err
		}
	}
	if c.output == "json" {
		if err := printJSON(c.out, d); err != nil {
			return err
		}
	}
	return c.sayTested(d)
}

func (c *cli) sayTested(d web.Delivery) error {
	switch {
	case d.State == outbox.Delivered:
		if c.output == "table" {
			fmt.Fprintf(c.out, "%s took it: %s\n", d.Lane, d.ID)
		}
		return nil
	case d.Last != nil:
		return fmt.Errorf("%s did not take it: %s; see: basewatch explain %s", d.Lane, lastAnswer(d), d.ID[:8])
	}
	if c.output == "table" {
		fmt.Fprintf(c.out, "%s waits in the queue of %s; see: basewatch explain %s\n", d.ID, d.Lane, d.ID[:8])
	}
	return nil
}

// follow waits until the delivery was tried, or wait is over.
func (c *cli) follow(ctx context.Context, conn *connection, d web.Delivery, wait time.Duration) (web.Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		list, err := conn.Deliveries(ctx, web.DeliveriesQuery{ID: d.ID})
		switch {
		case ctx.Err() != nil:
			return d, nil
		case err != nil:
			return d, err
		case len(list.Deliveries) == 1:
			d = list.Deliveries[0]
		}
		if d.State != outbox.Waiting || d.Last != nil {
			return d, nil
		}
		select {
		case <-ctx.Done():
			return d, nil
		case <-tick.C:
		}
	}
}
