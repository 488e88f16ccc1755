package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"falcon/store"
)

func testGet(t *testing.T, s store.Store) {
	_, err := s.Get(t.Context(), "absent")
	wantError(t, err, store.ErrNotFound)
	large := bytes.Repeat([]byte{0, 1, 0xfe, 0xff}, 200_000)
	for key, value := range map[string][]byte{
		"plain":       []byte("value"),
		"empty":       {},
		"binary":      {0, 0xff, '\n'},
		"large":       large,
		"odd/ \x00ü/": []byte("key"),
	} {
		revision := commit(t, s, store.Write{Key: key, Value: value})
		got, err := s.Get(t.Context(), key)
		if err != nil {
			t.Fatalf("get %q: %v", key, err)
		}
		if got.Value == nil || !bytes.Equal(got.Value, value) || got.Key != key || got.Revision != revision {
			t.Errorf("got %q with %d bytes (nil: %v) at revision %d, want %q with %d at %d",
				got.Key, len(got.Value), got.Value == nil, got.Revision, key, len(value), revision)
		}
	}
	_, err = s.Get(t.Context(), "plai")
	wantError(t, err, store.ErrNotFound)
}

// testCommit: all writes happen at one new revision, or none.
func testCommit(t *testing.T, s store.Store) {
	first := commit(t, s, put("a", "1"), put("b", "1"))
	second := commit(t, s, put("b", "2"), put("c", "2"), remove("a"))
	if second <= first {
		t.Errorf("revision went from %d to %d", first, second)
	}
	before, revision := list(t, s, "")
	want := []store.Record{{Key: "b", Value: []byte("2"), Revision: second}, {Key: "c", Value: []byte("2"), Revision: second}}
	if !reflect.DeepEqual(before, want) || revision != second {
		t.Errorf("got %v at %d, want %v at %d", before, revision, want, second)
	}

	_, err := s.Commit(t.Context(),
		[]store.Condition{{Key: "b", Revision: second}, {Key: "c", Revision: first}, {Key: "d", Revision: store.Present}},
		[]store.Write{put("b", "3"), put("e", "3"), remove("c")})
	wantConflict(t, err, "c")
	after, revision := list(t, s, "")
	if !reflect.DeepEqual(before, after) || revision != second {
		t.Errorf("a conflict changed %v at %d to %v at %d", before, second, after, revision)
	}
}

func testConditions(t *testing.T, s store.Store) {
	old := commit(t, s, put("changed", "1"))
	revisions := map[string]int64{
		"changed": commit(t, s, put("changed", "2")),
		"same":    commit(t, s, put("same", "1")),
	}
	commit(t, s, put("deleted", "1"))
	commit(t, s, remove("deleted"))
	past := commit(t, s, put("recreated", "1"))
	commit(t, s, remove("recreated"))
	revisions["recreated"] = commit(t, s, put("recreated", "1"))

	for _, c := range []struct {
		key      string
		revision int64
		ok       bool
	}{
		{"never", store.Absent, true},
		{"never", store.Present, false},
		{"never", old, false},
		{"deleted", store.Absent, true},
		{"deleted", store.Present, false},
		{"deleted", old, false},
		{"same", store.Absent, false},
		{"same", store.Present, true},
		{"same", revisions["same"], true},
		{"same", revisions["same"] + 1, false},
		{"changed", old, false},
		{"changed", revisions["changed"], true},
		{"recreated", past, false},
		{"recreated", store.Absent, false},
		{"recreated", store.Present, true},
		{"recreated", revisions["recreated"], true},
	} {
		t.Run(fmt.Sprintf("%s/%d", c.key, c.revision), func(t *testing.T) {
			conditions := []store.Condition{{Key: c.key, Revision: c.revision}}
			_, err := s.Commit(t.Context(), conditions, []store.Write{put("other", "x")})
			if c.ok && err != nil {
				t.Fatalf("commit: %v", err)
			}
			if !c.ok {
				wantConflict(t, err, c.key)
			}
			_, err = s.Commit(t.Context(), conditions, nil) // a mere check
			if (err == nil) != c.ok {
				t.Errorf("commit without writes: %v", err)
			}
		})
	}
}

func testDelete(t *testing.T, s store.Store) {
	commit(t, s, put("a", "1"), put("b", "1"))
	commit(t, s, remove("a"))
	_, err := s.Get(t.Context(), "a")
	wantError(t, err, store.ErrNotFound)
	if records, _ := list(t, s, ""); !slices.Equal(keys(records), []string{"b"}) {
		t.Errorf("got %v, want b only", keys(records))
	}
	commit(t, s, remove("a"), remove("b")) // one of them is absent
	if records, _ := list(t, s, ""); len(records) != 0 {
		t.Errorf("got %v, want nothing", keys(records))
	}
}

