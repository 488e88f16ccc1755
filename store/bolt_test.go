package store_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"falcon/store"
	"falcon/store/storetest"
)

func TestBolt(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store { return openBolt(t, boltPath(t)) })
}

func TestBoltReopen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(filepath.Dir(boltPath(t)), "new", "falcon.db")
	s := openBolt(t, path)
	for file, mode := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: mode %v, %v: want %v", file, info.Mode(), err, mode)
		}
	}
	first := put(t, s, "a", "1")
	put(t, s, store.AliveKey("h"), "") // what a process leaves that was killed while it held the key
	last := put(t, s, "b", "2")
	closeStore(t, s)

	s = openBolt(t, path)
	record, err := s.Get(t.Context(), "a")
	if err != nil || string(record.Value) != "1" || record.Revision != first {
		t.Errorf("got %v, %v", record, err)
	}
	_, err = s.Get(t.Context(), store.AliveKey("h"))
	wantText(t, err, store.ErrNotFound, "alive")
	err = s.Watch(t.Context(), "", first, func(int64, []store.Event) {})
	wantText(t, err, store.ErrCompacted, "watch")

	_, revision, err := s.List(t.Context(), "")
	if err != nil || revision <= last {
		t.Errorf("revision went from %d to %d, %v", last, revision, err)
	}
	w := storetest.StartWatch(t, s, "", revision)
	w.Want(t, put(t, s, "a", "3"), storetest.WasPut("a", "3"))
}

func TestBoltLocked(t *testing.T) {
	t.Parallel()
	path := boltPath(t)
	openBolt(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := store.OpenBolt(ctx, path, nil)
	wantText(t, err, store.ErrUnavailable, path+" is locked by another process: stop the other falcon")
}

// TestBoltCorrupt damages a file in all the ways that end a disk or a restore.
func TestBoltCorrupt(t *testing.T) {
	t.Parallel()
	whole := fullFile(t)
	for name, content := range map[string][]byte{
		"text":          []byte("this is not a database\n"),
		"garbage":       bytes.Repeat([]byte{0xde, 0xad, 0xbe, 0xef}, 64<<10),
		"zeros":         make([]byte, len(whole)),
		"one byte":      {0},
		"metas alone":   whole[:2*os.Getpagesize()],
		"half":          whole[:len(whole)/2],
		"half, zeroed":  append(bytes.Clone(whole[:len(whole)/2]), make([]byte, len(whole)/2)...),
		"no freelist":   zeroPages(whole, 2, 3),
		"garbage pages": garbagePages(whole),
	} {
		t.Run(name, func(t *testing.T) {
			path := boltPath(t)
			writeFile(t, path, string(content))
			for range 2 { // the first leaves no lock behind
				_, err := store.OpenBolt(t.Context(), path, nil)
				wantText(t, err, store.ErrCorrupt, path)
				wantText(t, err, store.ErrCorrupt, "move it away and restart falcon")
			}
		})
	}
}

// TestBoltCorruptWhileOpen: pages that vanish under a store end it, and nothing else.
func TestBoltCorruptWhileOpen(t *testing.T) {
	t.Parallel()
	path := boltPath(t)
	writeFile(t, path, string(fullFile(t)))
	s := openBolt(t, path)
	_, revision, err := s.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	w := storetest.StartWatch(t, s, "none", revision)
	if err := os.Truncate(path, int64(os.Getpagesize())*2); err != nil {
		t.Fatal(err)
	}
	_, _, err = s.List(t.Context(), "")
	wantText(t, err, store.ErrCorrupt, path)
	wantText(t, w.Err(t), store.ErrCorrupt, path)
	_, err = s.Commit(t.Context(), nil, []store.Write{{Key: "a", Value: []byte("1")}})
	wantText(t, err, store.ErrCorrupt, path)
	if status := s.Status(t.Context()); status.Error == "" {
		t.Error("status has no error")
	}
	closeStore(t, s)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	put(t, openBolt(t, path), "a", "1") // as falcon does after a restart
}

func TestBoltDeleted(t *testing.T) {
	t.Parallel()
	path := boltPath(t)
	s := openBolt(t, path)
	put(t, s, "a", "1")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Commit(t.Context(), nil, []store.Write{{Key: "a", Value: []byte("2")}})
	wantText(t, err, store.ErrUnavailable, path+" was deleted")
	if status := s.Status(t.Context()); status.Error == "" {
		t.Error("status has no error")
	}
	if record, err := s.Get(t.Context(), "a"); err != nil || string(record.Value) != "1" {
		t.Errorf("got %v, %v", record, err)
	}
	writeFile(t, path, "another")
	_, err = s.Commit(t.Context(), nil, []store.Write{{Key: "a", Value: []byte("2")}})
	wantText(t, err, store.ErrUnavailable, path+" was replaced")
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", "2") // all is well again
}

func TestBoltSchema(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit func(*bbolt.Tx) error
		want error
		says string
	}{
		"newer": {func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte(`{"version": 2}`))
		}, store.ErrSchema, "found version 2, supported is 1: upgrade falcon"},
		"none": {func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("meta")).Delete([]byte("schema"))
		}, store.ErrCorrupt, "schema"},
		"no revision": {func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("meta")).Delete([]byte("revision"))
		}, store.ErrCorrupt, "revision"},
		"short record": {func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("records")).Put([]byte("a"), []byte("short"))
		}, store.ErrCorrupt, "record a: 5 bytes"},
		"no records": {func(tx *bbolt.Tx) error {
			return tx.DeleteBucket([]byte("records"))
		}, store.ErrCorrupt, "no records"},
		"foreign": {func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket([]byte("cats"))
			return errors.Join(err, tx.DeleteBucket([]byte("records")), tx.DeleteBucket([]byte("meta")))
		}, store.ErrCorrupt, `belongs to another program: bucket "cats"`},
	} {
		t.Run(name, func(t *testing.T) {
			path := boltPath(t)
			closeStore(t, openBolt(t, path))
			editBolt(t, path, c.edit)
			_, err := store.OpenBolt(t.Context(), path, nil)
			wantText(t, err, c.want, c.says)
			wantText(t, err, c.want, path)
		})
	}
}

