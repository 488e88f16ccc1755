package storetest

import (
	"context"
	"errors"
	"testing"

	"falcon/store"
)

// operations are all that can fail for want of a backend.
func operations(s store.Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"get": func(ctx context.Context) error {
			_, err := s.Get(ctx, "a")
			return err
		},
		"list": func(ctx context.Context) error {
			_, _, err := s.List(ctx, "a")
			return err
		},
		"commit": func(ctx context.Context) error {
			_, err := s.Commit(ctx, nil, []store.Write{put("a", "2")})
			return err
		},
		"watch": func(ctx context.Context) error {
			return s.Watch(ctx, "a", 1, func(int64, []store.Event) {})
		},
	}
}

// testContext: with a ctx that has ended nothing begins.
func testContext(t *testing.T, s store.Store) {
	commit(t, s, put("a", "1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, operation := range operations(s) {
		if err := operation(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	wantError(t, s.KeepAlive(ctx, store.AliveKey("h"), nil), context.Canceled)
	if record, err := s.Get(t.Context(), "a"); err != nil || string(record.Value) != "1" {
		t.Errorf("got %v, %v", record, err)
	}
}

func testClose(t *testing.T, s store.Store) {
	revision := commit(t, s, put("a", "1"))
	w := StartWatch(t, s, "a", revision)
	w.Want(t, commit(t, s, put("a", "2")), WasPut("a", "2"))
	h := StartKeepAlive(t, s, store.AliveKey("h"), "")
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	wantError(t, w.Err(t), store.ErrUnavailable)
	for name, operation := range operations(s) {
		if err := operation(waitContext(t)); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	if status := s.Status(t.Context()); status.Error == "" {
		t.Errorf("a closed store has the status %+v", status)
	}
	wantError(t, h.Stop(), context.Canceled)
}

func testStatus(t *testing.T, s store.Store) {
	revision := commit(t, s, put("a", "1"))
	status := s.Status(t.Context())
	if status.Error != "" || status.Kind == "" || status.Where == "" || status.Revision != revision {
		t.Errorf("got %+v, want revision %d and no error", status, revision)
	}
}
