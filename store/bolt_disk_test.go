package store

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
)

// TestBoltDiskFull: a commit that cannot be written changes nothing, and later ones work.
func TestBoltDiskFull(t *testing.T) {
	b, err := OpenBolt(t.Context(), filepath.Join(t.TempDir(), "falcon.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	before, err := b.Commit(t.Context(), nil, []Write{{Key: "a", Value: []byte("1")}})
	if err != nil {
		t.Fatal(err)
	}
	b.file.db.MaxSize = 1 << 16 // bbolt fails as late as for a full disk: after the writes, in the commit
	_, err = b.Commit(t.Context(), nil, []Write{{Key: "b", Value: bytes.Repeat([]byte("v"), 1<<19)}})
	if !errors.Is(err, ErrUnavailable) {
		t.Fatalf("commit: %v", err)
	}
	if _, revision, err := b.List(t.Context(), ""); err != nil || revision != before {
		t.Errorf("revision went from %d to %d, %v", before, revision, err)
	}
	after, err := b.Commit(t.Context(), nil, []Write{{Key: "c", Value: []byte("1")}})
	if err != nil {
		t.Fatal(err)
	}
	if changes, _, err := b.history.after(before); err != nil || len(changes) != 1 || changes[0].revision != after {
		t.Errorf("history after %d: %v, %v", before, changes, err)
	}
}
