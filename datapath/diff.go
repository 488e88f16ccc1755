package datapath

import (
	"context"
	"errors"
)

// diff compares what is there with what should be. add holds the keys of want that have lacks or has another
// value for, remove those of have that want lacks.
func diff[K, V comparable](have, want map[K]V) (add, remove []K) {
	for k, v := range want {
		if old, ok := have[k]; !ok || old != v {
			add = append(add, k)
		}
	}
	for k := range have {
		if _, ok := want[k]; !ok {
			remove = append(remove, k)
		}
	}
	return add, remove
}

// reconcile adds all that is missing before it removes what is stale, so that what moves is never without an
// entry. It goes on after an error, because one bad entry must not keep all others from being repaired; but it
// removes nothing once an addition has failed.
func reconcile[K, V comparable](ctx context.Context, have, want map[K]V, add, remove func(K, V) error) (Change, error) {
	var c Change
	var errs []error
	missing, stale := diff(have, want)
	for _, k := range missing {
		if err := add(k, want[k]); err != nil {
			errs = append(errs, err)
			if ctx.Err() != nil {
				break
			}
			continue
		}
		c.Added++
	}
	if len(errs) > 0 {
		return c, errors.Join(errs...)
	}
	for _, k := range stale {
		if err := remove(k, have[k]); err != nil {
			errs = append(errs, err)
			if ctx.Err() != nil {
				break
			}
			continue
		}
		c.Removed++
	}
	return c, errors.Join(errs...)
}
