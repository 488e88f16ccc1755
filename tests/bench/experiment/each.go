package experiment

import "golang.org/x/sync/errgroup"

// each asks all receivers at once, since each may sleep for some milliseconds.
func each[T any](receivers []T, ask func(i int, receiver T) error) error {
	var group errgroup.Group
	for i, r := range receivers {
		group.Go(func() error { return ask(i, r) })
	}
	return group.Wait()
}
