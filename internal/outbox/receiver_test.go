package outbox_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"basewatch/internal/outbox"
)

// receiver takes deliveries by a function and keeps what it took.
type receiver struct {
	mu    sync.Mutex
	do    func(ctx context.Context, d outbox.Delivery) error
	seen  []seen // every call, also failed ones
	taken []seen
}

type seen struct {
	at time.Time
	d  outbox.Delivery
}

func (r *receiver) Deliver(ctx context.Context, d outbox.Delivery) (outbox.Receipt, error) {
	at := time.Now()
	r.mu.Lock()
	r.seen = append(r.seen, seen{at, d})
	do := r.do
	r.mu.Unlock()
	if do != nil {
		if err := do(ctx, d); err != nil {
			return outbox.Receipt{}, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken = append(r.taken, seen{time.Now(), d})
	return outbox.Receipt{Link: "of " + d.ID}, nil
}

func (r *receiver) now(do func(ctx context.Context, d outbox.Delivery) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.do = do
}

// calls are the attempts so far; arrived, the IDs taken, in order.
func (r *receiver) calls() []seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

func (r *receiver) arrived() []seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.taken)
}

// people is a receiver that takes digests too.
type people struct {
	receiver
	digests []digest
}

type digest struct {
	at   time.Time
	rows []outbox.Delivery
}

func (p *people) Digest(ctx context.Context, ds []outbox.Delivery) (outbox.Receipt, error) {
	p.mu.Lock()
	do := p.do
	p.mu.Unlock()
	for _, d := range ds {
		if do == nil {
			break
		}
		if err := do(ctx, d); err != nil {
			return outbox.Receipt{}, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.digests = append(p.digests, digest{time.Now(), ds})
	return outbox.Receipt{Link: "digest"}, nil
}

// messages are when people got one, in order.
func (p *people) messages() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	var at []time.Time
	for _, s := range p.taken {
		at = append(at, s.at)
	}
	for _, d := range p.digests {
		at = append(at, d.at)
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// each counts how often every ID came, alone or in a digest.
func (p *people) each() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := map[string]int{}
	for _, s := range p.taken {
		n[s.d.ID]++
	}
	for _, d := range p.digests {
		for _, row := range d.rows {
			n[row.ID]++
		}
	}
	return n
}

func down(context.Context, outbox.Delivery) error { return errDown }
