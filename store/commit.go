package store

import (
	"bytes"
	"fmt"
	"slices"
)

// Bounds of one commit, the same for every backend so that what works on one works on all. They stay below
// etcd's defaults: 128 operations (one condition is the backend's own, on the schema) and 1.5 MiB a request.
const (
	MaxConditions  = 127
	MaxWrites      = 127
	MaxCommitBytes = 1 << 20 // keys and values of the writes together
	MaxKeyBytes    = 4096
)

// checkCommit refuses what the contract forbids, before a backend is bothered.
func checkCommit(conditions []Condition, writes []Write) error {
	if len(conditions) > MaxConditions {
		return fmt.Errorf("commit: %d conditions: at most %d are allowed", len(conditions), MaxConditions)
	}
	if len(writes) > MaxWrites {
		return fmt.Errorf("commit: %d writes: at most %d are allowed", len(writes), MaxWrites)
	}
	for _, c := range conditions {
		if err := checkKey(c.Key); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		if c.Revision < Present {
			return fmt.Errorf("commit: condition on %s: no such revision: %d", c.Key, c.Revision)
		}
	}
	return checkWrites(writes)
}

func checkWrites(writes []Write) error {
	seen := make(map[string]bool, len(writes))
	size := 0
	for _, w := range writes {
		if err := checkKey(w.Key); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		if seen[w.Key] {
			return fmt.Errorf("commit: %s: written twice", w.Key)
		}
		seen[w.Key] = true
		size += len(w.Key) + len(w.Value)
	}
	if size > MaxCommitBytes {
		return fmt.Errorf("commit: %d bytes: at most %d are allowed", size, MaxCommitBytes)
	}
	return nil
}

func checkKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("empty key")
	case len(key) > MaxKeyBytes:
		return fmt.Errorf("key of %d bytes: at most %d are allowed", len(key), MaxKeyBytes)
	case key == SchemaKey:
		return fmt.Errorf("key %q is the store's own", key)
	}
	return nil
}

// cloneWrites makes a commit independent of its caller, who may go on when ctx ends while the commit runs.
func cloneWrites(writes []Write) []Write {
	writes = slices.Clone(writes)
	for i := range writes {
		writes[i].Value = bytes.Clone(writes[i].Value) // keeps nil nil and empty empty
	}
	return writes
}

// holds tells whether a key's revision satisfies a condition; a key that does not exist has revision 0.
func (c Condition) holds(revision int64) bool {
	if c.Revision == Present {
		return revision != Absent
	}
	return c.Revision == revision
}
