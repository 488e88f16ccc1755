package storetest

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"falcon/store"
)

// delivery is one call of a watch's function.
type delivery struct {
	revision int64
	events   []store.Event
}

// Watcher is a watch under test.
type Watcher struct {
	cancel     context.CancelFunc
	deliveries chan delivery
	done       chan error
}

// StartWatch watches until the test ends.
func StartWatch(t testing.TB, s store.Store, prefix string, revision int64) *Watcher {
	ctx, cancel := context.WithCancel(t.Context())
	w := &Watcher{cancel: cancel, deliveries: make(chan delivery), done: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.done <- s.Watch(ctx, prefix, revision, func(revision int64, events []store.Event) {
			select {
			case w.deliveries <- delivery{revision, events}:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return w
}

// Next waits for the next delivery.
func (w *Watcher) Next(t testing.TB) (int64, []store.Event) {
	t.Helper()
	select {
	case d := <-w.deliveries:
		return d.revision, d.events
	case err := <-w.done:
		t.Fatalf("watch ended: %v", err)
	case <-time.After(patience):
		t.Fatal("watch delivers nothing")
	}
	panic("unreachable")
}

// Want waits for the next delivery and compares it.
func (w *Watcher) Want(t testing.TB, revision int64, events ...store.Event) {
	t.Helper()
	for i := range events {
		events[i].Revision = revision
	}
	at, got := w.Next(t)
	if at != revision || !reflect.DeepEqual(got, events) {
		t.Fatalf("got %v at %d, want %v at %d", got, at, events, revision)
	}
}

// Err waits for the watch to end.
func (w *Watcher) Err(t testing.TB) error {
	t.Helper()
	select {
	case d := <-w.deliveries:
		t.Fatalf("got %v at %d, want the end", d.events, d.revision)
	case err := <-w.done:
		return err
	case <-time.After(patience):
		t.Fatal("watch does not end")
	}
	panic("unreachable")
}

// WasPut and WasDeleted are events to want.
func WasPut(key, value string) store.Event {
	return store.Event{Record: store.Record{Key: key, Value: []byte(value)}}
}

func WasDeleted(key string) store.Event {
	return store.Event{Record: store.Record{Key: key}, Deleted: true}
}

// testWatch: each commit after the revision, once, in order, with all its events together.
func testWatch(t *testing.T, s store.Store) {
	commit(t, s, put("a", "before"), put("b", "before"))
	_, revision := list(t, s, "")
	w := StartWatch(t, s, "", revision)
	w.Want(t, commit(t, s, put("a", "1")), WasPut("a", "1"))
	w.Want(t, commit(t, s, put("c", ""), put("a", "2"), remove("b")),
		WasPut("c", ""), WasPut("a", "2"), WasDeleted("b"))
	commit(t, s, remove("b"), remove("absent")) // changes nothing
	commit(t, s)
	w.Want(t, commit(t, s, remove("absent"), remove("c")), WasDeleted("c"))

	first := commit(t, s, put("a", "3"))
	second := commit(t, s, put("a", "4"))
	w.Want(t, first, WasPut("a", "3"))
	w.Want(t, second, WasPut("a", "4"))
}

// testWatchPrefix: a commit shows those of its events that match, and only when there are any.
func testWatchPrefix(t *testing.T, s store.Store) {
	_, revision := list(t, s, "")
	w := StartWatch(t, s, "a/", revision)
	other := StartWatch(t, s, "b", revision)
	commit(t, s, put("a", ""), put("a0", ""))
	mixed := commit(t, s, put("b/1", "x"), put("a/1", "x"), put("a/2", "x"), remove("a0"))
	w.Want(t, mixed, WasPut("a/1", "x"), WasPut("a/2", "x"))
	other.Want(t, mixed, WasPut("b/1", "x"))
	w.Want(t, commit(t, s, remove("a/1")), WasDeleted("a/1"))
	other.Want(t, commit(t, s, put("b", "y")), WasPut("b", "y"))
}

// testWatchCatchUp: a watch may begin at any revision since a list.
func testWatchCatchUp(t *testing.T, s store.Store) {
	const n = 30
	_, start := list(t, s, "")
	revisions := []int64{start}
	for i := range n {
		revisions = append(revisions, commit(t, s, put("k", fmt.Sprint(i))))
	}
	for _, from := range []int{0, 1, n / 2, n - 1, n} {
		w := StartWatch(t, s, "k", revisions[from])
		for i := from; i < n; i++ {
			w.Want(t, revisions[i+1], WasPut("k", fmt.Sprint(i)))
		}
		if from == n {
			w.Want(t, commit(t, s, put("k", "end")), WasPut("k", "end"))
		}
	}
}

// testWatchFuture: a revision that was never reached belongs to another store.
func testWatchFuture(t *testing.T, s store.Store) {
	revision := commit(t, s, put("a", "1"))
	err := s.Watch(waitContext(t), "a", revision+1000, func(int64, []store.Event) {})
	wantError(t, err, store.ErrCompacted)
}

func testWatchEnds(t *testing.T, s store.Store) {
	revision := commit(t, s, put("a", "1"))
	w := StartWatch(t, s, "a", revision)
	w.Want(t, commit(t, s, put("a", "2")), WasPut("a", "2"))
	w.cancel()
	wantError(t, w.Err(t), context.Canceled)

	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	err := s.Watch(ctx, "a", revision+1, func(int64, []store.Event) {})
	wantError(t, err, context.DeadlineExceeded)
}
