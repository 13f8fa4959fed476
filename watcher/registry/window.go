package registry

import "time"

// window counts the requests of the last minute exactly: at most cap(times) in
// any 60 seconds. A token bucket would let its burst through on top of its
// rate, and "120 a minute" is a promise to the registry.
type window struct {
	times []time.Time // a ring; the zero window has no limit
	next  int
}

func newWindow(perMinute int) window { return window{times: make([]time.Time, perMinute)} }

// wait is how long until one more request may begin; 0: now.
func (w *window) wait(now time.Time) time.Duration {
	return w.waitFor(1, now)
}

// waitFor is how long until n may begin; n is at most the limit.
func (w *window) waitFor(n int, now time.Time) time.Duration {
	if len(w.times) == 0 {
		return 0
	}
	oldest := w.times[(w.next+n-1)%len(w.times)]
	return max(0, oldest.Add(time.Minute).Sub(now))
}

// add counts a request. Call it only after wait was 0.
func (w *window) add(now time.Time) {
	if len(w.times) > 0 {
		w.times[w.next] = now
		w.next = (w.next + 1) % len(w.times)
	}
}

// free is how many may begin now, up to n.
func (w *window) free(n int, now time.Time) int {
	if len(w.times) == 0 {
		return n
	}
	n = min(n, len(w.times))
	for i := range n {
		if w.waitFor(i+1, now) > 0 {
			return i
		}
	}
	return n
}
