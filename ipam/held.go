package ipam

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"falcon/store"
)

// held is an address in use.
type held struct {
	record[store.Address]
	address netip.Addr
}

// addresses reads a pool's addresses in use, in no particular order.
func (p *Pools) addresses(ctx context.Context, k poolKey) ([]held, error) {
	records, err := list[store.Address](ctx, p.store, k.addresses())
	if err != nil {
		return nil, err
	}
	all := make([]held, len(records))
	for i, r := range records {
		a, err := netip.ParseAddr(strings.TrimPrefix(r.key, k.addresses()))
		if err != nil {
			return nil, fmt.Errorf("read key %s: %w", r.key, store.ErrCorrupt)
		}
		all[i] = held{r, a}
	}
	return all, nil
}

func setOf(addresses []held) addressSet {
	set := make(addressSet, len(addresses))
	for _, a := range addresses {
		set[a.address] = struct{}{}
	}
	return set
}

// gatewayOf returns the oldest gateway among addresses.
func gatewayOf(addresses []held) (held, bool) {
	gateways := slices.DeleteFunc(slices.Clone(addresses), func(h held) bool { return h.value.Kind != store.KindGateway })
	if len(gateways) == 0 {
		return held{}, false
	}
	return slices.MinFunc(gateways, func(a, b held) int {
		return cmp.Or(a.value.Created.Compare(b.value.Created), a.address.Compare(b.address))
	}), true
}

// newestOf returns the address that a host took last for an endpoint, or the zero Addr: that is where it
// goes on after a restart.
func newestOf(addresses []held, host string) netip.Addr {
	var newest held
	for _, a := range addresses {
		mine := a.value.Kind == store.KindEndpoint && slices.Contains(a.value.Hosts, host)
		if mine && a.revision > newest.revision {
			newest = a
		}
	}
	return newest.address
}
