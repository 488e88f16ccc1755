package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"falcon/store"
)

// RequestAddress takes an address of a pool for this host: the given one or, if that is the zero Addr, for a
// gateway the one that the pool has already, else the first free one of the subnet, and for others the next
// free one of the range. The result has the length of the subnet. A pool that the store has lost is
// created again.
//
// Errors match ErrInput (not a host address of the subnet), ErrTaken or ErrExhausted.
func (p *Pools) RequestAddress(ctx context.Context, id PoolID, address netip.Addr, use Use) (netip.Prefix, error) {
	if err := checkAddress(address, id.Prefix); err != nil && address.IsValid() {
		return netip.Prefix{}, err
	}
	given := address
	err := settle(ctx, func() error {
		pool, err := p.member(ctx, id)
		switch {
		case err != nil:
		case address.IsValid():
			err = p.holdGiven(ctx, pool, address, use)
		case use == ForGateway:
			given, err = p.holdGateway(ctx, pool)
		default:
			given, err = p.holdNext(ctx, pool, id)
		}
		return err
	})
	if err != nil {
		return netip.Prefix{}, requestError(id, address, err)
	}
	p.hints.accepted(id.key())
	return netip.PrefixFrom(given, id.Prefix.Bits()), nil
}

func requestError(id PoolID, address netip.Addr, err error) error {
	if address.IsValid() {
		return fmt.Errorf("request address %s of subnet %s in scope %s: %w", address, id.Prefix, id.Scope, err)
	}
	return fmt.Errorf("request an address of subnet %s in scope %s: %w", id.Prefix, id.Scope, err)
}

// member returns the pool with this host among its users.
func (p *Pools) member(ctx context.Context, id PoolID) (record[store.Pool], error) {
	pool, err := get[store.Pool](ctx, p.store, id.key().pool())
	if err != nil || slices.Contains(pool.value.Hosts, p.host) {
		return pool, err
	}
	p.log.WithFields(id.key().logFields()).Warn("took up a subnet again that Docker uses and the store does not know of")
	if err := p.RequestPool(ctx, id); err != nil {
		return pool, err
	}
	pool, err = get[store.Pool](ctx, p.store, pool.key)
	if err == nil && !slices.Contains(pool.value.Hosts, p.host) {
		err = &store.ConflictError{Key: pool.key}
	}
	return pool, err
}

// holdGiven takes a given address of the pool.
func (p *Pools) holdGiven(ctx context.Context, pool record[store.Pool], a netip.Addr, use Use) error {
	have, err := get[store.Address](ctx, p.store, keyOf(pool.value).address(a))
	if err != nil {
		return err
	}
	return p.hold(ctx, pool, held{have, a}, use)
}

// hold takes an address of the pool, if the address and the pool are as they were seen.
func (p *Pools) hold(ctx context.Context, pool record[store.Pool], have held, use Use) error {
	k := keyOf(pool.value)
	next, changed, err := grant(have.record, asking{
		host: p.host, use: use, at: p.stamp(),
		bound: slices.Contains(pool.value.Bound, p.host),
		swarm: k.scope == globalScope,
	})
	if err == nil && changed {
		err = p.commit(ctx, []change{have.replace(next)}, pool.same())
	}
	if err == nil {
		p.hints.set(k, have.address, true)
	}
	return err
}

// holdGateway takes the gateway that the pool has, the oldest of several, or else the first free address. The
// range does not matter: hosts with different ones share the gateway.
func (p *Pools) holdGateway(ctx context.Context, pool record[store.Pool]) (netip.Addr, error) {
	k := keyOf(pool.value)
	addresses, err := p.addresses(ctx, k)
	if err != nil {
		return netip.Addr{}, err
	}
	gateway, ok := gatewayOf(addresses)
	if !ok {
		all, _ := hosts(k.prefix, k.prefix)
		a, err := nextFree(all, setOf(addresses), netip.Addr{})
		if err != nil {
			return netip.Addr{}, err
		}
		gateway = held{record[store.Address]{key: k.address(a)}, a}
	}
	return gateway.address, p.hold(ctx, pool, gateway, ForGateway)
}

