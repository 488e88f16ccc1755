package driver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"time"

	network "github.com/docker/go-plugins-helpers/network"

	"falcon/datapath"
	"falcon/store"
)

const (
	// containerPrefix is how Docker names the interface inside the container, with a number behind it.
	containerPrefix = "eth"
	// rollbackTimeout is for undoing what a failed request did, when the request's own time may be up.
	rollbackTimeout = 5 * time.Second
	// routeConnected is Docker's number for a route without a next hop (moby, libnetwork/types: CONNECTED).
	routeConnected = 1
)

// endpointIDs is what Docker's look like; device names are made of their first digits.
var endpointIDs = regexp.MustCompile(`^[0-9a-f]{12,64}$`)

// CreateEndpoint claims the endpoint's addresses and MAC in the network and makes its veth pair. The answer holds
// only what the request left open: Docker refuses to be told twice.
func (d *Driver) CreateEndpoint(ctx context.Context, req *network.CreateEndpointRequest) (*network.CreateEndpointResponse, error) {
	m, n, err := d.lookupNetwork(ctx, req.NetworkID)
	if err != nil {
		return nil, err
	}
	e, err := parseEndpoint(req, n)
	if err != nil {
		return nil, err
	}
	if err := d.checkReserved(ctx, e); err != nil {
		return nil, err
	}
	e.Host, e.Created = d.host, time.Now().UTC()
	e, err = d.claimEndpoint(ctx, m, e)
	if err != nil {
		return nil, err
	}
	if err := d.reconciler.endpoint(ctx, n.Name, e.ID); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("create endpoint %s: %w", short(e.ID), err), d.dropEndpoint(undo, e))
	}
	response := &network.CreateEndpointResponse{Interface: &network.EndpointInterface{}}
	if req.Interface == nil || req.Interface.MacAddress == "" {
		response.Interface.MacAddress = e.MAC
	}
	return response, nil
}

// lookupNetwork finds what a Docker network of this host stands for.
func (d *Driver) lookupNetwork(ctx context.Context, dockerID string) (store.Member, store.Network, error) {
	if err := d.checkReady(ctx); err != nil {
		return store.Member{}, store.Network{}, err
	}
	m, ok := d.view.member(d.host, dockerID)
	if !ok {
		return store.Member{}, store.Network{}, fmt.Errorf("network %q: %w: if Docker has it, falcon's state was lost; remove the network and create it again",
			short(dockerID), ErrUnknownNetwork)
	}
	n, ok := d.view.network(m.Network)
	if !ok {
		return m, n, fmt.Errorf("network %q: its record %s is missing or cannot be read", short(dockerID), store.NetworkKey(m.Network))
	}
	return m, n, nil
}

func (d *Driver) lookupEndpoint(ctx context.Context, dockerID, id string) (store.Endpoint, store.Network, error) {
	_, n, err := d.lookupNetwork(ctx, dockerID)
	if err != nil {
		return store.Endpoint{}, n, err
	}
	e, ok := d.view.endpoint(n.Name, id)
	if !ok || e.Host != d.host {
		return e, n, fmt.Errorf("endpoint %q of network %s: %w", short(id), n.Name, ErrUnknownEndpoint)
	}
	return e, n, nil
}

// parseEndpoint turns what Docker sends into a record. The MAC stays empty if none was given.
func parseEndpoint(req *network.CreateEndpointRequest, n store.Network) (store.Endpoint, error) {
	e := store.Endpoint{ID: req.EndpointID, Network: n.Name}
	if !endpointIDs.MatchString(req.EndpointID) {
		return e, fmt.Errorf("endpoint ID %q: must be at least 12 hexadecimal digits, as Docker's are", req.EndpointID)
	}
	if req.Interface == nil {
		return e, nil
	}
	for _, a := range []string{req.Interface.Address, req.Interface.AddressIPv6} {
		if a == "" {
			continue
		}
		address, err := parseAddress(a, n)
		if err != nil {
			return e, err
		}
		e.Addresses = append(e.Addresses, address)
	}
	if req.Interface.MacAddress != "" {
		mac, err := datapath.ParseMAC(req.Interface.MacAddress)
		if err != nil {
			return e, err
		}
		e.MAC = mac.String()
	}
	return e, nil
}

// parseAddress checks an endpoint's address against the subnets of its network.
func parseAddress(s string, n store.Network) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("address %q: must be in CIDR notation, such as 10.1.0.2/24", s)
	}
	at := slices.IndexFunc(n.Subnets, func(subnet netip.Prefix) bool { return subnet.Contains(p.Addr()) })
	if at < 0 {
		return p, fmt.Errorf("address %s: must be in one of the subnets %v of network %s", p.Addr(), n.Subnets, n.Name)
	}
	subnet := n.Subnets[at]
	if p.Addr().Is4() && subnet.Bits() < 31 && (p.Addr() == subnet.Addr() || p.Addr() == lastOf(subnet)) {
		return p, fmt.Errorf("address %s: is the network or broadcast address of subnet %s; give another", p.Addr(), subnet)
	}
	return netip.PrefixFrom(p.Addr(), subnet.Bits()), nil
}

