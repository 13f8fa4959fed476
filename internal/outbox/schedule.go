package outbox

import "time"

const (
	// giveUpAfter is how long a row waits in a failing lane before it is dead.
	giveUpAfter = 76 * time.Hour
	// tellAfter is how long a lane fails before the others hear of it.
	tellAfter = time.Hour
	// removedAfter is how long rows of a removed receiver wait for its return.
	removedAfter = 7 * 24 * time.Hour
	// A receiver that asks for a wait gets it within these bounds.
	leastWait, longestWait = time.Second, 24 * time.Hour
	longestSnooze          = 30 * 24 * time.Hour
	// farOff is more than a failing lane ever waits for its next probe: one that
	// is further ahead was planned by a clock that has been set back since.
	farOff = longestWait + time.Hour
)

// rowSchedule holds the waits of a row that fails while its lane is well: the
// example schedule of the Standard Webhooks specification, 75 h in all.
func rowSchedule() []time.Duration {
	return []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
		10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour}
}

// rowWait is how long a row waits after its nth failure (from 1), with up to a
// tenth more by rnd in [0, 1); false: the schedule is used up.
func rowWait(failures int, rnd float64) (time.Duration, bool) {
	waits := rowSchedule()
	if failures > len(waits) {
		return 0, false
	}
	wait := waits[max(failures, 1)-1]
	return wait + time.Duration(rnd*float64(wait)/10), true
}

// probeWait is how long a failing lane waits after so many failed probes.
func probeWait(probes int) time.Duration {
	waits := []time.Duration{5 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute}
	return waits[min(max(probes, 0), len(waits)-1)]
}

// asked bounds a wait that a receiver asked for; zero: it did not.
func asked(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return min(max(d, leastWait), longestWait)
}
