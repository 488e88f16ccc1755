package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"falcon/store"
)

// Collect releases the addresses that this host took for endpoints of a network which never came to be, or
// ended without a word: those that no endpoint claims, olderThan or more after they were granted. It returns how
// many. A swarm's addresses are its managers' to release.
func (p *Pools) Collect(ctx context.Context, network string, olderThan time.Duration, now time.Time) (int, error) {
	claimed, err := p.claims(ctx, network)
	if err != nil {
		return 0, fmt.Errorf("collect addresses of network %s: %w", network, err)
	}
	pools, err := p.boundTo(ctx, network)
	released := 0
	for _, pool := range pools {
		if pool.value.Scope == globalScope {
			continue
		}
		n, e := p.collect(ctx, pool, func(a held) bool {
			return !claimed[store.AddressClaimKey(network, a.address)] && now.Sub(a.value.Created) >= olderThan
		})
		released += n
		err = errors.Join(err, e)
	}
	if err != nil {
		return released, fmt.Errorf("collect addresses of network %s: %w", network, err)
	}
	return released, nil
}

// claims returns the keys of a network's claims.
func (p *Pools) claims(ctx context.Context, network string) (map[string]bool, error) {
	records, _, err := p.store.List(ctx, store.ClaimsPrefix+network+"/")
	keys := make(map[string]bool, len(records))
	for _, r := range records {
		keys[r.Key] = true
	}
	return keys, err
}

// collect releases the addresses of a pool that this host took for endpoints and that are leaked. One that
// changes in the meantime is not.
func (p *Pools) collect(ctx context.Context, pool record[store.Pool], leaked func(held) bool) (int, error) {
	k := keyOf(pool.value)
	addresses, err := p.addresses(ctx, k)
	released := 0
	for _, a := range addresses {
		mine := a.value.Kind == store.KindEndpoint && slices.Contains(a.value.Hosts, p.host)
		if !mine || !leaked(a) {
			continue
		}
		done, e := p.release(ctx, pool, k, a)
		if errors.Is(e, store.ErrConflict) {
			continue
		}
		err = errors.Join(err, e)
		if done {
			p.log.WithFields(k.logFields()).WithField("address", a.address).Info("released an address that was leaked")
			released++
		}
	}
	return released, err
}

// CollectPools ends this host's use of pools that no network needs: those that no falcon network of it is on,
// olderThan or more after Docker requested them last, for which inUse returns false. named is the pool's
// scope, or "" if it has no name. It returns how many. A swarm's pools are its managers' to release.
//
// When Docker requested a pool is known since this process started; what is older counts from then.
func (p *Pools) CollectPools(
	ctx context.Context, inUse func(prefix netip.Prefix, named string) bool, olderThan time.Duration, now time.Time,
) (int, error) {
	unneeded := func(pool store.Pool) bool {
		return slices.Contains(pool.Hosts, p.host) && !slices.Contains(pool.Bound, p.host) &&
			pool.Scope != globalScope && now.Sub(p.lastUse(pool)) >= olderThan
	}
	pools, err := list[store.Pool](ctx, p.store, store.PoolsPrefix)
	released := 0
	for _, pool := range pools {
		if !unneeded(pool.value) || inUse(pool.value.Prefix, nameOf(pool.value.Scope)) {
			continue
		}
		left, e := p.leave(ctx, keyOf(pool.value), unneeded)
		if left {
			p.log.WithFields(keyOf(pool.value).logFields()).Info("released a subnet that no network uses")
			released++
		}
		err = errors.Join(err, e)
	}
	if err != nil {
		return released, fmt.Errorf("collect subnets: %w", err)
	}
	return released, nil
}

// lastUse returns when Docker requested a pool last, at the latest.
func (p *Pools) lastUse(pool store.Pool) time.Time {
	last := p.hints.lastRequested(keyOf(pool))
	for _, t := range []time.Time{p.started, pool.Created} {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// nameOf returns the name of a scope, or "" if it has none.
func nameOf(scope string) string {
	if isNamed(scope) {
		return scope
	}
	return ""
}
