package outbox_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// memory is outbox.Store over maps, to the letter of its contract but for
// durability.
type memory struct {
	mu      sync.Mutex
	plan    func(watcher.Event) []outbox.Delivery
	wake    func()
	broken  error // what every Settle says
	rows    []*outbox.Delivery
	events  map[string]watcher.Event
	lanes   map[string]outbox.Lane
	claimed map[string]time.Time
	roots   map[string]outbox.Receipt
}

func newMemory(plan func(watcher.Event) []outbox.Delivery) *memory {
	return &memory{plan: plan, wake: func() {}, events: map[string]watcher.Event{}, lanes: map[string]outbox.Lane{},
		claimed: map[string]time.Time{}, roots: map[string]outbox.Receipt{}}
}

// tell commits events as a report would.
func (m *memory) tell(events ...watcher.Event) {
	m.mu.Lock()
	m.insert(events)
	wake := m.wake
	m.mu.Unlock()
	wake()
}

func (m *memory) insert(events []watcher.Event) {
	for _, e := range events {
		if _, ok := m.events[e.Key]; ok {
			continue
		}
		m.events[e.Key] = e
		for _, d := range m.plan(e) {
			d.CreatedAt = time.Now()
			m.rows = append(m.rows, &d)
		}
	}
}

// crash frees all claims, as a new start does.
func (m *memory) crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.claimed, m.broken = map[string]time.Time{}, nil
}

func (m *memory) breakSettle(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = err
}

// all copies the rows of a lane, in the order of their birth.
func (m *memory) all(lane string) []outbox.Delivery {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []outbox.Delivery
	for _, d := range m.rows {
		if d.Lane() == lane {
			c := *d
			c.Event = m.events[d.EventKey]
			out = append(out, c)
		}
	}
	return out
}

func (m *memory) lane(name string) outbox.Lane {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lanes[name]
}

