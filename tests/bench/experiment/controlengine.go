package experiment

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// mostContainers is how many containers a host gets. They are what takes the time, not their endpoints.
const mostContainers = 100

// containerCounts are the numbers of containers at which engines are measured.
func containerCounts(e *Env) []int { return Pick(e, []int{5, 50, mostContainers}, []int{5, 10}) }

// controlEngines measures subjects through their engines, in turns: one container, one sample of each at a time.
func controlEngines(ctx context.Context, e *Env) (failure error) {
	pairs, err := openPairs(ctx)
	if err != nil {
		return err
	}
	defer func() {
		for _, p := range pairs {
			failure = errors.Join(failure, p.close())
		}
	}()
	for _, at := range containerCounts(e) {
		e.progress.Step(fmt.Sprintf("%s, %d containers", e.name, at))
		if err := controlAt(ctx, e, pairs, at); err != nil {
			return fmt.Errorf("at %d containers: %w", at, err)
		}
	}
	return nil
}

// openPairs prepares all subjects at once.
func openPairs(ctx context.Context) ([]*enginePair, error) {
	open := []func(context.Context) (*enginePair, error){openOverlayPair, openFalconPair}
	pairs := make([]*enginePair, len(open))
	var all errgroup.Group
	for i, open := range open {
		all.Go(func() (err error) {
			pairs[i], err = open(ctx)
			return err
		})
	}
	err := all.Wait()
	if err == nil {
		return pairs, nil
	}
	for _, p := range pairs {
		if p != nil {
			err = errors.Join(err, p.close())
		}
	}
	return nil, err
}

// controlAt fills the hosts up to a number of containers and measures what one more takes.
func controlAt(ctx context.Context, e *Env, pairs []*enginePair, at int) error {
	for round := pairs[0].containers + 1; round <= at; round++ {
		for _, p := range pairs {
			took, err := p.startNext(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", p.subject, err)
			}
			e.noteAt(p.subject, at, "container start", "ms", round, millis(took))
		}
	}
	for round := 1; round <= Pick(e, 40, 5); round++ {
		for _, p := range pairs {
			s, err := p.sample(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", p.subject, err)
			}
			e.noteAt(p.subject, at, "network connect (CreateEndpoint + Join)", "ms", round, millis(s.connect))
			e.noteAt(p.subject, at, "network disconnect", "ms", round, millis(s.disconnect))
			e.noteAt(p.subject, at, "entry on the other host after network connect began", "ms", round, millis(s.known))
		}
	}
	for _, p := range pairs {
		mb, err := resident(p.daemons...)
		if err != nil {
			return fmt.Errorf("%s: %w", p.subject, err)
		}
		e.noteAt(p.subject, at, "memory of engine and driver", "MB", 1, mb)
	}
	return nil
}
