package store_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"falcon/store"
	"falcon/store/storetest"
)

// patience bounds waits for what must happen; only a test that fails waits so long.
const patience = 20 * time.Second

func TestEtcdOutage(t *testing.T) {
	t.Parallel()
	server := storetest.StartEtcd(t)
	config := server.Config()
	config.Timeout = 500 * time.Millisecond
	s := openEtcd(t, config)
	revision := put(t, s, "a", "1")
	w := storetest.StartWatch(t, s, "", revision)
	alive := store.AliveKey("h")
	storetest.StartKeepAlive(t, s, alive, "")
	wantKey(t, w, alive, false)

	server.Kill(t)
	wantUnavailable(t, s, server.Endpoint)
	late := openEtcd(t, config) // falcon starts without its etcd

	server.Start(t)
	waitAnswer(t, s)
	waitAnswer(t, late)
	if _, err := s.Get(t.Context(), alive); err != nil {
		t.Errorf("key that is kept alive: %v", err)
	}
	w.Want(t, put(t, late, "a", "2"), storetest.WasPut("a", "2")) // and nothing in between
}

// TestEtcdSilent: the connection stands, but nobody answers.
func TestEtcdSilent(t *testing.T) {
	t.Parallel()
	server := storetest.StartEtcd(t)
	config := server.Config()
	config.Timeout = 300 * time.Millisecond
	s := openEtcd(t, config)
	put(t, s, "a", "1")
	server.Pause(t)
	t.Cleanup(func() { server.Resume(t) })
	wantUnavailable(t, s, server.Endpoint)

	mute, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	config.Endpoints = []string{mute.Addr().String()}
	wantUnavailable(t, openEtcd(t, config), mute.Addr().String())
}

// TestEtcdReplaced: a server that comes back without its data has lower revisions, which watches must not
// wait to be reached again.
func TestEtcdReplaced(t *testing.T) {
	t.Parallel()
	server := storetest.StartEtcd(t)
	s := openEtcd(t, server.Config())
	for range 20 {
		put(t, s, "a", "1")
	}
	w := storetest.StartWatch(t, s, "", put(t, s, "a", "2"))
	alive := store.AliveKey("h")
	storetest.StartKeepAlive(t, s, alive, "")
	wantKey(t, w, alive, false)

	server.Kill(t)
	server.Wipe(t)
	server.Start(t)
	waitAnswer(t, s)
	if err := w.Err(t); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("watch ended with %v", err)
	}
	put(t, s, "b", "1")
	if _, err := server.Client(t).Get(t.Context(), "/falcon/"+store.SchemaKey); err != nil {
		t.Errorf("schema: %v", err)
	}
	waitKey(t, s, alive)
}

// TestEtcdLease: a key is gone some time after its holder was cut off, and not before another holder's end.
func TestEtcdLease(t *testing.T) {
	t.Parallel()
	server := storetest.StartEtcd(t)
	config := server.Config()
	config.Lease = time.Second
	s, cut := openEtcd(t, config), openEtcd(t, config)
	_, revision, err := s.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	w := storetest.StartWatch(t, s, store.AlivePrefix, revision)
	lost, taken := store.AliveKey("lost"), store.AliveKey("taken")
	storetest.StartKeepAlive(t, cut, lost, "")
	wantKey(t, w, lost, false)
	storetest.StartKeepAlive(t, cut, taken, "former")
	wantKey(t, w, taken, false)
	storetest.StartKeepAlive(t, s, taken, "latter") // as after a restart within the lease
	wantKey(t, w, taken, false)

	if err := cut.Close(); err != nil { // its leases are left to run out
		t.Fatal(err)
	}
	wantKey(t, w, lost, true)
	if record, err := s.Get(t.Context(), taken); err != nil || string(record.Value) != "latter" {
		t.Errorf("key that was taken over: %v, %v", record, err)
	}
}

// TestEtcdLeaseLost: a holder that could not renew takes a new lease.
func TestEtcdLeaseLost(t *testing.T) {
	t.Parallel()
	server := storetest.StartEtcd(t)
	config := server.Config()
	config.Lease = time.Second
	s := openEtcd(t, config)
	_, revision, err := s.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	w := storetest.StartWatch(t, s, store.AlivePrefix, revision)
	alive := store.AliveKey("h")
	storetest.StartKeepAlive(t, s, alive, "")
	wantKey(t, w, alive, false)
	leases, err := server.Client(t).Leases(t.Context())
	if err != nil || len(leases.Leases) != 1 {
		t.Fatalf("leases: %v, %v", leases, err)
	}
	if _, err := server.Client(t).Revoke(t.Context(), leases.Leases[0].ID); err != nil {
		t.Fatal(err)
	}
	wantKey(t, w, alive, true)
	wantKey(t, w, alive, false)
}