// testNoChange: what changes nothing has no revision of its own.
func testNoChange(t *testing.T, s store.Store) {
	revision := commit(t, s, put("a", "1"))
	for _, writes := range [][]store.Write{nil, {remove("absent")}} {
		if got := commit(t, s, writes...); got != revision {
			t.Errorf("commit of %v: revision %d, want %d", writes, got, revision)
		}
	}
	if got := commit(t, s, put("a", "1")); got <= revision {
		t.Errorf("writing the same value again: revision %d, want more than %d", got, revision)
	}
}

// testBounds: what a backend could not do is refused by all, and changes nothing.
func testBounds(t *testing.T, s store.Store) {
	var writes, tooMany []store.Write
	var conditions, tooStrict []store.Condition
	for i := range store.MaxWrites + 1 {
		tooMany = append(tooMany, put("w"+strconv.Itoa(i), ""))
	}
	for i := range store.MaxConditions + 1 {
		tooStrict = append(tooStrict, store.Condition{Key: "c" + strconv.Itoa(i), Revision: store.Absent})
	}
	writes, conditions = tooMany[1:], tooStrict[1:]

	for name, c := range map[string]struct {
		conditions []store.Condition
		writes     []store.Write
	}{
		"key twice":           {nil, []store.Write{put("a", "1"), remove("a")}},
		"empty key":           {nil, []store.Write{put("", "1")}},
		"long key":            {nil, []store.Write{put(strings.Repeat("k", store.MaxKeyBytes+1), "1")}},
		"schema":              {nil, []store.Write{put(store.SchemaKey, "1")}},
		"many writes":         {nil, tooMany},
		"many conditions":     {tooStrict, nil},
		"many bytes":          {nil, []store.Write{{Key: "a", Value: make([]byte, store.MaxCommitBytes)}}},
		"condition on empty":  {[]store.Condition{{Key: ""}}, nil},
		"condition on schema": {[]store.Condition{{Key: store.SchemaKey}}, nil},
		"negative revision":   {[]store.Condition{{Key: "a", Revision: -2}}, nil},
	} {
		_, err := s.Commit(t.Context(), c.conditions, c.writes)
		if err == nil || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: got error %v, want a refusal", name, err)
		}
	}
	if records, _ := list(t, s, ""); len(records) != 0 {
		t.Errorf("refused commits left %v", keys(records))
	}

	if _, err := s.Commit(t.Context(), conditions, writes); err != nil {
		t.Errorf("the largest number of conditions and writes: %v", err)
	}
	commit(t, s, store.Write{Key: "a", Value: make([]byte, store.MaxCommitBytes-1)})
	commit(t, s, put(strings.Repeat("k", store.MaxKeyBytes), "1"))
}

// testAliasing: the store and its callers share no memory.
func testAliasing(t *testing.T, s store.Store) {
	value := []byte("before")
	commit(t, s, store.Write{Key: "a", Value: value})
	copy(value, "after!")
	got, err := s.Get(t.Context(), "a")
	if err != nil || string(got.Value) != "before" {
		t.Fatalf("got %q, %v", got.Value, err)
	}
	copy(got.Value, "after!")
	if got, _ := s.Get(t.Context(), "a"); string(got.Value) != "before" {
		t.Errorf("got %q after a caller changed its copy", got.Value)
	}
}

// testRace: compare-and-swap loses no update, and watchers that begin meanwhile miss and repeat none.
func testRace(t *testing.T, s store.Store) {
	const workers, rounds = 6, 8
	commit(t, s, put("counter", "0"))
	group, ctx := errgroup.WithContext(t.Context())
	for range workers {
		group.Go(func() error {
			for range rounds {
				if err := increment(ctx, s, "counter"); err != nil {
					return err
				}
			}
			return nil
		})
		group.Go(func() error { return followCounter(ctx, s, "counter", workers*rounds) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(t.Context(), "counter")
	if err != nil || string(got.Value) != strconv.Itoa(workers*rounds) {
		t.Errorf("counter is %s, %v: want %d", got.Value, err, workers*rounds)
	}
}

func wantConflict(t testing.TB, err error, key string) {
	t.Helper()
	wantError(t, err, store.ErrConflict)
	conflict, ok := err.(*store.ConflictError)
	if !ok {
		t.Fatalf("got a %T, want a *ConflictError", err)
	}
	if conflict.Key != key {
		t.Errorf("conflict on %q, want on %q", conflict.Key, key)
	}
}