// lastOf returns the highest address of an IPv4 subnet: the broadcast address.
func lastOf(subnet netip.Prefix) netip.Addr {
	a := subnet.Masked().Addr().As4()
	for bit := subnet.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a)
}

// checkReserved refuses addresses that the user reserved. The IPAM driver cannot: an --ip looks to it like
// Docker's repeated request for an --aux-address.
func (d *Driver) checkReserved(ctx context.Context, e store.Endpoint) error {
	for _, a := range e.Addresses {
		kind, err := d.cfg.Pools.KindOf(ctx, e.Network, a)
		if err != nil {
			return err
		}
		if kind == store.KindAuxiliary || kind == store.KindGateway {
			return fmt.Errorf("address %s is %w: it is reserved as %s address of network %s; give another", a.Addr(), ErrTaken, kind, e.Network)
		}
	}
	return nil
}

// Join notes the container's namespace and tells Docker which device to move there. There is no gateway: Docker
// then gives the container its own way out through docker_gwbridge, unless the network is internal.
func (d *Driver) Join(ctx context.Context, req *network.JoinRequest) (*network.JoinResponse, error) {
	e, n, err := d.lookupEndpoint(ctx, req.NetworkID, req.EndpointID)
	if err != nil {
		return nil, err
	}
	if req.SandboxKey == "" {
		return nil, fmt.Errorf("join endpoint %s: no sandbox key", short(e.ID))
	}
	if e.Sandbox != "" && e.Sandbox != req.SandboxKey && !d.cfg.Datapath.SandboxGone(e.Sandbox) {
		return nil, fmt.Errorf("join endpoint %s: %w: it has joined sandbox %s already", short(e.ID), ErrInUse, e.Sandbox)
	}
	if err := d.setSandbox(ctx, e, req.SandboxKey); err != nil {
		return nil, fmt.Errorf("join endpoint %s: %w", short(e.ID), err)
	}
	response := &network.JoinResponse{
		InterfaceName:         network.InterfaceName{SrcName: datapath.ContainerDevice(e.ID), DstPrefix: containerPrefix},
		DisableGatewayService: n.Internal,
	}
	for _, subnet := range otherSubnets(n, e.Addresses) {
		response.StaticRoutes = append(response.StaticRoutes,
			&network.StaticRoute{Destination: subnet.String(), RouteType: routeConnected})
	}
	return response, nil
}

// setSandbox writes the namespace of an endpoint's container; empty when it has left.
func (d *Driver) setSandbox(ctx context.Context, e store.Endpoint, sandbox string) error {
	if e.Sandbox == sandbox {
		return nil
	}
	e.Sandbox = sandbox
	key := store.EndpointKey(e.Network, e.ID)
	return d.commit(ctx, []store.Condition{{Key: key, Revision: store.Present}}, store.Write{Key: key, Value: store.Encode(e)})
}

// Leave notes that the container is gone. The devices stay until DeleteEndpoint.
func (d *Driver) Leave(ctx context.Context, req *network.LeaveRequest) error {
	e, _, err := d.lookupEndpoint(ctx, req.NetworkID, req.EndpointID)
	if err != nil {
		return err
	}
	if err := d.setSandbox(ctx, e, ""); err != nil {
		return fmt.Errorf("leave endpoint %s: %w", short(e.ID), err)
	}
	return nil
}

// DeleteEndpoint removes an endpoint, its claims and its devices. One that is not known is no error: the deletion
// may be a repeated one.
func (d *Driver) DeleteEndpoint(ctx context.Context, req *network.DeleteEndpointRequest) error {
	if req.EndpointID == "" {
		return errors.New("delete endpoint: no endpoint ID")
	}
	e, _, err := d.lookupEndpoint(ctx, req.NetworkID, req.EndpointID)
	if errors.Is(err, ErrUnknownEndpoint) || errors.Is(err, ErrUnknownNetwork) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.dropEndpoint(ctx, e)
}

// dropEndpoint takes an endpoint out of the store, and then out of the kernel.
func (d *Driver) dropEndpoint(ctx context.Context, e store.Endpoint) error {
	writes := []store.Write{{Key: store.EndpointKey(e.Network, e.ID)}}
	for _, key := range claimKeys(e) {
		writes = append(writes, store.Write{Key: key})
	}
	err := d.commit(ctx, []store.Condition{{Key: writes[0].Key, Revision: store.Present}}, writes...)
	if err != nil && !errors.Is(err, store.ErrConflict) { // a conflict: it is deleted already
		return fmt.Errorf("delete endpoint %s: %w", short(e.ID), err)
	}
	return d.reconciler.endpoint(ctx, e.Network, e.ID)
}

// EndpointInfo answers `EndpointOperInfo`: what `docker network inspect -v` shows.
func (d *Driver) EndpointInfo(ctx context.Context, req *network.InfoRequest) (*network.InfoResponse, error) {
	e, n, err := d.lookupEndpoint(ctx, req.NetworkID, req.EndpointID)
	if err != nil {
		return nil, err
	}
	return &network.InfoResponse{Value: map[string]string{
		"falcon.network": n.Name,
		"falcon.vni":     strconv.FormatUint(uint64(n.VNI), 10),
		"falcon.mac":     e.MAC,
	}}, nil
}
