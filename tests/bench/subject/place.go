package subject

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"falcon/tests/bench/load"
	"falcon/tests/lab"
)

// Place is one end of traffic: a container, or the host itself.
type Place struct {
	Host      *lab.Host
	Container string      // empty: the host itself
	Sandbox   string      // file of the network namespace as seen in the host; empty: the host's own
	Device    load.Device // its interface in the subject's network, with the namespace's file as seen from here
	Addr      netip.Addr  // IPv4
	MAC       load.MAC
	MTU       int

	network string
}

// placeKey tells the places of a bed apart.
type placeKey struct {
	host    *lab.Host
	network string
	n       int
}

// together is how many containers a host starts at once.
const together = 4

// Place returns the n-th place of a subject on a host, from 0. Containers are made when first asked for, and stay. Of the
// subject host all places are the same: tell them apart by ports.
func (b *Bed) Place(ctx context.Context, s Subject, h *lab.Host, n int) (Place, error) {
	if err := b.need(ctx, s, h, n); err != nil {
		return Place{}, err
	}
	return b.place(s, h, n), nil
}

// Places returns the first n places of a subject on a host. It makes many faster than Place does.
func (b *Bed) Places(ctx context.Context, s Subject, h *lab.Host, n int) ([]Place, error) {
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = i
	}
	if err := b.need(ctx, s, h, numbers...); err != nil {
		return nil, err
	}
	places := make([]Place, n)
	for i := range places {
		places[i] = b.place(s, h, i)
	}
	return places, nil
}

// place returns one that has been made.
func (b *Bed) place(s Subject, h *lab.Host, n int) Place { return b.places[s.kind.key(h, n)] }

func (k kind) key(h *lab.Host, n int) placeKey {
	if k.network == "" {
		n = 0
	}
	return placeKey{h, k.network, n}
}

// need makes the places that are not there yet. When it returns they are reached from the other host.
func (b *Bed) need(ctx context.Context, s Subject, h *lab.Host, numbers ...int) error {
	if s.Missing != "" {
		return fmt.Errorf("make place of %s: %s", s.Name, s.Missing)
	}
	absent := slices.DeleteFunc(numbers, func(n int) bool { return b.place(s, h, n).Host != nil })
	if len(absent) == 0 {
		return nil
	}
	far := b.place(s, b.other(h), 0)
	var mu sync.Mutex // guards b.places, which nobody else uses meanwhile
	var g errgroup.Group
	g.SetLimit(together)
	for _, n := range absent {
		key := s.kind.key(h, n)
		g.Go(func() error {
			p, err := create(ctx, key)
			if err == nil {
				err = b.awaitReach(ctx, p, far)
			}
			if err != nil {
				return errors.Join(err, p.remove(ctx))
			}
			mu.Lock()
			defer mu.Unlock()
			b.places[key] = p
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("make place of %s: %w", s.Name, err)
	}
	if b.rps == on && s.kind.network == overlay {
		return b.setRPS(ctx, on)
	}
	return nil
}

// create makes a place. On failure too it returns what is to be removed.
func create(ctx context.Context, key placeKey) (Place, error) {
	p := Place{Host: key.host, network: key.network, Addr: key.host.Addr}
	if key.network != "" {
		p.Container = fmt.Sprintf("%s-%d", key.network, key.n)
		if _, err := p.Host.RunContainer(ctx, p.Container, "--network", key.network); err != nil {
			return p, err
		}
		if err := p.inspect(ctx); err != nil {
			return p, err
		}
	}
	return p, p.findDevice()
}

// remove removes the place's container, also one that did not start, and even if ctx has ended.
func (p Place) remove(ctx context.Context) error {
	if p.Container == "" {
		return nil
	}
	return p.Host.Container(p.Container).Remove(context.WithoutCancel(ctx))
}
