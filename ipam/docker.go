package ipam

import (
	"context"
	"net/netip"

	"github.com/docker/go-plugins-helpers/ipam"
)

// What Docker says an address is for (moby, libnetwork/ipamapi and libnetwork/netlabel).
const (
	addressTypeOption  = "RequestAddressType"
	addressTypeGateway = "com.docker.network.gateway"
)

// Parts of a request in errors, with the flags that they come from.
const (
	poolInput    = "Pool (--subnet)"
	subPoolInput = "SubPool (--ip-range)"
)

// CapabilitiesResponse is the answer to GetCapabilities. The library's own lacks the second field.
type CapabilitiesResponse struct {
	RequiresMACAddress    bool
	RequiresRequestReplay bool
}

// Driver answers the IpamDriver requests of Docker's plugin protocol.
type Driver struct {
	pools *Pools
}

// NewDriver returns a Driver over pools.
func NewDriver(pools *Pools) *Driver { return &Driver{pools} }

// GetCapabilities asks for a replay of all requests when dockerd starts, to mend what the store has lost.
func (d *Driver) GetCapabilities(context.Context) (*CapabilitiesResponse, error) {
	return &CapabilitiesResponse{RequiresRequestReplay: true}, nil
}

// GetDefaultAddressSpaces names the address spaces.
func (d *Driver) GetDefaultAddressSpaces(context.Context) (*ipam.AddressSpacesResponse, error) {
	return &ipam.AddressSpacesResponse{
		LocalDefaultAddressSpace:  LocalSpace,
		GlobalDefaultAddressSpace: GlobalSpace,
	}, nil
}

// RequestPool answers with the subnet that Docker asks for, or chooses one.
func (d *Driver) RequestPool(ctx context.Context, r *ipam.RequestPoolRequest) (*ipam.RequestPoolResponse, error) {
	id, err := d.parsePool(r)
	if err != nil {
		return nil, err
	}
	if id.Prefix.IsValid() {
		err = d.pools.RequestPool(ctx, id)
	} else {
		id, err = d.pools.RequestDefaultPool(ctx, id.Scope, r.V6)
	}
	if err != nil {
		return nil, err
	}
	return &ipam.RequestPoolResponse{PoolID: id.String(), Pool: id.Prefix.String()}, nil
}

// parsePool reads a request. Prefix stays zero where Docker leaves it open. V6 alone is no error in the
// one direction: swarm does not set it with an IPv6 subnet.
func (d *Driver) parsePool(r *ipam.RequestPoolRequest) (PoolID, error) {
	scope, err := d.pools.anonymousScope(r.AddressSpace)
	if err != nil {
		return PoolID{}, err
	}
	name, err := parseOptions(r.Options)
	if err != nil {
		return PoolID{}, err
	}
	if name != "" {
		scope = name
	}
	prefix, err := parseSubnet(r.Pool, r.V6)
	if err != nil {
		return PoolID{}, err
	}
	part, err := parseSubPool(r.SubPool, prefix)
	return PoolID{scope, prefix, part}, err
}

// parseSubnet reads Pool, which may be empty.
func parseSubnet(s string, v6 bool) (netip.Prefix, error) {
	if s == "" {
		return netip.Prefix{}, nil
	}
	prefix, err := parsePrefix(s)
	if err != nil {
		return netip.Prefix{}, &InputError{poolInput, s, "a unicast subnet in CIDR notation, such as 10.1.0.0/24", err}
	}
	if v6 && prefix.Addr().Is4() {
		return netip.Prefix{}, &InputError{poolInput, s, "an IPv6 subnet, for V6 is set", nil}
	}
	return prefix, nil
}

// parseSubPool reads SubPool, which may be empty.
func parseSubPool(s string, prefix netip.Prefix) (netip.Prefix, error) {
	if s == "" {
		return netip.Prefix{}, nil
	}
	if !prefix.IsValid() {
		return netip.Prefix{}, &InputError{subPoolInput, s, "a Pool (--subnet) that it is part of", nil}
	}
	part, err := parseRange(s, prefix)
	if err != nil {
		return netip.Prefix{}, &InputError{subPoolInput, s, "a part of " + prefix.String() + " in CIDR notation", err}
	}
	return part, nil
}

// ReleasePool gives up a subnet; see Pools.ReleasePool for when that is ignored.
func (d *Driver) ReleasePool(ctx context.Context, r *ipam.ReleasePoolRequest) error {
	id, err := ParsePoolID(r.PoolID)
	if err != nil {
		return err
	}
	return d.pools.ReleasePool(ctx, id)
}

// RequestAddress answers with an address in CIDR notation, with the length of the subnet.
func (d *Driver) RequestAddress(ctx context.Context, r *ipam.RequestAddressRequest) (*ipam.RequestAddressResponse, error) {
	id, err := ParsePoolID(r.PoolID)
	if err != nil {
		return nil, err
	}
	address, err := parseAddress(r.Address)
	if err != nil {
		return nil, err
	}
	given, err := d.pools.RequestAddress(ctx, id, address, useOf(r.Options))
	if err != nil {
		return nil, err
	}
	return &ipam.RequestAddressResponse{Address: given.String()}, nil
}

// useOf reads what Docker says of the use of an address: nothing of auxiliary ones, and of endpoints only from
// version 29 on, which sends their names, and in a swarm.
func useOf(options map[string]string) Use {
	switch {
	case options[addressTypeOption] == addressTypeGateway:
		return ForGateway
	case len(options) > 0:
		return ForEndpoint
	}
	return Unstated
}

// ReleaseAddress gives up an address; see Pools.ReleaseAddress for when that is ignored.
func (d *Driver) ReleaseAddress(ctx context.Context, r *ipam.ReleaseAddressRequest) error {
	id, err := ParsePoolID(r.PoolID)
	if err != nil {
		return err
	}
	address, err := parseAddress(r.Address)
	if err != nil {
		return err
	}
	if !address.IsValid() {
		return &InputError{"Address", r.Address, "an IP address", nil}
	}
	return d.pools.ReleaseAddress(ctx, id, address)
}
