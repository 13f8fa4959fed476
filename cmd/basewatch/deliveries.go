package main

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"basewatch/internal/outbox"
	"basewatch/internal/web"
)

func (c *cli) deliveriesCommand() *cobra.Command {
	var since sinceFlag
	var q web.DeliveriesQuery
	cmd := &cobra.Command{
		Use:     "deliveries",
		Short:   "Lists what was told, waits to be told, or could not be",
		Example: "  basewatch deliveries --receiver slack --since 09:00\n  basewatch deliveries --state dead",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q.Since = since.at
			if err := errors.Join(oneOf("state", q.State, states()...), withinLimit(q.Limit)); err != nil {
				return err
			}
			return c.ask(cmd.Context(), reading, func(conn *connection) error {
				list, err := conn.Deliveries(cmd.Context(), q)
				if err != nil {
					return err
				}
				if c.output == "json" {
					return printJSON(c.out, list)
				}
				if len(list.Deliveries) == 0 {
					fmt.Fprintln(c.out, noDeliveries(q))
					return nil
				}
				c.printDeliveries(list)
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.Receiver, "receiver", "", "of this receiver, or receiver:address")
	f.StringVar(&q.State, "state", "", strings.Join(states(), ", "))
	f.StringVar(&q.Image, "image", "", "about this image")
	f.Var(&since, "since", "created after this: 30d, 12h, 09:00 or 2026-01-31")
	f.IntVar(&q.Limit, "limit", 100, "at most so many, 1000 at most")
	return cmd
}

func states() []string {
	return []string{string(outbox.Waiting), string(outbox.Delivered), string(outbox.Skipped), string(outbox.Dead), string(outbox.Superseded)}
}

// noDeliveries says what an empty list means.
func noDeliveries(q web.DeliveriesQuery) string {
	if q == (web.DeliveriesQuery{Limit: q.Limit}) {
		return "no deliveries yet: there was nothing to tell; try: basewatch test RECEIVER"
	}
	return "no deliveries match; all of them: basewatch deliveries"
}

func (c *cli) printDeliveries(list *web.DeliveryList) {
	t := newTable(c.out, "ID", "EVENT", "RECEIVER", "STATE", "CREATED", "ATTEMPTS", "LAST ANSWER", "NEXT")
	now := time.Now()
	for _, d := range list.Deliveries {
		t.row(d.ID[:8], string(d.Kind)+" "+d.Handle, d.Lane, stateOf(d), c.when(d.CreatedAt, now),
			strconv.Itoa(d.Attempts), lastAnswer(d), c.nextOf(d, now))
	}
	t.flush()
	if list.More {
		fmt.Fprintln(c.out, "older ones are left out; see --limit and --since")
	}
}

func stateOf(d web.Delivery) string {
	if d.State == outbox.Waiting && d.HeldFor != "" && d.HeldUntil.After(time.Now()) {
		return "held"
	}
	return string(d.State)
}

// lastAnswer is the error, or what the receiver said. A delivery that was
// taken without a word has none.
func lastAnswer(d web.Delivery) string {
	switch {
	case d.Reason != "":
		return d.Reason
	case d.By != "":
		return "told by " + d.By[:8]
	case d.Last == nil:
		return ""
	case d.Last.Answer == "" && d.Last.Outcome != outbox.Success:
		return string(d.Last.Outcome)
	}
	return d.Last.Answer
}

func (c *cli) nextOf(d web.Delivery, now time.Time) string {
	if d.State != outbox.Waiting {
		return "-"
	}
	if !d.NextAt.After(now) {
		return "now"
	}
	return c.when(d.NextAt, now)
}

func (c *cli) retryCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "retry RECEIVER|ID…",
		Short: "Tries waiting deliveries now",
		Long: `Tries what waits for a receiver, or the deliveries named, now instead of at
their next time. What was settled is sent again with: basewatch replay`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, a []string) error {
			req, err := retryRequest(a)
			if err != nil {
				return err
			}
			return c.ask(cmd.Context(), replaying, func(conn *connection) error {
				r, err := conn.Retry(cmd.Context(), req)
				if err != nil {
					return err
				}
				if c.output == "json" {
					return printJSON(c.out, r)
				}
				c.saySent(conn, r.Retried, "due now")
				return nil
			})
		},
	}
}

