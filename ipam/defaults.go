package ipam

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"net/netip"
	"slices"
)

// ErrNoSubnet says that every default subnet overlaps something.
var ErrNoSubnet = errors.New("no default subnet is free")

// Routes tells which subnets this host reaches by other means.
type Routes interface {
	// Routes returns the destinations of the host's on-link routes and, as single addresses, its name
	// servers: Docker refuses a default subnet that overlaps one of them. Default routes may be among
	// them, they are ignored.
	Routes(ctx context.Context) ([]netip.Prefix, error)
}

// ulaTries is how many random IPv6 subnets to try: two are equal once in 2^40.
const ulaTries = 16

// defaultSubnets yields the subnets to choose from, in order of preference.
func defaultSubnets(v6 bool) iter.Seq[netip.Prefix] {
	if v6 {
		return uniqueLocal
	}
	return private
}

// private yields private subnets (RFC 1918): 10.160.0.0/20 to 10.191.240.0/20. They are none of Docker's defaults
// (172.17.0.0/12, 192.168.0.0/16; swarm: 10.0.0.0/8 from below): our subnets are no routes of the host,
// so Docker would not see that they are in use, and give docker_gwbridge the same.
func private(yield func(netip.Prefix) bool) {
	for b := 160; b <= 191; b++ {
		for c := 0; c < 256; c += 16 {
			if !yield(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(b), byte(c)}), 20)) {
				return
			}
		}
	}
}

// uniqueLocal yields the first /64 of random unique local /48 prefixes (RFC 4193, section 3.2.2).
func uniqueLocal(yield func(netip.Prefix) bool) {
	for range ulaTries {
		a := [16]byte{0xfd}
		rand.Read(a[1:6]) //nolint:errcheck // never fails, by its documentation
		if !yield(netip.PrefixFrom(netip.AddrFrom16(a), 64)) {
			return
		}
	}
}

// chooseSubnet returns the first default subnet of the family that overlaps none of the taken ones, or
// ErrNoSubnet.
func chooseSubnet(v6 bool, taken []netip.Prefix) (netip.Prefix, error) {
	for candidate := range defaultSubnets(v6) {
		if !slices.ContainsFunc(taken, candidate.Overlaps) {
			return candidate, nil
		}
	}
	return netip.Prefix{}, ErrNoSubnet
}

// isDefaultRoute tells whether a route is a default route in effect: one that says nothing about the use of
// the subnets within. These are, besides the plain ones, the two halves of IPv4 that VPNs install, and for
// IPv6 aggregates such as 2000::/3 and fc00::/7.
func isDefaultRoute(route netip.Prefix) bool {
	if route.Addr().Is4() {
		return route.Bits() <= 1
	}
	return route.Bits() <= 8
}

// hostRoutes returns the subnets that a default subnet must not overlap on this host.
func (p *Pools) hostRoutes(ctx context.Context) ([]netip.Prefix, error) {
	routes, err := p.routes.Routes(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(routes), isDefaultRoute), nil
}
