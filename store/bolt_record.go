package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

// The file has two buckets:
//
//	records   <key>     revision (8 bytes, big endian), value
//	meta      revision  newest revision (8 bytes, big endian)
//	          schema    {"version": 1}
//
// The schema stands outside of records so that it can be read whatever the layout of those becomes.
const (
	recordsBucket = "records"
	metaBucket    = "meta"
	metaRevision  = "revision"
	metaSchema    = "schema"
)

const revisionBytes = 8

// errMalformed marks what this package cannot have written.
var errMalformed = errors.New("malformed")

// encodeRecord is what stands under a key in the records bucket.
func encodeRecord(revision int64, value []byte) []byte {
	b := make([]byte, revisionBytes, revisionBytes+len(value))
	binary.BigEndian.PutUint64(b, uint64(revision))
	return append(b, value...)
}

// decodeRecord copies, since stored lies in the mapped file and is valid in its transaction only.
func decodeRecord(key string, stored []byte) (Record, error) {
	if len(stored) < revisionBytes {
		return Record{}, fmt.Errorf("record %s: %d bytes: %w", key, len(stored), errMalformed)
	}
	return Record{
		Key:      key,
		Value:    bytes.Clone(stored[revisionBytes:]),
		Revision: int64(binary.BigEndian.Uint64(stored)),
	}, nil
}

// getRecord returns the record of a key; one that does not exist has revision 0.
func getRecord(tx *bbolt.Tx, key string) (Record, error) {
	stored := tx.Bucket([]byte(recordsBucket)).Get([]byte(key))
	if stored == nil {
		return Record{Key: key}, nil
	}
	return decodeRecord(key, stored)
}

// listRecords returns the records whose keys begin with prefix, in the order of the tree, which is by key.
func listRecords(tx *bbolt.Tx, prefix string) ([]Record, error) {
	var records []Record
	cursor := tx.Bucket([]byte(recordsBucket)).Cursor()
	for k, v := cursor.Seek([]byte(prefix)); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, v = cursor.Next() {
		r, err := decodeRecord(string(k), v)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

func getRevision(tx *bbolt.Tx) (int64, error) {
	stored := tx.Bucket([]byte(metaBucket)).Get([]byte(metaRevision))
	if len(stored) != revisionBytes {
		return 0, fmt.Errorf("revision: %d bytes: %w", len(stored), errMalformed)
	}
	return int64(binary.BigEndian.Uint64(stored)), nil
}

func putRevision(tx *bbolt.Tx, revision int64) error {
	return tx.Bucket([]byte(metaBucket)).Put([]byte(metaRevision), encodeRecord(revision, nil))
}