func (m *memory) Lanes(context.Context) ([]outbox.LaneWork, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	works := map[string]*outbox.LaneWork{}
	for name, l := range m.lanes {
		if l.Failing() || l.Told || !l.ParkedSince.IsZero() {
			works[name] = &outbox.LaneWork{}
		}
	}
	for _, d := range m.rows {
		if d.State == outbox.Waiting && works[d.Lane()] == nil {
			works[d.Lane()] = &outbox.LaneWork{}
		}
	}
	for name, w := range works {
		w.Lane = m.lanes[name]
		w.Lane.Name = name
		for _, d := range m.rows {
			if d.Lane() == name && d.State == outbox.Waiting {
				w.Waiting++
				if w.Oldest.IsZero() {
					w.Oldest = d.CreatedAt
				}
			}
		}
		now := time.Now()
		for _, d := range m.eligible(name, false) {
			if !d.Due().After(now) {
				w.DueCount++
			}
			if w.NextDue.IsZero() || d.Due().Before(w.NextDue) {
				w.NextDue = latest(d.Due(), d.CreatedAt)
			}
		}
	}
	out := make([]outbox.LaneWork, 0, len(works))
	for _, name := range slices.Sorted(maps.Keys(works)) {
		out = append(out, *works[name])
	}
	return out, nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// eligible are the rows of a lane that a claim may return once they are due:
// of each slot the newest due one (or, while none is due, the first that will
// be), and of each thread the first.
func (m *memory) eligible(lane string, all bool) []outbox.Delivery {
	now := time.Now()
	var free []*outbox.Delivery
	for _, d := range m.rows {
		if d.Lane() == lane && d.State == outbox.Waiting && !m.claimed[d.ID].After(now) {
			free = append(free, d)
		}
	}
	due := func(d *outbox.Delivery) bool { return all || !d.Due().After(now) }
	var out []outbox.Delivery
	for i, d := range free {
		c := *d
		newer := false
		for _, o := range free[i+1:] {
			newer = newer || d.Slot != "" && o.Slot == d.Slot && (due(o) || !due(d))
		}
		if newer {
			continue
		}
		for _, o := range free[:i] {
			if d.Slot != "" && o.Slot == d.Slot {
				c.Covers = append(c.Covers, *o)
			}
		}
		if !m.blocked(c) {
			out = append(out, c)
		}
	}
	return out
}

func (m *memory) blocked(d outbox.Delivery) bool {
	for _, o := range m.rows {
		if o.ID == d.ID {
			return false
		}
		covered := slices.ContainsFunc(d.Covers, func(c outbox.Delivery) bool { return c.ID == o.ID })
		if o.Lane() == d.Lane() && o.Thread == d.Thread && o.State == outbox.Waiting && !covered {
			return true
		}
	}
	return false
}

func (m *memory) Claim(_ context.Context, r outbox.ClaimRequest) ([]outbox.Delivery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	rows := slices.DeleteFunc(m.eligible(r.Lane, r.All), func(d outbox.Delivery) bool { return !r.All && d.Due().After(now) })
	if r.Probe {
		slices.SortStableFunc(rows, func(a, b outbox.Delivery) int { return lastAttempt(a).Compare(lastAttempt(b)) })
	}
	rows = rows[:min(r.Max, len(rows))]
	for i := range rows {
		d := m.row(rows[i].ID)
		d.Token++
		rows[i].Token = d.Token
		rows[i].Event = m.events[d.EventKey]
		if root, ok := m.roots[r.Lane+"\x00"+d.Thread]; ok {
			rows[i].Root = &root
		}
		for _, c := range append(rows[i].Covers, rows[i]) {
			m.claimed[c.ID] = now.Add(r.TTL)
		}
	}
	return rows, nil
}

func lastAttempt(d outbox.Delivery) time.Time {
	if len(d.Attempts) == 0 {
		return time.Time{}
	}
	return d.Attempts[len(d.Attempts)-1].At
}

func (m *memory) row(id string) *outbox.Delivery {
	i := slices.IndexFunc(m.rows, func(d *outbox.Delivery) bool { return d.ID == id })
	return m.rows[i]
}

func (m *memory) Settle(_ context.Context, s outbox.Settlement) error {
	m.mu.Lock()
	if m.broken != nil {
		defer m.mu.Unlock()
		return m.broken
	}
	var lost []string
	for _, step := range s.Steps {
		d := m.row(step.ID)
		if d.Token != step.Token || d.State != outbox.Waiting {
			lost = append(lost, step.ID)
			continue
		}
		m.step(d, step)
	}
	if s.Lane.Name != "" {
		m.lanes[s.Lane.Name] = s.Lane
	}
	if s.Release {
		for _, d := range m.rows {
			if d.Lane() == s.Lane.Name && d.State == outbox.Waiting && d.Failures > 0 {
				d.NextAt = time.Now()
			}
		}
	}
	m.insert(s.Born)
	wake := m.wake
	m.mu.Unlock()
	wake()
	if lost != nil {
		return &outbox.LostError{IDs: lost}
	}
	return nil
}

func (m *memory) step(d *outbox.Delivery, step outbox.Step) {
	d.State, d.Reason, d.NextAt, d.Failures = step.State, step.Reason, step.NextAt, step.Failures
	if step.Attempt != nil {
		d.Attempts = append(d.Attempts, *step.Attempt)
	}
	if !step.Receipt.IsZero() {
		d.Receipt = step.Receipt
	}
	delete(m.claimed, d.ID)
	for _, id := range step.Covers {
		c := m.row(id)
		c.State, c.By = outbox.Superseded, d.ID
	}
	root := d.Lane() + "\x00" + d.Thread
	if _, ok := m.roots[root]; d.State == outbox.Delivered && !ok && !d.Receipt.IsZero() {
		m.roots[root] = d.Receipt
	}
}

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

var errDown = errors.New("503 unavailable")

func down(context.Context, outbox.Delivery) error { return errDown }
