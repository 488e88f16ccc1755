package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
)

// The pause before a lost key is restored doubles from the first to the second while holds fail at once. Even
// the longest, with the time of one failing operation, is short beside the lease: after an outage of etcd
// the key is renewed before it is lost.
const (
	aliveRetry    = 125 * time.Millisecond
	aliveRetryMax = 2 * time.Second
)

// releaseTimeout bounds the deletion of a key when its holder's ctx has ended.
const releaseTimeout = 2 * time.Second

// errKeyLost ends one hold of a key; the next one restores it.
var errKeyLost = errors.New("key was deleted")

func checkAliveKey(key string) error {
	if !strings.HasPrefix(key, AlivePrefix) || key == AlivePrefix {
		return fmt.Errorf("keep alive %q: key must begin with %q", key, AlivePrefix)
	}
	return nil
}

// nonNil keeps an empty value from meaning a deletion.
func nonNil(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}

// holdForever calls hold again each time it loses the key, until ctx ends. A cause is logged once, however
// often it repeats: an outage of an hour is one line.
func holdForever(ctx context.Context, log logrus.FieldLogger, key string, hold func(context.Context) error) error {
	last, retry := "", aliveRetry
	for {
		began := time.Now()
		err := hold(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err.Error() != last {
			last = err.Error()
			log.WithError(err).WithField("key", key).Warn("lost a key that is kept alive; restoring it")
		}
		if time.Since(began) > 2*aliveRetryMax {
			retry = aliveRetry
		}
		if err := pause(ctx, retry); err != nil {
			return err
		}
		retry = min(2*retry, aliveRetryMax)
	}
}

// waitDeleted blocks until key, last written at revision, is deleted, and returns errKeyLost then.
func waitDeleted(ctx context.Context, s Store, key string, revision int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := s.Watch(ctx, key, revision, func(_ int64, events []Event) {
		for _, event := range events {
			if event.Key == key && event.Deleted {
				cancel(errKeyLost)
			}
		}
	})
	if errors.Is(context.Cause(ctx), errKeyLost) {
		return errKeyLost
	}
	return err
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
