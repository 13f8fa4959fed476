package bolt

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const surveyNow = 100

func drawRows(t *rapid.T) []*row {
	n := rapid.IntRange(0, 8).Draw(t, "rows")
	var rows []*row
	for i := range n {
		rows = append(rows, &row{
			id: fmt.Sprint(i), order: uint64(i), created: 1,
			thread: rapid.SampledFrom([]string{"", "t1", "t2"}).Draw(t, "thread"),
			slot:   rapid.SampledFrom([]string{"", "s1", "s2"}).Draw(t, "slot"),
			nextAt: rapid.SampledFrom([]int64{0, 50, 100, 101, 200}).Draw(t, "next"),
			hold:   rapid.SampledFrom([]int64{0, 0, 0, 150}).Draw(t, "hold"),
			until:  rapid.SampledFrom([]int64{0, 0, 0, 99, 300}).Draw(t, "until"),
			broken: rapid.IntRange(0, 9).Draw(t, "broken") == 0,
		})
	}
	return rows
}

// want says by the contract's own words, one row at a time, what may go.
func wanted(rows []*row, all bool) (out []pick) {
	sound := slices.DeleteFunc(slices.Clone(rows), func(r *row) bool { return r.broken })
	may := func(r *row) (pick, bool) {
		if r.claimed(surveyNow) || !all && r.due(surveyNow) > surveyNow {
			return pick{}, false
		}
		p := pick{head: r}
		for _, o := range sound {
			if o.order < r.order && o.slot == r.slot && r.slot != "" && !o.claimed(surveyNow) {
				p.covers = append(p.covers, o)
			}
		}
		for _, o := range sound {
			if o.order < r.order && o.thread == r.thread && r.thread != "" && !slices.Contains(p.covers, o) {
				return pick{}, false
			}
		}
		return p, true
	}
	for i, r := range sound {
		p, ok := may(r)
		newer := slices.ContainsFunc(sound[i+1:], func(o *row) bool {
			_, ok := may(o)
			return ok && o.slot == r.slot && r.slot != ""
		})
		if ok && !newer {
			out = append(out, p)
		}
	}
	return out
}

func TestASurveyGivesWhatTheContractSays(t *testing.T) {
	ids := func(ps []pick) (out []string) {
		for _, p := range ps {
			text := p.head.id
			for _, c := range p.covers {
				text += "+" + c.id
			}
			out = append(out, text)
		}
		return out
	}
	rapid.Check(t, func(t *rapid.T) {
		rows := drawRows(t)
		all := rapid.Bool().Draw(t, "all")
		got, next := survey(rows, surveyNow, all)
		if diff := cmp.Diff(ids(wanted(rows, all)), ids(got)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		if !all && len(got) > 0 && next > surveyNow {
			t.Fatalf("something is due, yet the next is due at %d", next)
		}
		sound := slices.ContainsFunc(rows, func(r *row) bool { return !r.broken })
		if (next != 0) != sound {
			t.Fatalf("next due %d", next)
		}
	})
}

// Whoever waits until the time that a survey gives finds a row then, or later
// at least a new time: nothing waits for ever.
func TestASurveysNextTimeBringsARow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := drawRows(t)
		_, next := survey(rows, surveyNow, false)
		if next == 0 {
			return
		}
		if picks, _ := survey(rows, max(next, surveyNow), false); len(picks) == 0 {
			t.Fatalf("nothing is due at %d", next)
		}
	})
}
