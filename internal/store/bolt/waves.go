package bolt

import (
	"time"

	"basewatch/internal/outbox"
)

// forWave is Delivery.HoldFor of a row that waits for others of its group.
const forWave = "wave"

// joinWave gives a new row the hold of the wave that it belongs to, so that
// one that goes on for long holds nobody longer than its first row. One that
// is noted for a transaction that then fails shortens the next one's wait, no
// more.
func (s *Store) joinWave(d *outbox.Delivery, now time.Time) {
	if d.HoldFor != forWave {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	until := s.waves[waveOf(d.Lane(), d.Group)]
	if now.UnixNano() < until && until < nanos(d.Hold) {
		d.Hold = moment(until)
		return
	}
	s.noteWave(d.Lane(), d.Group, d.HoldFor, nanos(d.Hold))
}

// noteWave notes until when rows of a group are held. mu is held.
func (s *Store) noteWave(lane, group, holdFor string, until int64) {
	if holdFor == forWave {
		s.waves[waveOf(lane, group)] = until
	}
}

// forgetWave drops the wave that a row was held for, when it is no longer. mu
// is held.
func (s *Store) forgetWave(r *row) {
	if key := waveOf(r.lane, r.group); r.holdFor == forWave && s.waves[key] == r.hold {
		delete(s.waves, key)
	}
}

func waveOf(lane, group string) string { return string(joined(lane, group)) }