// holdNext takes the next free address of the range.
func (p *Pools) holdNext(ctx context.Context, pool record[store.Pool], id PoolID) (netip.Addr, error) {
	a, err := p.pick(ctx, id)
	if err != nil {
		return netip.Addr{}, err
	}
	err = p.hold(ctx, pool, held{record[store.Address]{key: id.key().address(a)}, a}, ForEndpoint)
	p.hints.outcome(id.key(), a, err)
	return a, err
}

// pick chooses an address that seems free. That none is free it believes only of a fresh list.
func (p *Pools) pick(ctx context.Context, id PoolID) (netip.Addr, error) {
	b, ok := id.block()
	if !ok {
		return netip.Addr{}, ErrExhausted
	}
	for fresh := false; ; fresh = true {
		a, err := p.hints.take(id.key(), b)
		if err == nil || fresh && errors.Is(err, ErrExhausted) {
			return a, err
		}
		addresses, err := p.addresses(ctx, id.key())
		if err != nil {
			return netip.Addr{}, err
		}
		p.hints.list(id.key(), setOf(addresses), newestOf(addresses, p.host))
	}
}

// ReleaseAddress ends this host's hold on an address, which is free when no holder is left. What is not held
// is no error. It does nothing while the address is needed: when a live endpoint claims it, or as a gateway
// or auxiliary address while this host's falcon network is on the pool (see ReleasePool). Its error
// matches ErrInput if the address is not a host address of the subnet.
func (p *Pools) ReleaseAddress(ctx context.Context, id PoolID, address netip.Addr) error {
	if err := checkAddress(address, id.Prefix); err != nil {
		return err
	}
	err := settle(ctx, func() error {
		pool, err := get[store.Pool](ctx, p.store, id.key().pool())
		if err != nil {
			return err
		}
		have, err := get[store.Address](ctx, p.store, id.key().address(address))
		if err != nil || !slices.Contains(have.value.Hosts, p.host) {
			return err
		}
		_, err = p.release(ctx, pool, id.key(), held{have, address})
		return err
	})
	if err != nil {
		return fmt.Errorf("release address %s of subnet %s in scope %s: %w", address, id.Prefix, id.Scope, err)
	}
	return nil
}

// release ends this host's hold on an address of the pool unless it is needed, and tells whether it did.
func (p *Pools) release(ctx context.Context, pool record[store.Pool], k poolKey, have held) (bool, error) {
	needed, condition, err := p.needed(ctx, pool.value, have)
	if err != nil {
		return false, err
	}
	if needed {
		p.log.WithFields(k.logFields()).WithField("address", have.address).
			Debug("kept an address that Docker released: it is in use")
		return false, nil
	}
	drop := p.drop(have.record)
	if err := p.commit(ctx, []change{drop}, append(condition, pool.same())...); err != nil {
		return false, err
	}
	p.hints.set(k, have.address, drop.write.Value != nil)
	return true, nil
}

// needed tells whether an address that this host holds is needed, and the conditions of the answer no.
func (p *Pools) needed(ctx context.Context, pool store.Pool, have held) (bool, []store.Condition, error) {
	if have.value.Kind != store.KindEndpoint {
		return slices.Contains(pool.Bound, p.host), nil, nil
	}
	if pool.Network == "" {
		return false, nil, nil
	}
	claim, err := get[store.Claim](ctx, p.store, store.AddressClaimKey(pool.Network, have.address))
	if err != nil {
		return false, nil, err
	}
	lastHolder := len(have.value.Hosts) == 1
	return claim.exists() && (lastHolder || claim.value.Host == p.host), []store.Condition{claim.same()}, nil
}

// drop is the change that ends this host's hold on an address.
func (p *Pools) drop(have record[store.Address]) change {
	next := have.value
	if next.Hosts = without(next.Hosts, p.host); len(next.Hosts) == 0 {
		return have.remove()
	}
	return have.replace(next)
}