func TestBoltUnusablePath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "file"), "")
	for _, path := range []string{dir, filepath.Join(dir, "file", "falcon.db")} {
		_, err := store.OpenBolt(t.Context(), path, nil)
		if err == nil || errors.Is(err, store.ErrCorrupt) {
			t.Errorf("open %s: got %v", path, err)
		}
		wantText(t, err, err, dir)
	}
}

func boltPath(t *testing.T) string { return filepath.Join(t.TempDir(), "falcon.db") }

func openBolt(t *testing.T, path string) *store.Bolt {
	t.Helper()
	s, err := store.OpenBolt(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func closeStore(t *testing.T, s store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func editBolt(t *testing.T, path string, edit func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(edit), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// fullFile is a store whose tree has branches.
func fullFile(t *testing.T) []byte {
	t.Helper()
	path := boltPath(t)
	s := openBolt(t, path)
	for i := range 40 {
		var writes []store.Write
		for j := range 20 {
			key := store.EndpointKey("net", string(rune('a'+i%26))+string(rune('a'+j))+string(rune('a'+i/26)))
			writes = append(writes, store.Write{Key: key, Value: bytes.Repeat([]byte("v"), 200)})
		}
		if _, err := s.Commit(t.Context(), nil, writes); err != nil {
			t.Fatal(err)
		}
	}
	closeStore(t, s)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// zeroPages clears some pages, counted from the first.
func zeroPages(whole []byte, pages ...int) []byte {
	content, size := bytes.Clone(whole), os.Getpagesize()
	for _, page := range pages {
		clear(content[page*size : (page+1)*size])
	}
	return content
}

// garbagePages overwrites all but the two meta pages.
func garbagePages(whole []byte) []byte {
	content := bytes.Clone(whole)
	for i := 2 * os.Getpagesize(); i < len(content); i++ {
		content[i] = byte(i * 7)
	}
	return content
}
