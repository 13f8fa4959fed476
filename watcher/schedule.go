package watcher

import (
	"strings"
	"time"
)

const (
	// Tags of one repository fall due this close together (or within a
	// twentieth of a shorter interval): one token lasts for all of them.
	repositoryJitter = 30 * time.Second
	// What a ceiling leaves for looks. The rest is for tokens (about one per
	// repository and interval), for reading what moved, and for retries.
	lookShare = 0.9
	// A failing target is looked at less often, but at least this often
	// compared with its interval, and at least hourly if its interval allows.
	backoffFactor = 4
	backoffMax    = time.Hour
	retrySoon     = time.Minute
)

// NextLook is when a target is due again after a look at now. Its due times lie
// at a fixed phase of the interval that follows from its name alone: the same
// after a restart, spread evenly over the repositories, close together for the
// tags of one. The wait is between 0.1 and 1.1 intervals after a look out of
// turn, and one interval from then on.
func NextLook(ref string, now time.Time, every time.Duration) time.Time {
	return nextAtPhase(now, every, phase(ref, every))
}

func phase(ref string, every time.Duration) time.Duration {
	jitter := min(repositoryJitter, every/20)
	return share(repositoryOf(ref), every) + share(ref, jitter)
}

// nextAtPhase is the first time at the phase that is at least a tenth of an
// interval away.
func nextAtPhase(now time.Time, every, phase time.Duration) time.Time {
	if every <= 0 {
		return now
	}
	wait := (phase - time.Duration(now.UnixNano()%int64(every))) % every
	if wait < every/10 {
		wait += every
	}
	if wait < every/10 {
		wait += every
	}
	return now.Add(wait)
}

// Backoff is the wait after so many failed looks in a row: soon (a minute, or a
// shorter interval), then doubled each time, up to an hour or four intervals,
// whichever is less, and at most the interval where that is longer still. Where
// soon is false it begins with the interval: for a host with many targets that
// fails as a whole.
func Backoff(every time.Duration, failures int, soon bool) time.Duration {
	limit := max(every, min(backoffFactor*every, backoffMax))
	wait := every
	if soon {
		wait = min(every, retrySoon)
	}
	for n := 1; n < failures && wait < limit; n++ {
		wait *= 2
	}
	return min(wait, limit)
}

// nextTry spreads the waits of targets that failed together: a tenth later, at
// most.
func nextTry(ref string, now time.Time, every time.Duration, failures int, soon bool) time.Time {
	wait := Backoff(every, failures, soon)
	return now.Add(wait + share(ref, wait/10))
}

// Stretch is the factor by which all intervals of a host grow so that what
// they ask for fits under its ceiling (both per minute), with room for the
// requests that are not looks. It is at least 1; a ceiling of 0 is none.
func Stretch(perMinuteAsked, ceilingPerMinute float64) float64 {
	if ceilingPerMinute <= 0 {
		return 1
	}
	return max(1, perMinuteAsked/(lookShare*ceilingPerMinute))
}

// share is a part of d that follows from a name: evenly spread over names, and
// always the same for one.
func share(name string, d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(hash(name) % uint64(d))
}

// hash is FNV-1a with a finalizer, since FNV alone spreads names that differ
// only at their end badly. It must never change: due times rest on it.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// hostOf and repositoryOf take a canonical reference apart without parsing it
// again: a look must stay cheap.
func hostOf(ref string) string {
	host, _, _ := strings.Cut(ref, "/")
	return host
}

func repositoryOf(ref string) string {
	if repository, _, ok := SplitFamily(ref); ok {
		return repository
	}
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		return ref[:i]
	}
	return ref
}
