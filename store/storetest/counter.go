package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"falcon/store"
)

// increment adds one by compare-and-swap, as often as it takes.
func increment(ctx context.Context, s store.Store, key string) error {
	for {
		record, err := s.Get(ctx, key)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(record.Value))
		if err != nil {
			return err
		}
		_, err = s.Commit(ctx, []store.Condition{{Key: key, Revision: record.Revision}},
			[]store.Write{put(key, strconv.Itoa(n+1))})
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// followCounter lists a counter that others increment and watches it up to last: each value must follow the
// one before.
func followCounter(ctx context.Context, s store.Store, key string, last int) error {
	records, revision, err := s.List(ctx, key)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(string(records[0].Value))
	if err != nil || n == last {
		return err
	}
	return watchCounter(ctx, s, key, revision, n, last)
}

func watchCounter(ctx context.Context, s store.Store, key string, revision int64, n, last int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := errors.New("done")
	err := s.Watch(ctx, key, revision, func(at int64, events []store.Event) {
		n++
		switch {
		case at <= revision:
			cancel(fmt.Errorf("revision %d came after %d", at, revision))
		case len(events) != 1 || string(events[0].Value) != strconv.Itoa(n):
			cancel(fmt.Errorf("got %v, want the value %d", events, n))
		case n == last:
			cancel(done)
		}
		revision = at
	})
	if errors.Is(context.Cause(ctx), done) {
		return nil
	}
	return fmt.Errorf("watch ended with %w, because of %w", err, context.Cause(ctx))
}
