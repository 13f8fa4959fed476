package bolt

import (
	"cmp"
	"math"
	"slices"
)

// pick is a row that may be claimed, with the older rows of its slot that it
// would tell too, oldest first.
type pick struct {
	head   *row
	covers []*row
	token  uint64 // of the claim, once it is made
}

// line is what waits earlier in a thread: rows of one slot that nobody has
// (pure), which a row of that slot covers, or anything else, which blocks.
type line struct {
	slot string
	pure bool
}

// survey judges a lane's waiting rows, which are in their order: what may be
// claimed now (with all, also before it is due), oldest head first, and when
// the earliest row that no other one blocks is or was due; 0 when none waits.
func survey(rows []*row, now int64, all bool) (picks []pick, nextDue int64) {
	threads := make(map[string]line)
	heads := make(map[string]int) // slot → its pick
	nextDue = math.MaxInt64
	for _, r := range rows {
		if r.broken || blocked(threads, r, now) {
			continue
		}
		nextDue = min(nextDue, cmp.Or(max(r.due(now), r.until), r.created))
		if r.claimed(now) || !all && r.due(now) > now {
			continue
		}
		if i, ok := heads[r.slot]; ok && r.slot != "" {
			picks[i].head = r // the newest one goes
			continue
		}
		heads[r.slot] = len(picks)
		picks = append(picks, pick{head: r})
	}
	if nextDue == math.MaxInt64 {
		nextDue = 0
	}
	cover(rows, picks, heads, now)
	slices.SortFunc(picks, func(a, b pick) int { return cmp.Compare(a.head.order, b.head.order) })
	return picks, nextDue
}

// blocked puts a row into its thread's line and reports whether something
// before it there must go first.
func blocked(threads map[string]line, r *row, now int64) bool {
	if r.thread == "" {
		return false
	}
	before, some := threads[r.thread]
	covered := before.pure && before.slot == r.slot
	alone := r.slot != "" && !r.claimed(now)
	threads[r.thread] = line{slot: r.slot, pure: alone && (!some || covered)}
	return some && !covered
}

// cover gives each pick with a slot the older rows of it that nobody has.
func cover(rows []*row, picks []pick, heads map[string]int, now int64) {
	for _, r := range rows {
		i, ok := heads[r.slot]
		if !ok || r.slot == "" || r.broken || r.claimed(now) {
			continue
		}
		if p := &picks[i]; r.order < p.head.order {
			p.covers = append(p.covers, r)
		}
	}
}
