package bolt

import (
	"container/heap"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"basewatch/watcher"
)

// hostQueue is one host's claimable targets, by when they are ready. Guarded
// by Store.mu.
type hostQueue struct {
	name      string
	waiting   lookHeap // without those that are busy
	targets   int
	unseen    int
	perMinute float64
}

// lookHeap is a container/heap of looks, the readiest first.
type lookHeap []*look

func (h lookHeap) Len() int { return len(h) }

func (h lookHeap) Less(i, j int) bool {
	if a, b := h[i].ready(), h[j].ready(); a != b {
		return a < b
	}
	return h[i].ref < h[j].ref
}

func (h lookHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = int32(i), int32(j) // #nosec G115 -- far fewer targets
}

// Push implements heap.Interface.
func (h *lookHeap) Push(x any) {
	l := x.(*look)        //nolint:errcheck // container/heap hands in what we gave it
	l.at = int32(len(*h)) // #nosec G115 -- far fewer targets
	*h = append(*h, l)
}

// Pop implements heap.Interface.
func (h *lookHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	l.at = -1
	return l
}

// place puts a look where its readiness belongs, or takes it out when nobody
// may claim it.
func (q *hostQueue) place(l *look) {
	out := l.asleep() || l.is(busy)
	switch {
	case out && l.at >= 0:
		heap.Remove(&q.waiting, int(l.at))
	case out:
	case l.at >= 0:
		heap.Fix(&q.waiting, int(l.at))
	default:
		heap.Push(&q.waiting, l)
	}
}

func hostOf(ref string) string {
	host, _, _ := strings.Cut(ref, "/")
	return host
}

// rebuildHosts makes the queues anew, and forgets configs that no target has
// any more. For Open and Watch; mu is held.
func (s *Store) rebuildHosts() {
	s.hosts = make(map[string]*hostQueue)
	live := make(configs)
	for _, l := range s.looks {
		live[string(l.cfg.payload)] = l.cfg
		name := hostOf(l.ref)
		q := s.hosts[name]
		if q == nil {
			q = &hostQueue{name: name}
			s.hosts[name] = q
		}
		l.host, l.at = q, -1
		if l.asleep() {
			continue
		}
		q.targets++
		q.perMinute += float64(time.Minute) / float64(l.cfg.Union.Every)
		if !l.is(looked) {
			q.unseen++
		}
		if !l.is(busy) {
			l.at = int32(len(q.waiting)) // #nosec G115 -- far fewer targets
			q.waiting = append(q.waiting, l)
		}
	}
	for _, q := range s.hosts {
		heap.Init(&q.waiting)
	}
	s.configs = live
}

// Hosts implements watcher.Hosts, in the order of the names.
func (s *Store) Hosts(ctx context.Context) ([]watcher.HostLoad, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []watcher.HostLoad
	for _, name := range slices.Sorted(maps.Keys(s.hosts)) {
		q := s.hosts[name]
		if q.targets == 0 {
			continue
		}
		load := watcher.HostLoad{Host: name, Targets: q.targets, PerMinute: q.perMinute, Unseen: q.unseen}
		if len(q.waiting) > 0 {
			load.NextAt = moment(q.waiting[0].ready())
		}
		out = append(out, load)
	}
	return out, nil
}

// Claim implements watcher.Store.
func (s *Store) Claim(ctx context.Context, r watcher.ClaimRequest) ([]watcher.Claim, error) {
	if err := s.writable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UTC()
	var taken []*look
	if len(r.Refs) > 0 {
		taken = s.named(r, now.UnixNano())
	} else if q := s.hosts[r.Host]; q != nil {
		taken = q.due(r.Max, now.UnixNano())
	}
	var out []watcher.Claim
	for _, l := range taken {
		s.token++
		l.token = s.token
		l.until = now.Add(max(r.TTL, 1)).UnixNano()
		l.host.place(l)
		out = append(out, s.claim(l))
	}
	return out, nil
}

// due takes at most limit looks out of the queue that are ready now.
func (q *hostQueue) due(limit int, now int64) []*look {
	var out []*look
	for len(out) < limit && len(q.waiting) > 0 && q.waiting[0].ready() <= now {
		first := q.waiting[0]
		heap.Remove(&q.waiting, 0)
		out = append(out, first)
	}
	return out
}

// named gives the looks of r.Refs that nobody has, in that order; of r.Host
// alone when it is set, at most r.Max when it is positive.
func (s *Store) named(r watcher.ClaimRequest, now int64) []*look {
	var out []*look
	for _, ref := range r.Refs {
		l := s.looks[ref]
		if l == nil || l.asleep() || l.is(busy) || l.until > now || slices.Contains(out, l) {
			continue
		}
		if r.Host != "" && r.Host != l.host.name {
			continue
		}
		if out = append(out, l); len(out) == r.Max {
			break
		}
	}
	return out
}

func (s *Store) claim(l *look) watcher.Claim {
	c := watcher.Claim{
		Target: l.target(), Token: l.token, Seq: l.seq, Quiet: l.is(quiet),
		LastGood: moment(l.lastGood), Failures: int(l.failures), Seen: s.odd[l.ref],
	}
	if l.is(seenSHA256) {
		c.Seen = sha256Text(l.digest)
	}
	return c
}
