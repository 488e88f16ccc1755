package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"falcon/store"
)

// ErrOverlap says that a subnet overlaps another one where it must not.
var ErrOverlap = errors.New("subnets overlap")

// RequestPool makes this host a user of the subnet id.Prefix in id.Scope, creating the pool if need be. Its
// error matches ErrOverlap when the scope has another subnet that overlaps.
func (p *Pools) RequestPool(ctx context.Context, id PoolID) error {
	err := settle(ctx, func() error {
		v, err := p.view(ctx, id.Scope)
		if err != nil {
			return err
		}
		if pool := v.find(id.key()); pool.exists() {
			return p.join(ctx, pool)
		}
		return p.create(ctx, id.key(), v.pools, v.guard)
	})
	if err != nil {
		return fmt.Errorf("request subnet %s in scope %s: %w", id.Prefix, id.Scope, err)
	}
	p.hints.requested(id.key(), p.now())
	return nil
}

// create adds a pool to a scope with these pools, if the guards are as seen.
func (p *Pools) create(ctx context.Context, k poolKey, scope []record[store.Pool], guards ...record[touched]) error {
	for _, other := range scope {
		if other.value.Prefix.Overlaps(k.prefix) {
			return overlapError(k, other.value.Prefix)
		}
	}
	pool := record[store.Pool]{key: k.pool()}
	changes := []change{pool.replace(store.Pool{
		Scope: k.scope, Prefix: k.prefix, Hosts: []string{p.host}, Created: p.stamp(),
	})}
	for _, guard := range guards {
		changes = append(changes, guard.replace(touched{p.host}))
	}
	return p.commit(ctx, changes)
}

func overlapError(k poolKey, other netip.Prefix) error {
	return fmt.Errorf("%w: %s and %s, which is there already; give another --subnet, or a scope of its own: "+
		"-o %s=NAME --ipam-opt %s=NAME", ErrOverlap, k.prefix, other, OptionNetwork, OptionNetwork)
}

// join adds this host to the users of a pool.
func (p *Pools) join(ctx context.Context, pool record[store.Pool]) error {
	if slices.Contains(pool.value.Hosts, p.host) {
		return nil
	}
	next := pool.value
	next.Hosts = with(next.Hosts, p.host)
	return p.commit(ctx, []change{pool.replace(next)})
}

// ReleasePool ends this host's use of a pool, with the addresses that it holds there. The last host deletes
// the pool. It does nothing while a falcon network of this host is on the pool: Docker releases pools also
// when the creation of a second network or a replay fails, and before it deletes a network; Unbind is what
// ends the use then.
func (p *Pools) ReleasePool(ctx context.Context, id PoolID) error {
	_, err := p.leave(ctx, id.key(), func(pool store.Pool) bool {
		bound := slices.Contains(pool.Bound, p.host)
		if bound {
			p.log.WithFields(id.key().logFields()).WithField("network", pool.Network).
				Debug("kept a subnet that Docker released: its network is in use")
		}
		return !bound
	})
	if err != nil {
		return fmt.Errorf("release subnet %s in scope %s: %w", id.Prefix, id.Scope, err)
	}
	return nil
}

// leave ends this host's use of a pool, bound or not, if it is a user and may returns true of the pool; it
// tells whether it did. Addresses go first: what is interrupted can be repeated.
func (p *Pools) leave(ctx context.Context, k poolKey, may func(store.Pool) bool) (left bool, err error) {
	err = settle(ctx, func() error {
		v, err := p.view(ctx, k.scope)
		if err != nil {
			return err
		}
		pool := v.find(k)
		if left = slices.Contains(pool.value.Hosts, p.host) && may(pool.value); !left {
			return nil
		}
		return p.dissolve(ctx, v, pool)
	})
	return left && err == nil, err
}

// dissolve removes this host from a pool of the scope and all its addresses, in several commits if they are many.
func (p *Pools) dissolve(ctx context.Context, v scopeView, pool record[store.Pool]) error {
	k := keyOf(pool.value)
	p.hints.forget(k)
	addresses, err := p.addresses(ctx, k)
	if err != nil {
		return err
	}
	const batch = maxWrites - 2 // leaves room for the pool and its scope in the last one
	drops := p.dropAddresses(pool.value, addresses)
	for ; len(drops) > batch; drops = drops[batch:] {
		if err := p.commit(ctx, drops[:batch], pool.same()); err != nil {
			return err
		}
	}
	return p.commit(ctx, append(drops, p.dropPool(v, pool)...))
}

// dropAddresses are the changes that end this host's hold on a pool's addresses. With the last host go all
// of them: nobody else can hold one.
func (p *Pools) dropAddresses(pool store.Pool, addresses []held) []change {
	last := len(without(pool.Hosts, p.host)) == 0
	var changes []change
	for _, a := range addresses {
		switch {
		case last:
			changes = append(changes, a.remove())
		case slices.Contains(a.value.Hosts, p.host):
			changes = append(changes, p.drop(a.record))
		}
	}
	return changes
}

// dropPool are the changes that end this host's use of a pool of a scope.
func (p *Pools) dropPool(v scopeView, pool record[store.Pool]) []change {
	next := pool.value
	next.Hosts, next.Bound = without(next.Hosts, p.host), without(next.Bound, p.host)
	if len(next.Bound) == 0 {
		next.Network = ""
	}
	switch {
	case len(next.Hosts) > 0:
		return []change{pool.replace(next)}
	case len(v.pools) > 1:
		return []change{pool.remove(), v.guard.replace(touched{p.host})}
	default:
		return []change{pool.remove(), v.guard.remove()}
	}
}
