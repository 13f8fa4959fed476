package bolt

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"

	"go.etcd.io/bbolt"
)

// bucket names one of the file's buckets.
type bucket string

// The buckets, with what a key of each looks like. The layout is frozen by
// testdata/schema1.txt; another one needs another schemaVersion.
const (
	metaBucket       bucket = "meta"       // schema, epoch, counts, probe
	targetsBucket    bucket = "targets"    // ref → config
	looksBucket      bucket = "looks"      // ref → look, fixed binary
	statesBucket     bucket = "states"     // ref, or a host → watcher.State
	historyBucket    bucket = "history"    // ref \0 be64 → watcher.Note
	eventsBucket     bucket = "events"     // event key → watcher.Event
	deliveriesBucket bucket = "deliveries" // delivery ID → storedRow
	waitingBucket    bucket = "waiting"    // delivery ID → nothing
	orderBucket      bucket = "order"      // be64 → delivery ID
	rootsBucket      bucket = "roots"      // lane \0 thread → outbox.Receipt
	actedBucket      bucket = "acted"      // receiver \0 ref \0 dependent → acted
	lanesBucket      bucket = "lanes"      // lane → outbox.Lane
)

func buckets() []bucket {
	return []bucket{metaBucket, targetsBucket, looksBucket, statesBucket, historyBucket, eventsBucket,
		deliveriesBucket, waitingBucket, orderBucket, rootsBucket, actedBucket, lanesBucket}
}

const (
	schemaVersion = 1
	valueTag      = 1       // the framing of one value
	frameBytes    = 5       // tag and checksum
	maxValue      = 4 << 20 // bytes; anything larger is a mistake upstream
)

// DamagedError says that a stored value is not what was written: its checksum
// or its form does not match. The value is not used.
type DamagedError struct {
	Bucket, Key string
	Reason      string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("store: bucket %s, key %q: damaged value (%s)", e.Bucket, e.Key, e.Reason)
}

// checksum covers bucket and key too, so that an intact value that strayed to
// another place is found out.
func checksum(b bucket, key, payload []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, []byte(b))
	sum = crc32.Update(sum, table, key)
	return crc32.Update(sum, table, payload)
}

// seal frames a payload for its place.
func seal(b bucket, key, payload []byte) []byte {
	out := make([]byte, frameBytes, frameBytes+len(payload))
	out[0] = valueTag
	binary.BigEndian.PutUint32(out[1:], checksum(b, key, payload))
	return append(out, payload...)
}

// unseal checks a framed value and gives its payload, which shares its memory.
func unseal(b bucket, key, value []byte) ([]byte, error) {
	damaged := func(reason string) ([]byte, error) {
		return nil, &DamagedError{Bucket: string(b), Key: string(key), Reason: reason}
	}
	if len(value) < frameBytes {
		return damaged("too short")
	}
	if value[0] != valueTag {
		return damaged(fmt.Sprintf("unknown tag %d", value[0]))
	}
	payload := value[frameBytes:]
	if checksum(b, key, payload) != binary.BigEndian.Uint32(value[1:]) {
		return damaged("checksum")
	}
	return payload, nil
}

// put frames and writes one value.
func put(tx *bbolt.Tx, b bucket, key, payload []byte) error {
	if len(payload) > maxValue {
		return fmt.Errorf("store: bucket %s, key %q: a value of %d bytes is over the limit of %d", b, key, len(payload), maxValue)
	}
	if err := tx.Bucket([]byte(b)).Put(key, seal(b, key, payload)); err != nil {
		return fmt.Errorf("store: write bucket %s, key %q: %w", b, key, err)
	}
	return nil
}

func putJSON(tx *bbolt.Tx, b bucket, key []byte, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("store: encode bucket %s, key %q: %w", b, key, err)
	}
	return put(tx, b, key, payload)
}

// get reads one payload, which is valid only as long as the transaction. It is
// nil when there is none; an empty one is not nil.
func get(tx *bbolt.Tx, b bucket, key []byte) ([]byte, error) {
	value := tx.Bucket([]byte(b)).Get(key)
	if value == nil {
		return nil, nil
	}
	return unseal(b, key, value)
}

func getJSON[T any](tx *bbolt.Tx, b bucket, key []byte) (v T, found bool, err error) {
	payload, err := get(tx, b, key)
	if payload == nil || err != nil {
		return v, false, err
	}
	v, err = decode[T](b, key, payload)
	return v, err == nil, err
}

func decode[T any](b bucket, key, payload []byte) (v T, err error) {
	if err := json.Unmarshal(payload, &v); err != nil {
		var zero T
		return zero, &DamagedError{Bucket: string(b), Key: string(key), Reason: err.Error()}
	}
	return v, nil
}

func has(tx *bbolt.Tx, b bucket, key []byte) bool { return tx.Bucket([]byte(b)).Get(key) != nil }

func drop(tx *bbolt.Tx, b bucket, key []byte) error {
	if err := tx.Bucket([]byte(b)).Delete(key); err != nil {
		return fmt.Errorf("store: delete bucket %s, key %q: %w", b, key, err)
	}
	return nil
}

// next gives the bucket's next number; it only grows.
func next(tx *bbolt.Tx, b bucket) (uint64, error) {
	n, err := tx.Bucket([]byte(b)).NextSequence()
	if err != nil {
		return 0, fmt.Errorf("store: number in bucket %s: %w", b, err)
	}
	return n, nil
}

func be64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// joined makes a key of parts, none of which has a zero byte.
func joined(parts ...string) []byte {
	var key []byte
	for i, p := range parts {
		if i > 0 {
			key = append(key, 0)
		}
		key = append(key, p...)
	}
	return key
}
