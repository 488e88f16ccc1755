package datapath

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// tables is what a network's devices forward by.
type tables struct {
	ports  map[MAC]int        // bridge: port behind which a MAC is
	vteps  map[vtep]struct{}  // VXLAN device: hosts behind which a MAC is
	neighs map[netip.Addr]MAC // bridge device: what it answers ARP and neighbour solicitations from
}

// devices are a network's two.
type devices struct{ bridge, vxlan int }

func (d *Datapath) devices(ctx context.Context, n Network) (devices, error) {
	br, err := d.ownBridge(ctx, n.VNI)
	if err != nil {
		return devices{}, err
	}
	vx, err := d.own(ctx, vxlanName(n.VNI), n.VNI)
	if err != nil {
		return devices{}, err
	}
	return devices{br.index, vx.index}, nil
}

// SyncForwarding makes what the network's devices forward equal to f: what was lost comes back, what is stale
// goes. A local endpoint whose device is not there (EnsureEndpoint) is left out until it is. With it a pass over a network ends:
// what its steering was turned to takes effect.
func (d *Datapath) SyncForwarding(ctx context.Context, n Network, f Forwarding) (Change, error) {
	defer d.settleSteering(ctx, n)
	dev, err := d.devices(ctx, n)
	if err != nil {
		return Change{}, err
	}
	ports, err := d.endpointPorts(ctx, dev.bridge)
	if err != nil {
		return Change{}, err
	}
	want := wantTables(f, dev, ports)
	have, err := d.haveTables(ctx, dev)
	if err != nil {
		return Change{}, err
	}
	c, err := d.apply(ctx, dev, have, want)
	d.syncShortcut(ctx, n, f, ports)
	return c, err
}

// apply works from the far end to the near: once the bridge answers for an address, its frames find their way.
func (d *Datapath) apply(ctx context.Context, dev devices, have, want tables) (Change, error) {
	vteps, err1 := reconcile(ctx, have.vteps, want.vteps,
		func(v vtep, _ struct{}) error { return d.rt.putVTEP(ctx, dev.vxlan, v) },
		func(v vtep, _ struct{}) error { return d.rt.dropVTEP(ctx, dev.vxlan, v) })
	ports, err2 := reconcile(ctx, have.ports, want.ports,
		func(m MAC, port int) error { return d.rt.putBridgeFDB(ctx, m, port) },
		func(m MAC, port int) error { return d.rt.dropBridgeFDB(ctx, m, port) })
	neighs, err3 := reconcile(ctx, have.neighs, want.neighs,
		func(a netip.Addr, m MAC) error { return d.rt.putNeigh(ctx, dev.bridge, a, m) },
		func(a netip.Addr, _ MAC) error { return d.rt.deleteNeigh(ctx, dev.bridge, a) })
	return vteps.Add(ports).Add(neighs), errors.Join(err1, err2, err3)
}

// endpointPorts gives the bridge ports of endpoints, by endpoint ID.
func (d *Datapath) endpointPorts(ctx context.Context, bridge int) (map[string]int, error) {
	members, err := d.rt.links(ctx, inBridge(bridge))
	if err != nil {
		return nil, err
	}
	ports := make(map[string]int, len(members))
	for _, l := range members {
		if t, ok := parseTag(l.tag); ok && t.endpoint != "" {
			ports[t.endpoint] = l.index
		}
	}
	return ports, nil
}

func (d *Datapath) haveTables(ctx context.Context, dev devices) (tables, error) {
	ports, vteps, err := d.rt.fdb(ctx, dev.bridge, dev.vxlan)
	if err != nil {
		return tables{}, err
	}
	neighs, err := d.rt.neighs(ctx, dev.bridge)
	return tables{ports, vteps, neighs}, err
}

// wantTables derives the tables. Where two endpoints claim one MAC or address, which should not happen, the one
// on this host wins, then the one with the lowest ID: the result must not change from one run to the next.
func wantTables(f Forwarding, dev devices, ports map[string]int) tables {
	t := tables{map[MAC]int{}, map[vtep]struct{}{}, map[netip.Addr]MAC{}}
	hosts := map[MAC]netip.Addr{}
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(f.Remote))) {
		r := f.Remote[id]
		t.ports[r.MAC], hosts[r.MAC] = dev.vxlan, r.Host.Unmap()
		for _, a := range r.Addresses {
			t.neighs[a.Unmap()] = r.MAC
		}
	}
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(f.Local))) {
		e := f.Local[id]
		port, ok := ports[id]
		if !ok {
			continue
		}
		t.ports[e.MAC] = port
		delete(hosts, e.MAC)
		for _, p := range e.Addresses {
			t.neighs[p.Addr().Unmap()] = e.MAC
		}
	}
	for mac, host := range hosts {
		t.vteps[vtep{mac, host}] = struct{}{}
	}
	for _, host := range f.Flood {
		t.vteps[vtep{host: host.Unmap()}] = struct{}{}
	}
	return t
}

// AddRemote makes an endpoint of another host known, so that frames for it go there and ARP for it is answered
// here. Where it was known at another host before, that is replaced.
func (d *Datapath) AddRemote(ctx context.Context, n Network, r Remote) error {
	dev, err := d.devices(ctx, n)
	if err != nil {
		return fmt.Errorf("add remote endpoint %s: %w", r.MAC, err)
	}
	if err := d.rt.putVTEP(ctx, dev.vxlan, vtep{r.MAC, r.Host.Unmap()}); err != nil {
		return err
	}
	if err := d.rt.putBridgeFDB(ctx, r.MAC, dev.vxlan); err != nil {
		return err
	}
	for _, a := range r.Addresses {
		if err := d.rt.putNeigh(ctx, dev.bridge, a, r.MAC); err != nil {
			return err
		}
	}
	d.shortcutRemote(ctx, n, r)
	return nil
}

// RemoveRemote takes back an AddRemote. Entries that meanwhile say something else, because the endpoint or its
// address has moved, stay.
func (d *Datapath) RemoveRemote(ctx context.Context, n Network, r Remote) error {
	d.shortcutRemoteGone(n, r)
	dev, err := d.devices(ctx, n)
	if errors.Is(err, errNoLink) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove remote endpoint %s: %w", r.MAC, err)
	}
	var errs []error
	for _, a := range r.Addresses {
		errs = append(errs, d.rt.dropNeigh(ctx, dev.bridge, a, r.MAC))
	}
	errs = append(errs, d.rt.dropBridgeFDB(ctx, r.MAC, dev.vxlan),
		d.rt.dropVTEP(ctx, dev.vxlan, vtep{r.MAC, r.Host.Unmap()}))
	return errors.Join(errs...)
}

// AddFlood makes broadcast, multicast and frames for unknown MACs go to a host as well.
func (d *Datapath) AddFlood(ctx context.Context, n Network, host netip.Addr) error {
	vx, err := d.own(ctx, vxlanName(n.VNI), n.VNI)
	if err != nil {
		return fmt.Errorf("add host %s: %w", host, err)
	}
	d.shortcutHost(n, host, true) // before the first of its packets can come
	return d.rt.putVTEP(ctx, vx.index, vtep{host: host.Unmap()})
}

// RemoveFlood takes back an AddFlood.
func (d *Datapath) RemoveFlood(ctx context.Context, n Network, host netip.Addr) error {
	d.shortcutHost(n, host, false)
	vx, err := d.own(ctx, vxlanName(n.VNI), n.VNI)
	if errors.Is(err, errNoLink) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove host %s: %w", host, err)
	}
	return d.rt.dropVTEP(ctx, vx.index, vtep{host: host.Unmap()})
}
