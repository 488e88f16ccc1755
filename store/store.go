// Package store keeps Falcon's intent: networks, endpoints, pools, addresses and hosts, as small JSON
// records under flat string keys. The kernel's state is derived from it, never the other way round.
//
// There are two backends behind one contract: Bolt for a single machine and Etcd for a cluster. The suite
// in storetest states the contract and runs on both.
//
// What a backend promises:
//   - Commit is atomic and linearizable: either all writes happen at one new revision, or none does. One that
//     changes nothing (no writes, or deletions of what is absent) has no revision of its own.
//   - List is a snapshot of one revision.
//   - Watch delivers every commit after a revision, in order, each exactly once, or fails.
package store

import (
	"context"
	"errors"
	"fmt"
)

// What callers test for with errors.Is.
var (
	ErrNotFound    = errors.New("not found")
	ErrConflict    = errors.New("changed by somebody else")
	ErrCompacted   = errors.New("history before this revision is gone")
	ErrUnavailable = errors.New("store unavailable")
	ErrSchema      = errors.New("store has an incompatible schema")
	ErrCorrupt     = errors.New("store is corrupt")
	ErrDenied      = errors.New("store denies access") // wrong credentials or too few rights: no retry helps
)

// Record is one key with its value and the store-wide revision of its last write.
type Record struct {
	Key      string
	Value    []byte
	Revision int64
}

// Conditions on a key's revision besides a literal one.
const (
	Absent  int64 = 0  // the key does not exist
	Present int64 = -1 // the key exists, at whatever revision
)

// Condition is what must hold of a key for a commit to happen: Absent, Present, or the revision of its last
// write.
type Condition struct {
	Key      string
	Revision int64
}

// Write sets a key to a value, or deletes it when Value is nil. Deleting a key that is absent is no error.
type Write struct {
	Key   string
	Value []byte
}

// ConflictError tells which condition did not hold. It matches ErrConflict. Key is empty where the backend
// cannot tell.
type ConflictError struct{ Key string }

func (e *ConflictError) Error() string {
	if e.Key == "" {
		return "commit: " + ErrConflict.Error()
	}
	return fmt.Sprintf("commit: %s: %v", e.Key, ErrConflict)
}

// Is makes errors.Is(err, ErrConflict) true.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// Event is one change of a key. For a deletion only Key and Revision of the Record are set. Its Value may be
// shared with other watchers: do not modify it.
type Event struct {
	Record
	Deleted bool
}

// Store is the contract of both backends. Every method is safe for concurrent use, ends when ctx does, and
// returns an error matching ErrUnavailable when the backend does not answer.
type Store interface {
	// Get returns the record of a key, or an error matching ErrNotFound.
	Get(ctx context.Context, key string) (Record, error)

	// List returns the records whose keys begin with prefix, sorted by key, and the revision of the
	// snapshot: passing it to Watch misses nothing and repeats nothing.
	List(ctx context.Context, prefix string) ([]Record, int64, error)

	// Commit applies the writes at one new revision, which it returns, if all conditions hold; otherwise
	// it changes nothing and returns a *ConflictError for the first that does not. No key may stand in two
	// writes, and MaxConditions, MaxWrites and MaxCommitBytes bound it. An error matching ErrUnavailable
	// leaves open whether the commit happened: read before trying again.
	Commit(ctx context.Context, conditions []Condition, writes []Write) (int64, error)

	// Watch calls fn for every commit after revision that touched a key beginning with prefix, in
	// order, with all the commit's matching events; it blocks until ctx ends (returning ctx's error) or the
	// history is interrupted (ErrCompacted, ErrUnavailable): list again then. It stays blocked through an
	// outage of the backend that loses no history. A store that was wiped, or restored from a backup, is
	// ErrCompacted. fn is called by Watch's own goroutine and may take its time.
	Watch(ctx context.Context, prefix string, revision int64, fn func(revision int64, events []Event)) error

	// KeepAlive holds key at value for as long as this process lives and ctx lasts, then deletes it. When
	// the process dies or is cut off, etcd deletes the key after the lease's time to live (10 s); bolt, whose
	// only user is this process, leaves it until the next open. It restores the key after an outage, and
	// when somebody deletes it, and returns only when ctx ends; the key is gone then, unless the backend is
	// out of reach. The key must begin with AlivePrefix.
	KeepAlive(ctx context.Context, key string, value []byte) error

	// Status tells what the store is and whether it answers now, for `falcon status`.
	Status(ctx context.Context) Status

	// Close releases the backend. It is idempotent.
	Close() error
}

// Status describes a store to a person.
type Status struct {
	Kind     string `json:"kind"`            // "bolt" or "etcd"
	Where    string `json:"where"`           // file, or endpoints
	Cluster  bool   `json:"cluster"`         // shared with other hosts
	Revision int64  `json:"revision"`        // newest known
	Error    string `json:"error,omitempty"` // why it does not answer; empty when it does
}
