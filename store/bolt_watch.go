package store

import (
	"context"
	"errors"
	"fmt"
)

// Watch implements Store. The history is this process's: what happened before it opened the file is
// compacted.
func (b *Bolt) Watch(ctx context.Context, prefix string, revision int64, fn func(revision int64, events []Event)) error {
	newest, err := b.revision(ctx)
	if err != nil {
		return fmt.Errorf("watch %s: %w", prefix, err)
	}
	if revision > newest {
		return fmt.Errorf("watch %s: %w", prefix, futureError(revision, newest))
	}
	if err := b.follow(ctx, prefix, revision, fn); ctx.Err() == nil {
		return fmt.Errorf("watch %s: %w", prefix, err)
	}
	return ctx.Err()
}

func (b *Bolt) follow(ctx context.Context, prefix string, revision int64, fn func(int64, []Event)) error {
	for {
		changes, more, err := b.history.after(revision)
		if err != nil {
			return err
		}
		for _, c := range changes {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if events := c.matching(prefix); len(events) > 0 {
				fn(c.revision, events)
			}
			revision = c.revision
		}
		if len(changes) > 0 {
			continue
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		case <-b.ctx.Done():
			return context.Cause(b.ctx)
		}
	}
}

// futureError says that a revision was never reached here: it comes from a store that has been replaced.
func futureError(revision, newest int64) error {
	return fmt.Errorf("%w: asked for what follows %d, newest is %d: the store was replaced",
		ErrCompacted, revision, newest)
}

// KeepAlive implements Store.
func (b *Bolt) KeepAlive(ctx context.Context, key string, value []byte) error {
	if err := checkAliveKey(key); err != nil {
		return err
	}
	err := holdForever(ctx, b.log, key, func(ctx context.Context) error { return b.hold(ctx, key, value) })
	b.drop(ctx, key)
	return err
}

// hold writes the key and returns when it is gone.
func (b *Bolt) hold(ctx context.Context, key string, value []byte) error {
	revision, err := b.Commit(ctx, nil, []Write{{Key: key, Value: nonNil(value)}})
	if err != nil {
		return err
	}
	return waitDeleted(ctx, b, key, revision)
}

// drop deletes a key whose holder's ctx has ended. Where that fails the next open does it.
func (b *Bolt) drop(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	_, err := b.Commit(ctx, nil, []Write{{Key: key}})
	if err != nil && !errors.Is(err, errClosed) {
		b.log.WithError(err).WithField("key", key).Warn("cannot delete a key that was kept alive")
	}
}
