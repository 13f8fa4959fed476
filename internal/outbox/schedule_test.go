package outbox

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRowScheduleIsTheDocumentedOne(t *testing.T) {
	want := []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
		10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour}
	for i, w := range want {
		if got, ok := rowWait(i+1, 0); !ok || got != w {
			t.Errorf("wait after failure %d = %v, %v; want %v", i+1, got, ok, w)
		}
	}
	if _, ok := rowWait(len(want)+1, 0); ok {
		t.Error("the schedule goes on after its last wait")
	}
}

func TestProbesSlowDownToAQuarterOfAnHour(t *testing.T) {
	want := []time.Duration{5 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
		15 * time.Minute, 15 * time.Minute, 15 * time.Minute}
	for probes, w := range want {
		if got := probeWait(probes); got != w {
			t.Errorf("wait after %d failed probes = %v, want %v", probes, got, w)
		}
	}
}

func TestWaitsStayWithinTheirBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, rnd := rapid.IntRange(1, 9).Draw(t, "failures"), rapid.Float64Range(0, 0.999999).Draw(t, "rnd")
		least, _ := rowWait(n, 0)
		if got, ok := rowWait(n, rnd); !ok || got < least || got > least+least/10 {
			t.Fatalf("rowWait(%d, %v) = %v, want within a tenth above %v", n, rnd, got, least)
		}
		d := time.Duration(rapid.Int64().Draw(t, "asked"))
		switch got := asked(d); {
		case d <= 0 && got != 0:
			t.Fatalf("asked(%v) = %v, want none", d, got)
		case d > 0 && (got < time.Second || got > 24*time.Hour || d <= 24*time.Hour && got < d):
			t.Fatalf("asked(%v) = %v, want at least as much, from 1 s to 24 h", d, got)
		}
		if got := probeWait(rapid.Int().Draw(t, "probes")); got <= 0 || got > 15*time.Minute {
			t.Fatalf("probeWait = %v", got)
		}
	})
}
