package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"falcon/store"
)

// ErrNoPool says that this host requested no pool for a subnet.
var ErrNoPool = errors.New("no such pool")

// Bind notes that this host's falcon network is on the pools of these subnets, which Docker requested in
// addressSpace. From then on, until Unbind, releases of what the network needs are ignored, and the network's
// claims tell which addresses are in use. All subnets are bound or, on an error, none. It may be repeated.
//
// A subnet's pool is that of the scope with the network's name, or else one without a name. An error matches
// ErrNoPool if this host uses neither, ErrOverlap if another network is on it, and ErrInput for a foreign
// address space (see IsOurs).
func (p *Pools) Bind(ctx context.Context, addressSpace, network string, subnets ...netip.Prefix) error {
	anonymous, err := p.anonymousScope(addressSpace)
	if err != nil {
		return err
	}
	subnets = distinct(subnets)
	err = settle(ctx, func() error {
		var changes []change
		for _, subnet := range subnets {
			pool, err := p.poolOf(ctx, subnet, network, anonymous)
			if err == nil {
				err = bindable(pool.value, network)
			}
			if err != nil {
				return err
			}
			changes = append(changes, p.bind(pool, network))
			p.hints.accepted(keyOf(pool.value))
		}
		if len(changes) == 0 {
			return nil
		}
		return p.commit(ctx, changes)
	})
	if err != nil {
		return fmt.Errorf("bind network %s to its subnets: %w", network, err)
	}
	return nil
}

// distinct returns the subnets without host bits, each once.
func distinct(subnets []netip.Prefix) []netip.Prefix {
	masked := make([]netip.Prefix, len(subnets))
	for i, subnet := range subnets {
		masked[i] = subnet.Masked()
	}
	slices.SortFunc(masked, netip.Prefix.Compare)
	return slices.Compact(masked)
}

// poolOf returns the pool of a subnet that this host uses in the first of the scopes that has one.
func (p *Pools) poolOf(ctx context.Context, subnet netip.Prefix, scopes ...string) (record[store.Pool], error) {
	for _, scope := range scopes {
		pool, err := get[store.Pool](ctx, p.store, store.PoolKey(scope, subnet))
		if err != nil || slices.Contains(pool.value.Hosts, p.host) {
			return pool, err
		}
	}
	return record[store.Pool]{}, fmt.Errorf("%w: this host did not request %s in a scope of %q; for a named network "+
		"give the name twice, -o %s=NAME --ipam-opt %s=NAME", ErrNoPool, subnet, scopes, OptionNetwork, OptionNetwork)
}

// bindable returns an error matching ErrOverlap if another network is on the pool.
func bindable(pool store.Pool, network string) error {
	if len(pool.Bound) == 0 || pool.Network == network {
		return nil
	}
	return fmt.Errorf("%w: %s is the subnet of network %s already; give another --subnet, or a scope of its own: "+
		"-o %s=NAME --ipam-opt %s=NAME", ErrOverlap, pool.Prefix, pool.Network, OptionNetwork, OptionNetwork)
}

// bind is the change of a pool that puts the network of this host on it.
func (p *Pools) bind(pool record[store.Pool], network string) change {
	next := pool.value
	next.Network, next.Bound = network, with(next.Bound, p.host)
	return pool.replace(next)
}

// Unbind ends this host's use of all pools that the network is on, with all addresses that it holds there.
// Docker does not ask for it again: it releases addresses and pools before it deletes a network, while
// ReleaseAddress and ReleasePool have to ignore it (moby, libnetwork/network.go, 20.10 to 29). It may
// be repeated, and before or after Docker's releases.
func (p *Pools) Unbind(ctx context.Context, network string) error {
	pools, err := p.boundTo(ctx, network)
	for _, pool := range pools {
		_, e := p.leave(ctx, keyOf(pool.value), func(now store.Pool) bool { return now.Network == network })
		err = errors.Join(err, e)
	}
	if err != nil {
		return fmt.Errorf("release subnets of network %s: %w", network, err)
	}
	return nil
}

// boundTo returns the pools that this host's network of that name is on.
func (p *Pools) boundTo(ctx context.Context, network string) ([]record[store.Pool], error) {
	all, err := list[store.Pool](ctx, p.store, store.PoolsPrefix)
	return slices.DeleteFunc(all, func(r record[store.Pool]) bool {
		return r.value.Network != network || !slices.Contains(r.value.Bound, p.host)
	}), err
}

// KindOf tells as what an address of a subnet that the network is on is held: one of store's kinds of Address,
// or "" if it is free, or the subnet not from here. CreateEndpoint asks it in order to refuse an
// auxiliary address, which RequestAddress grants: it cannot tell an endpoint's --ip from a replay of
// --aux-address.
func (p *Pools) KindOf(ctx context.Context, network string, address netip.Prefix) (string, error) {
	pool, err := p.poolOf(ctx, address.Masked(), network, anonymousMark+p.host, globalScope)
	if errors.Is(err, ErrNoPool) || err == nil && pool.value.Network != network {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look up address %s: %w", address, err)
	}
	have, err := get[store.Address](ctx, p.store, keyOf(pool.value).address(address.Addr()))
	if err != nil {
		return "", fmt.Errorf("look up address %s: %w", address, err)
	}
	return have.value.Kind, nil
}
