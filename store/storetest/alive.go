package storetest

import (
	"context"
	"errors"
	"testing"

	"falcon/store"
)

// Holder is a key that is kept alive.
type Holder struct {
	cancel context.CancelFunc
	done   chan error
}

// StartKeepAlive holds a key until the test ends.
func StartKeepAlive(t testing.TB, s store.Store, key, value string) *Holder {
	ctx, cancel := context.WithCancel(t.Context())
	h := &Holder{cancel: cancel, done: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.done <- s.KeepAlive(ctx, key, []byte(value))
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return h
}

// Stop ends the hold and returns its error.
func (h *Holder) Stop() error {
	h.cancel()
	return <-h.done
}

func testKeepAlive(t *testing.T, s store.Store) {
	_, revision := list(t, s, "")
	w := StartWatch(t, s, store.AlivePrefix, revision)
	key := store.AliveKey("h1")
	h := StartKeepAlive(t, s, key, "one")
	wantNext(t, w, WasPut(key, "one"))
	if record, err := s.Get(t.Context(), key); err != nil || string(record.Value) != "one" {
		t.Errorf("got %v, %v", record, err)
	}
	if err := h.Stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("keep alive ended with %v", err)
	}
	_, err := s.Get(t.Context(), key) // without waiting: it is gone when KeepAlive returns
	wantError(t, err, store.ErrNotFound)
	wantNext(t, w, WasDeleted(key))
}

func testKeepAliveRestores(t *testing.T, s store.Store) {
	_, revision := list(t, s, "")
	w := StartWatch(t, s, store.AlivePrefix, revision)
	key := store.AliveKey("h1")
	StartKeepAlive(t, s, key, "")
	for range 2 {
		wantNext(t, w, WasPut(key, ""))
		commit(t, s, remove(key))
		wantNext(t, w, WasDeleted(key))
	}
	wantNext(t, w, WasPut(key, ""))
	commit(t, s, put(key+"-other", ""), remove("alive/h"))
	wantNext(t, w, WasPut(key+"-other", ""))
	commit(t, s, remove(key+"-other")) // no business of the holder's
	wantNext(t, w, WasDeleted(key+"-other"))
	commit(t, s, put(store.AliveKey("end"), ""))
	wantNext(t, w, WasPut(store.AliveKey("end"), ""))
}

func testKeepAliveKey(t *testing.T, s store.Store) {
	for _, key := range []string{"", "hosts/h1", "alive", store.AlivePrefix} {
		if err := s.KeepAlive(waitContext(t), key, nil); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("keep alive %q: got %v, want a refusal", key, err)
		}
	}
	if records, _ := list(t, s, ""); len(records) != 0 {
		t.Errorf("refused keys left %v", keys(records))
	}
}

// wantNext is Want for a revision that somebody else's commit has.
func wantNext(t testing.TB, w *Watcher, want store.Event) {
	t.Helper()
	at, events := w.Next(t)
	if len(events) != 1 || events[0].Revision != at || events[0].Key != want.Key ||
		events[0].Deleted != want.Deleted || string(events[0].Value) != string(want.Value) {
		t.Fatalf("got %v at %d, want %v", events, at, want)
	}
}
