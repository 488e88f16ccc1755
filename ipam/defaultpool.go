package ipam

import (
	"context"
	"fmt"
	"net/netip"

	"falcon/store"
)

// maxOffers is how often to answer with the same default subnet while nothing comes of it.
const maxOffers = 5

// RequestDefaultPool makes this host a user of a subnet that the caller leaves open: in a named scope that
// has subnets of the family, the oldest of them, so that hosts join one another; otherwise a new one that
// overlaps no route of this host and no pool that may be in use on the same host. Its error matches
// ErrNoSubnet when all defaults are taken, and ErrOverlap when the subnet to join overlaps a route.
func (p *Pools) RequestDefaultPool(ctx context.Context, scope string, v6 bool) (PoolID, error) {
	id := PoolID{Scope: scope}
	err := settle(ctx, func() (err error) {
		id.Prefix, err = p.requestDefault(ctx, scope, v6)
		return err
	})
	if err == nil {
		err = p.offer(id)
	}
	if err != nil {
		return PoolID{}, fmt.Errorf("request default subnet in scope %s: %w", scope, err)
	}
	return id, nil
}

func (p *Pools) requestDefault(ctx context.Context, scope string, v6 bool) (netip.Prefix, error) {
	taken, err := p.hostRoutes(ctx)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("read routes: %w", err)
	}
	every, err := get[touched](ctx, p.store, store.ScopeKey(everyScope))
	if err != nil {
		return netip.Prefix{}, err
	}
	v, err := p.view(ctx, scope)
	if err != nil {
		return netip.Prefix{}, err
	}
	if pool, ok := v.oldest(v6); ok && isNamed(scope) {
		return pool.value.Prefix, p.joinDefault(ctx, pool, taken)
	}
	return p.createDefault(ctx, v, every, v6, taken)
}

// joinDefault joins a pool unless it overlaps a route: Docker would refuse it and ask again, for ever.
func (p *Pools) joinDefault(ctx context.Context, pool record[store.Pool], routes []netip.Prefix) error {
	for _, route := range routes {
		if route.Overlaps(pool.value.Prefix) {
			return refusedError(pool.value.Prefix, "route "+route.String())
		}
	}
	return p.join(ctx, pool)
}

func refusedError(prefix netip.Prefix, what string) error {
	return fmt.Errorf("%w: %s, which the other hosts use, and %s of this host; use it nevertheless with --subnet %s, "+
		"or recreate the network with another one", ErrOverlap, prefix, what, prefix)
}

// createDefault chooses a subnet and creates its pool. Being guarded by the key of every scope, two choices
// never see the same pools.
func (p *Pools) createDefault(
	ctx context.Context, v scopeView, every record[touched], v6 bool, taken []netip.Prefix,
) (netip.Prefix, error) {
	all, err := list[store.Pool](ctx, p.store, store.PoolsPrefix)
	if err != nil {
		return netip.Prefix{}, err
	}
	for _, pool := range all {
		if mayMeet(v.name, pool.value.Scope) {
			taken = append(taken, pool.value.Prefix)
		}
	}
	prefix, err := chooseSubnet(v6, taken)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%w: all overlap a route of this host or another pool; give a --subnet", err)
	}
	return prefix, p.create(ctx, poolKey{v.name, prefix}, v.pools, v.guard, every)
}

// mayMeet tells whether pools of two scopes can be in use on the same host: not if each is of another host. The
// defaults would not last long otherwise.
func mayMeet(a, b string) bool { return a == b || isShared(a) || isShared(b) }

// offer ends a loop of Docker's, which asks again for as long as the answer overlaps a route or a name
// server that it sees and we do not (moby, libnetwork/ipams/remote): nothing else comes between.
func (p *Pools) offer(id PoolID) error {
	if isNamed(id.Scope) && p.hints.offered(id.key()) > maxOffers {
		p.hints.accepted(id.key())
		return refusedError(id.Prefix, "a route or name server")
	}
	p.hints.requested(id.key(), p.now())
	return nil
}
