// Package storetest states the contract of store.Store as tests, which run on every backend, and starts
// etcd servers for the tests of any package.
package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"falcon/store"
)

// patience bounds every wait for something that must happen. It is long since nothing waits for it in vain
// but a test that fails.
const patience = 20 * time.Second

// Run tests a backend against the contract. open returns a store that is empty and is closed by the test.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, part := range []struct {
		name string
		test func(*testing.T, store.Store)
	}{
		{"Get", testGet},
		{"List", testList},
		{"ListSnapshot", testListSnapshot},
		{"Commit", testCommit},
		{"Conditions", testConditions},
		{"Delete", testDelete},
		{"NoChange", testNoChange},
		{"Bounds", testBounds},
		{"Aliasing", testAliasing},
		{"Race", testRace},
		{"Watch", testWatch},
		{"WatchPrefix", testWatchPrefix},
		{"WatchCatchUp", testWatchCatchUp},
		{"WatchFuture", testWatchFuture},
		{"WatchEnds", testWatchEnds},
		{"KeepAlive", testKeepAlive},
		{"KeepAliveRestores", testKeepAliveRestores},
		{"KeepAliveKey", testKeepAliveKey},
		{"Context", testContext},
		{"Close", testClose},
		{"Status", testStatus},
		{"Model", testModel},
	} {
		t.Run(part.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			part.test(t, s)
		})
	}
}

// put is a write of a string, for short tests.
func put(key, value string) store.Write { return store.Write{Key: key, Value: []byte(value)} }

func remove(key string) store.Write { return store.Write{Key: key} }

func commit(t testing.TB, s store.Store, writes ...store.Write) int64 {
	t.Helper()
	revision, err := s.Commit(t.Context(), nil, writes)
	if err != nil {
		t.Fatalf("commit %v: %v", writes, err)
	}
	return revision
}

func list(t testing.TB, s store.Store, prefix string) ([]store.Record, int64) {
	t.Helper()
	records, revision, err := s.List(t.Context(), prefix)
	if err != nil {
		t.Fatalf("list %q: %v", prefix, err)
	}
	return records, revision
}

func keys(records []store.Record) []string {
	var keys []string
	for _, r := range records {
		keys = append(keys, r.Key)
	}
	return keys
}

func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want one that matches %q", err, want)
	}
}

// waitContext is for what must happen soon.
func waitContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