func TestEtcdCompacted(t *testing.T) {
	t.Parallel()
	server := storetest.StartEtcd(t)
	s := openEtcd(t, server.Config())
	old := put(t, s, "a", "1")
	put(t, s, "a", "2")
	newest := put(t, s, "a", "3")
	if _, err := server.Client(t).Compact(t.Context(), newest); err != nil {
		t.Fatal(err)
	}
	err := s.Watch(t.Context(), "a", old, func(int64, []store.Event) {})
	if !errors.Is(err, store.ErrCompacted) {
		t.Errorf("watch ended with %v", err)
	}
	w := storetest.StartWatch(t, s, "a", newest)
	w.Want(t, put(t, s, "a", "4"), storetest.WasPut("a", "4"))
}

func TestEtcdSchema(t *testing.T) {
	t.Parallel()
	server := storetest.StartEtcd(t)
	s := openEtcd(t, server.Config())
	put(t, s, "a", "1")
	schema := func(value string) {
		if _, err := server.Client(t).Put(t.Context(), "/falcon/"+store.SchemaKey, value); err != nil {
			t.Fatal(err)
		}
	}
	commit := func() error {
		_, err := s.Commit(t.Context(), nil, []store.Write{{Key: "a", Value: []byte("2")}})
		return err
	}

	schema(`{"version": 1, "of": "a later release"}`)
	if err := commit(); err != nil {
		t.Errorf("commit under the same schema, rewritten: %v", err)
	}
	schema(`{"version": 2}`) // as by a newer falcon on another host
	for _, err := range []error{commit(), commit()} {
		wantText(t, err, store.ErrSchema, "found version 2, supported is 1")
	}
	_, err := store.OpenEtcd(t.Context(), server.Config())
	wantText(t, err, store.ErrSchema, "found version 2, supported is 1")
	schema(`garbage`)
	_, err = store.OpenEtcd(t.Context(), server.Config())
	wantText(t, err, store.ErrCorrupt, "schema")
}

// wantUnavailable tries each operation of a store that does not answer.
func wantUnavailable(t *testing.T, s store.Store, endpoint string) {
	t.Helper()
	began := time.Now()
	_, err := s.Get(t.Context(), "a")
	wantText(t, err, store.ErrUnavailable, endpoint)
	_, _, err = s.List(t.Context(), "a")
	wantText(t, err, store.ErrUnavailable, endpoint)
	_, err = s.Commit(t.Context(), nil, []store.Write{{Key: "a"}})
	wantText(t, err, store.ErrUnavailable, endpoint)
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("three operations took %v to fail", took)
	}
	if status := s.Status(t.Context()); !strings.Contains(status.Error, endpoint) || !strings.Contains(status.Where, endpoint) {
		t.Errorf("got status %+v", status)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = s.Get(ctx, "a")
	wantText(t, err, store.ErrUnavailable, endpoint)
	wantText(t, err, context.DeadlineExceeded, endpoint)
}

func wantText(t *testing.T, err, want error, text string) {
	t.Helper()
	if !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
		t.Errorf("got error %v, want one that matches %q and says %q", err, want, text)
	}
}

func wantKey(t *testing.T, w *storetest.Watcher, key string, deleted bool) {
	t.Helper()
	if _, events := w.Next(t); len(events) != 1 || events[0].Key != key || events[0].Deleted != deleted {
		t.Fatalf("got %v, want %s (deleted: %v)", events, key, deleted)
	}
}

func put(t *testing.T, s store.Store, key, value string) int64 {
	t.Helper()
	revision, err := s.Commit(t.Context(), nil, []store.Write{{Key: key, Value: []byte(value)}})
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return revision
}

// waitAnswer waits for the end of an outage.
func waitAnswer(t *testing.T, s store.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		_, err := s.Get(ctx, "a") // blocks until there is a connection, or its time is up
		if err == nil || errors.Is(err, store.ErrNotFound) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("outage does not end: %v", err)
		}
	}
}

// waitKey waits until a key exists.
func waitKey(t *testing.T, s store.Store, key string) {
	t.Helper()
	records, revision, err := s.List(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if len(records) == 0 {
		wantKey(t, storetest.StartWatch(t, s, key, revision), key, false)
	}
}
