package store_test

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"falcon/store"
	"falcon/store/storetest"
)

// TestEtcdCluster: with one member of three gone everything goes on; with two gone nothing is answered, and
// nothing is lost.
func TestEtcdCluster(t *testing.T) {
	t.Parallel()
	servers := storetest.StartEtcdCluster(t, 3)
	var config store.EtcdConfig
	for _, server := range servers {
		config.Endpoints = append(config.Endpoints, server.Endpoint)
	}
	s := openEtcd(t, config)
	waitAnswer(t, s)
	_, revision, err := s.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	w := storetest.StartWatch(t, s, "k", revision)
	alive := store.AliveKey("h")
	storetest.StartKeepAlive(t, s, alive, "")

	for i, server := range servers {
		server.Kill(t)
		wantRevision(t, w, putThrough(t, s, strconv.Itoa(i)))
		server.Start(t)
	}
	servers[0].Kill(t)
	servers[1].Kill(t)
	_, err = s.Get(t.Context(), "k")
	wantText(t, err, store.ErrUnavailable, servers[2].Endpoint)
	for _, server := range servers[:2] {
		server.Launch(t)
	}
	wantRevision(t, w, putThrough(t, s, "end"))
	waitKey(t, s, alive)
}

// putThrough commits as often as it takes: while a leader is elected, and when a member dies with a commit
// in its hands, the store says that it is unavailable.
func putThrough(t *testing.T, s store.Store, value string) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		revision, err := s.Commit(ctx, nil, []store.Write{{Key: "k", Value: []byte(value)}})
		if err == nil {
			return revision
		}
		if !errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil {
			t.Fatalf("commit: %v", err)
		}
	}
}

// wantRevision waits for a commit. Attempts that seemed to fail may come before it.
func wantRevision(t *testing.T, w *storetest.Watcher, want int64) {
	t.Helper()
	for {
		at, _ := w.Next(t)
		if at == want {
			return
		}
		if at > want {
			t.Fatalf("revision %d came, and %d did not", at, want)
		}
	}
}
