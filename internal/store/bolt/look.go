package bolt

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"

	"basewatch/watcher"
)

// look is all that is kept in memory of a target: at most 200 bytes besides
// its name and the config that it shares with others. Times are Unix
// nanoseconds, 0 for never.
type look struct {
	ref  string
	cfg  *config
	host *hostQueue

	digest   [32]byte // last seen, when marks has seenSHA256
	seq      uint64
	due      int64
	lastLook int64
	lastGood int64
	failures uint32
	marks    marks

	at    int32  // index in the host's heap; -1: not in it
	token uint64 // of the last claim
	until int64  // when that claim ends by itself; 0: none
}

// marks are a look's yes-or-no facts. Only those of onDisk are stored.
type marks uint8

const (
	seenSHA256 marks = 1 << iota // digest holds a sha256
	seenOther                    // the digest seen is of another kind: kept aside
	quiet                        // watcher.State.Quiet
	known                        // a state was reported once
	looked                       // since the store was opened
	busy                         // a transaction about it is under way
	dirty                        // to be flushed

	onDisk = seenSHA256 | seenOther | quiet | known
)

func (l *look) is(m marks) bool { return l.marks&m != 0 }

func (l *look) set(m marks, on bool) {
	l.marks &^= m
	if on {
		l.marks |= m
	}
}

// ready is when the target can be claimed next.
func (l *look) ready() int64 { return max(l.due, l.until) }

// notFromTheFuture mends a record that was written while the clock was ahead:
// what is left of its wait begins now.
func (l *look) notFromTheFuture(now int64) {
	ahead := l.lastLook - now
	if ahead <= 0 {
		return
	}
	l.due -= ahead
	l.lastLook, l.lastGood = now, min(l.lastGood, now)
}

func (l *look) asleep() bool { return len(l.cfg.Sources) == 0 }

// target is what a claim hands out. Its slices are shared and never written.
func (l *look) target() watcher.Target {
	u := &l.cfg.Union
	return watcher.Target{Ref: l.ref, Platforms: u.Platforms, Every: u.Every, Labels: u.Labels, Keep: u.Keep, Member: u.Member}
}

// learn takes over what a reported state says. other is the digest seen when
// the record cannot hold it.
func (l *look) learn(st *watcher.State, due int64) (other string) {
	sum, isSHA256 := parseSHA256(st.Seen)
	l.digest = sum
	l.set(seenSHA256, isSHA256)
	l.set(seenOther, !isSHA256 && st.Seen != "")
	l.set(quiet, st.Quiet())
	l.set(known, true)
	l.seq = st.Seq
	l.lastLook, l.lastGood = nanos(st.Health.LastLook), nanos(st.Health.LastGood)
	l.failures = uint32(min(max(st.Health.Failures, 0), 1<<31)) // #nosec G115 -- bounded
	l.due = due
	if l.is(seenOther) {
		return st.Seen
	}
	return ""
}

// overlay puts what only the look knows onto a state read from the file.
func (l *look) overlay(st *watcher.State) {
	st.NextAt = moment(l.due)
	st.Health.LastLook = moment(l.lastLook)
	st.Health.LastGood = moment(l.lastGood)
}

func parseSHA256(digest string) (sum [32]byte, ok bool) {
	text, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || len(text) != hex.EncodedLen(len(sum)) || text != strings.ToLower(text) {
		return sum, false
	}
	if _, err := hex.Decode(sum[:], []byte(text)); err != nil {
		return [32]byte{}, false
	}
	return sum, true
}

// lookBytes is the length of a look in the file, without an odd digest.
const lookBytes = 1 + 32 + 4*8 + 4

// encode makes the stored form: marks, digest, seq, due, last look, last good,
// failures, all big-endian; then the digest seen when it is no sha256.
func (l *look) encode(other string) []byte {
	b := make([]byte, 0, lookBytes+len(other))
	b = append(b, byte(l.marks&onDisk))
	b = append(b, l.digest[:]...)
	b = binary.BigEndian.AppendUint64(b, l.seq)
	for _, n := range []int64{l.due, l.lastLook, l.lastGood} {
		b = binary.BigEndian.AppendUint64(b, uint64(n)) // #nosec G115 -- the bits matter
	}
	b = binary.BigEndian.AppendUint32(b, l.failures)
	return append(b, other...)
}

// decode is the reverse of encode.
func (l *look) decode(payload []byte) (other string, err error) {
	if len(payload) < lookBytes {
		return "", &DamagedError{Bucket: string(looksBucket), Key: l.ref, Reason: "too short"}
	}
	l.marks = l.marks&^onDisk | marks(payload[0])&onDisk
	copy(l.digest[:], payload[1:33])
	word := func(i int) uint64 { return binary.BigEndian.Uint64(payload[33+8*i:]) }
	l.seq = word(0)
	l.due, l.lastLook, l.lastGood = int64(word(1)), int64(word(2)), int64(word(3)) // #nosec G115 -- the bits matter
	l.failures = binary.BigEndian.Uint32(payload[65:])
	return string(payload[lookBytes:]), nil
}

// nanos and moment translate times; the zero time is 0.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func sha256Text(sum [32]byte) string {
	text := make([]byte, len("sha256:")+hex.EncodedLen(len(sum)))
	hex.Encode(text[copy(text, "sha256:"):], sum[:])
	return string(text)
}
