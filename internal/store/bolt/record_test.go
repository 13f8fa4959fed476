package bolt

import (
	"bytes"
	"errors"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"basewatch/watcher"
)

func TestASealedValueComesBackOnlyWholeAndInItsPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "key")
		payload := rapid.SliceOf(rapid.Byte()).Draw(t, "payload")
		value := seal(statesBucket, key, payload)
		got, err := unseal(statesBucket, key, value)
		if err != nil || !bytes.Equal(got, payload) {
			t.Fatalf("got %x, %v", got, err)
		}
		damaged := func(what string, b bucket, key, value []byte) {
			var de *DamagedError
			if _, err := unseal(b, key, value); !errors.As(err, &de) || de.Bucket != string(b) || de.Key != string(key) {
				t.Errorf("%s: error %v", what, err)
			}
		}
		damaged("another bucket", eventsBucket, key, value)
		damaged("another key", statesBucket, append([]byte("x"), key...), value)
		damaged("cut", statesBucket, key, value[:rapid.IntRange(0, len(value)-1).Draw(t, "length")])
		bit := rapid.IntRange(0, 8*len(value)-1).Draw(t, "bit")
		value[bit/8] ^= 1 << (bit % 8)
		damaged("a flipped bit", statesBucket, key, value)
	})
}

func TestALookRecordComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		any64 := rapid.Int64()
		was := look{ref: "r", seq: rapid.Uint64().Draw(t, "seq"), due: any64.Draw(t, "due"),
			lastLook: any64.Draw(t, "look"), lastGood: any64.Draw(t, "good"),
			failures: rapid.Uint32().Draw(t, "failures"), marks: marks(rapid.Byte().Draw(t, "marks")) & onDisk}
		copy(was.digest[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest"))
		other := rapid.String().Draw(t, "other")
		is := look{ref: "r"}
		got, err := is.decode(was.encode(other))
		if err != nil || got != other || is != was {
			t.Fatalf("got %+v %q %v, want %+v %q", is, got, err, was, other)
		}
	})
}

func TestALookIsAtMost200Bytes(t *testing.T) {
	if n := unsafe.Sizeof(look{}); n > 200 {
		t.Errorf("%d bytes in memory", n)
	}
	if n := len(new(look).encode("")) + frameBytes; n > 200 {
		t.Errorf("%d bytes in the file", n)
	}
}

func TestOnlyACanonicalSHA256FitsTheRecord(t *testing.T) {
	const hex64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for digest, want := range map[string]bool{
		"sha256:" + hex64:             true,
		"sha256:" + hex64[2:]:         false,
		"sha256:" + hex64 + "00":      false,
		"sha256:" + "G" + hex64[1:]:   false,
		"sha256:" + "A" + hex64[1:]:   false,
		"sha512:" + hex64 + hex64:     false,
		"":                            false,
		"sha256-" + hex64:             false,
		"sha256:" + hex64[:63] + "\n": false,
	} {
		sum, ok := parseSHA256(digest)
		if ok != want {
			t.Errorf("%q: %v", digest, ok)
		}
		if ok && sha256Text(sum) != digest {
			t.Errorf("%q came back as %q", digest, sha256Text(sum))
		}
	}
}

func TestWishesUnite(t *testing.T) {
	a := watcher.Target{Ref: "r", Platforms: []string{"b", "a"}, Every: time.Hour, Labels: map[string][]string{"team": {"y", "x"}}}
	b := watcher.Target{Ref: "r", Platforms: []string{"b", "c"}, Every: time.Minute, Labels: map[string][]string{"team": {"x", "z"}, "tier": {"1"}}}
	wa, err := wantOf(a)
	if err != nil {
		t.Fatal(err)
	}
	wb, err := wantOf(b)
	if err != nil {
		t.Fatal(err)
	}
	want := want{Platforms: []string{"a", "b", "c"}, Every: time.Minute, Labels: map[string][]string{"team": {"x", "y", "z"}, "tier": {"1"}}}
	for _, got := range []any{wa.unite(wb), wb.unite(wa)} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	a.Platforms[0], a.Labels["team"][0] = "changed", "changed"
	if wa.Platforms[1] != "b" || wa.Labels["team"][1] != "y" {
		t.Error("the caller's target is shared")
	}
}

func TestARecordFromTheFutureWaitsWhatIsLeftFromNow(t *testing.T) {
	const minute, day = int64(time.Minute), int64(24 * time.Hour)
	l := &look{lastLook: 1000*minute + day, lastGood: 1000*minute + day, due: 1015*minute + day}
	l.notFromTheFuture(1000 * minute)
	if l.due != 1015*minute || l.lastLook != 1000*minute || l.lastGood != 1000*minute {
		t.Errorf("after the clock was set back a day: due %d, last look %d, good %d", l.due/minute, l.lastLook/minute, l.lastGood/minute)
	}
	l = &look{lastLook: 990 * minute, lastGood: 980 * minute, due: 1005 * minute}
	before := *l
	if l.notFromTheFuture(1000 * minute); *l != before {
		t.Errorf("a record of the past was changed: %+v", l)
	}
}
