package bolt

import "go.etcd.io/bbolt"

// WriteSchema makes the file one of another version.
func WriteSchema(tx *bbolt.Tx, version int) error {
	return putJSON(tx, metaBucket, []byte(metaSchema), version)
}