func retryRequest(a []string) (web.RetryRequest, error) {
	if web.IsDeliveryID(a[0]) {
		return web.RetryRequest{IDs: a}, nil
	}
	if len(a) > 1 {
		return web.RetryRequest{}, usageError(errors.New("name one receiver, or deliveries by their IDs"))
	}
	return web.RetryRequest{Receiver: a[0]}, nil
}

func (c *cli) saySent(conn *connection, n int, what string) {
	if n == 0 {
		fmt.Fprintln(c.out, "no deliveries match; nothing was done")
		return
	}
	tail, are := "", "are"
	if !conn.Live {
		tail = "; no daemon runs: sent when one starts"
	}
	if n == 1 {
		are = "is"
	}
	fmt.Fprintf(c.out, "%s %s %s%s\n", nouns(n, "delivery", "deliveries"), are, what, tail)
}

// askAbove is how many deliveries a replay may repeat without being asked.
const askAbove = 10

func (c *cli) replayCommand() *cobra.Command {
	var since sinceFlag
	var req web.ReplayRequest
	var yes bool
	cmd := &cobra.Command{
		Use:   "replay ID…|--receiver R --since T",
		Short: "Delivers again what was delivered, superseded or given up",
		Long: `Delivers again under the same IDs, so that receivers that keep them can tell a
repeat. Above 10 it asks first.`,
		Example: "  basewatch replay 7Q2NK4\n  basewatch replay --receiver slack --since 2h --state dead --dry-run",
		RunE: func(cmd *cobra.Command, a []string) error {
			req.IDs, req.Since = a, since.at
			if err := replayable(req); err != nil {
				return err
			}
			return c.ask(cmd.Context(), replaying, func(conn *connection) error { return c.replay(cmd, conn, req, yes) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&req.Receiver, "receiver", "", "all of this receiver; needs --since")
	f.Var(&since, "since", "with --receiver: created after this: 30d, 12h, 09:00 or 2026-01-31")
	f.StringVar(&req.State, "state", "", "with --receiver: only delivered, dead or superseded")
	f.BoolVar(&req.DryRun, "dry-run", false, "list what would go, and send nothing")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// replayable refuses what does not say clearly which deliveries are meant.
func replayable(r web.ReplayRequest) error {
	named, receiver := len(r.IDs) > 0, r.Receiver != ""
	switch {
	case named && (receiver || !r.Since.IsZero() || r.State != ""):
		return usageError(errors.New("replay: name deliveries by their IDs or choose them by --receiver, --since and --state, not both"))
	case !named && (!receiver || r.Since.IsZero()):
		return usageError(errors.New("replay: name deliveries by their IDs (see: basewatch deliveries), or give both --receiver and --since"))
	}
	return oneOf("state", r.State, string(outbox.Delivered), string(outbox.Dead), string(outbox.Superseded))
}

func (c *cli) replay(cmd *cobra.Command, conn *connection, req web.ReplayRequest, yes bool) error {
	if !req.DryRun && !yes && len(req.IDs) == 0 {
		list := req
		list.DryRun = true
		found, err := conn.Replay(cmd.Context(), list)
		if err != nil {
			return err
		}
		if n := len(found.Deliveries); n > askAbove && !c.confirm(n) {
			return fmt.Errorf("%d deliveries match and nothing was sent; look at them with --dry-run, send them with --yes", n)
		}
	}
	r, err := conn.Replay(cmd.Context(), req)
	if err != nil {
		return err
	}
	if c.output == "json" {
		return printJSON(c.out, r)
	}
	if req.DryRun {
		if len(r.Deliveries) > 0 {
			c.printDeliveries(&web.DeliveryList{Deliveries: r.Deliveries})
		}
		fmt.Fprintf(c.out, "%s would go again; nothing was sent\n", nouns(len(r.Deliveries), "delivery", "deliveries"))
		return nil
	}
	c.saySent(conn, r.Replayed, "waiting again")
	return nil
}

// confirm asks a person; without a terminal the answer is no.
func (c *cli) confirm(n int) bool {
	if !isTerminal(c.in) {
		return false
	}
	fmt.Fprintf(c.err, "Deliver %d messages again? [y/N] ", n)
	line, err := bufio.NewReader(c.in).ReadString('\n')
	return err == nil && strings.EqualFold(strings.TrimSpace(line), "y")
}
