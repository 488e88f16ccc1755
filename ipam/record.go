package ipam

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"falcon/store"
)

// maxWrites is how many writes to put in one commit; etcd takes 128 by default.
const maxWrites = 100

// Pauses between attempts that lost a race, so that many hosts do not keep each other from progress.
const (
	quickRetries = 3
	maxPause     = 20 * time.Millisecond
)

// settle repeats attempt for as long as it fails with store.ErrConflict and ctx lasts.
func settle(ctx context.Context, attempt func() error) error {
	for n := 0; ; n++ {
		err := attempt()
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		if n < quickRetries {
			continue
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(rand.N(maxPause)):
		}
	}
}

// record is the value of a key with the revision that it was seen at. Of an absent one these are the zero
// value and store.Absent, so that a commit on this condition expects what was seen in either case.
type record[T any] struct {
	key      string
	value    T
	revision int64
}

func (r record[T]) exists() bool { return r.revision != store.Absent }

// same is the condition that the record is still as it was seen.
func (r record[T]) same() store.Condition {
	return store.Condition{Key: r.key, Revision: r.revision}
}

// change is a write that depends on a condition.
type change struct {
	condition store.Condition
	write     store.Write
}

// replace is the change of the record to value, or its creation.
func (r record[T]) replace(value T) change {
	return change{r.same(), store.Write{Key: r.key, Value: store.Encode(value)}}
}

// remove is the deletion of the record.
func (r record[T]) remove() change {
	return change{r.same(), store.Write{Key: r.key}}
}

// commit makes all changes at once if their conditions and those of also hold. Its error matches
// store.ErrConflict if one does not.
func (p *Pools) commit(ctx context.Context, changes []change, also ...store.Condition) error {
	var writes []store.Write
	for _, c := range changes {
		also = append(also, c.condition)
		writes = append(writes, c.write)
	}
	_, err := p.store.Commit(ctx, also, writes)
	return err
}

// get reads a record, which may be absent.
func get[T any](ctx context.Context, s store.Store, key string) (record[T], error) {
	raw, err := s.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return record[T]{key: key}, nil
	}
	if err != nil {
		return record[T]{}, err
	}
	value, err := store.Decode[T](raw)
	return record[T]{key, value, raw.Revision}, err
}

// list reads all records whose keys begin with prefix, sorted by key.
func list[T any](ctx context.Context, s store.Store, prefix string) ([]record[T], error) {
	raw, _, err := s.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	all := make([]record[T], len(raw))
	for i, r := range raw {
		value, err := store.Decode[T](r)
		if err != nil {
			return nil, err
		}
		all[i] = record[T]{r.Key, value, r.Revision}
	}
	return all, nil
}

// stamp is the present time as records have it.
func (p *Pools) stamp() time.Time { return p.now().UTC().Round(0) }

// with returns hosts with host among them; hosts itself is not changed.
func with(hosts []string, host string) []string {
	if slices.Contains(hosts, host) {
		return hosts
	}
	return append(slices.Clip(hosts), host)
}

// without returns hosts without host; hosts itself is not changed.
func without(hosts []string, host string) []string {
	return slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return h == host })
}
