package datapath

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// syncShortcut makes what the programs know of a network equal to f. ports are the endpoints' devices.
func (d *Datapath) syncShortcut(ctx context.Context, n Network, f Forwarding, ports map[string]int) {
	if !n.Shortcut {
		return
	}
	s := d.short
	around, failure := d.lookAround(ctx, n, ports) // not under the lock, for which whoever adds an endpoint would wait
	s.mu.Lock()
	defer s.mu.Unlock()
	have, known := s.networks[n.VNI]
	if !known {
		return
	}
	if failure != nil {
		around.obstacle = failure
	}
	d.noteShortcut("network "+n.Name, d.updateShortcut(ctx, n, have, f, ports, around))
}

// takesShortcut tells whether a network's packets do, or will as soon as its endpoints are known. Where programs cannot be had, or people have
// put something on the kernel's way, they do not.
func (d *Datapath) takesShortcut(n Network) bool {
	s := d.short
	s.mu.Lock()
	defer s.mu.Unlock()
	have, known := s.networks[n.VNI]
	return n.Shortcut && known && have.obstacle == nil
}

func (d *Datapath) updateShortcut(ctx context.Context, n Network, have *shortNetwork, f Forwarding, ports map[string]int, around surroundings) error {
	s := d.short
	have.network, have.obstacle = n, around.obstacle
	want := newShortNetwork()
	for _, host := range f.Flood {
		want.hosts[host.Unmap()] = struct{}{}
	}
	for _, p := range n.Allowed {
		want.allowed[p] = struct{}{}
	}
	for id, e := range f.Local {
		if device, ok := ports[id]; ok {
			want.ports[device] = portOf(e)
		}
	}
	if have.obstacle == nil {
		d.wantEndpoints(ctx, have, f, ports, want.endpoints)
	}
	errs := []error{s.programs.update(n.VNI, have, want), d.onlyIn(ctx, n.Device)}
	d.noteShortcut(problemSources, d.ensureSources(ctx, n.Device))
	for _, device := range around.bare {
		delete(have.attached, device)
	}
	gone := func(device int, _ struct{}) bool { _, is := want.ports[device]; return !is }
	maps.DeleteFunc(have.attached, gone)
	maps.DeleteFunc(have.tried, gone)
	for device := range want.ports {
		errs = append(errs, d.attachOut(ctx, have, device))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if have.live {
		return have.obstacle
	}
	// Only now: of a network that they look at, the programs drop what is of no known host.
	if err := s.programs.setLive(n.VNI, true); err != nil {
		return err
	}
	have.live = true
	return have.obstacle
}

// attachOut attaches the program for what a container sends, unless it is known to be there.
func (d *Datapath) attachOut(ctx context.Context, n *shortNetwork, device int) error {
	if _, done := n.attached[device]; done {
		return nil
	}
	_, err := d.rt.attachTC(ctx, outHook(device), d.short.programs.objects.FalconOut, nameOut)
	if err == nil {
		n.attached[device] = struct{}{}
	}
	return err
}

// wantEndpoints gives the endpoints that can be reached by the shortcut. Where two claim one MAC, this host's wins.
func (d *Datapath) wantEndpoints(ctx context.Context, have *shortNetwork, f Forwarding, ports map[string]int, into map[MAC]shortcutEndpoint) {
	n, paths := have.network, map[netip.Addr]path{}
	for _, r := range f.Remote {
		host := r.Host.Unmap()
		p, ok := paths[host]
		if !ok {
			p = d.pathTo(ctx, n, host)
			paths[host] = p
		}
		into[r.MAC] = remoteEntry(n, r, p)
	}
	for id, e := range f.Local {
		if device, ok := ports[id]; ok {
			into[e.MAC] = d.localEndpoint(ctx, have, e, device)
		}
	}
}

// localEndpoint prepares an endpoint's devices, unless that was done.
func (d *Datapath) localEndpoint(ctx context.Context, have *shortNetwork, e Endpoint, device int) shortcutEndpoint {
	early := d.takesEarly(have.network)
	entry := localEntry(have.network, e, device)
	if was := have.endpoints[e.MAC]; was.Port == entry.Port {
		entry.Chains = was.Chains
		if early {
			entry.Early = was.Early
		}
	}
	if entry.Chains != 0 && (entry.Early != 0 || !early) {
		return entry
	}
	host, err := d.rt.linkByIndex(ctx, device)
	if err == nil && entry.Chains == 0 {
		entry.Chains, err = flagOf(d.chainDatagrams(ctx, e, host))
	}
	if err == nil && entry.Chains != 0 && early {
		entry.Early, err = flagOf(d.acceptEarly(ctx, have, e, host))
	}
	d.noteShortcut(problemOf(e.ID), err)
	return entry
}

// flagOf is a bool as the programs have it.
func flagOf(is bool, err error) (uint32, error) {
	if is {
		return 1, err
	}
	return 0, err
}

// path is how another host is reached.
type path struct {
	device int  // 0: not by the shortcut
	onLink bool // without a router in between
	mtu    int  // bytes
}

// pathTo looks it up. What is not plainly on a link of this host, in IPv4 both ways, is the kernel's business.
func (d *Datapath) pathTo(ctx context.Context, n Network, host netip.Addr) path {
	if !n.Local.Is4() || !host.Is4() {
		return path{}
	}
	routes, err := d.rt.RouteGetWithOptions(host.AsSlice(), &netlink.RouteGetOptions{SrcAddr: n.Local.AsSlice()})
	if err != nil || len(routes) == 0 || routes[0].Type != unix.RTN_UNICAST {
		return path{}
	}
	dev, err := d.rt.linkByIndex(ctx, routes[0].LinkIndex)
	if err != nil {
		return path{}
	}
	mtu := dev.mtu
	if routes[0].MTU > 0 {
		mtu = min(mtu, routes[0].MTU)
	}
	return path{dev.index, routes[0].Gw == nil && routes[0].Via == nil, mtu}
}

func portOf(e Endpoint) shortcutPort {
	p := shortcutPort{Vni: uint32(e.VNI), Mac: e.MAC}
	p.Ip4, p.Ip6 = oneOfEach(addrsOf(e.Addresses))
	return p
}

func localEntry(n Network, e Endpoint, device int) shortcutEndpoint {
	k := shortcutEndpoint{Port: uint32(device), Mtu: uint32(n.MTU)}
	k.Ip4, k.Ip6 = oneOfEach(addrsOf(e.Addresses))
	return k
}

func remoteEntry(n Network, r Remote, p path) shortcutEndpoint {
	k := shortcutEndpoint{
		Device: uint32(p.device), Mtu: uint32(min(p.mtu, n.MTU+overheadIPv4)), From: ip4ToKernel(n.Local), To: ip4ToKernel(r.Host),
	}
	if p.onLink {
		k.OnLink = 1
	}
	k.Ip4, k.Ip6 = oneOfEach(r.Addresses)
	return k
}

// changeShortcut changes what the programs know of a network that is on the shortcut.
func (d *Datapath) changeShortcut(n VNI, change func(have *shortNetwork) error) {
	s := d.short
	s.mu.Lock()
	defer s.mu.Unlock()
	if have, known := s.networks[n]; known && s.programs != nil {
		if err := change(have); err != nil {
			d.noteShortcut("network "+have.network.Name, err)
		}
	}
}

// shortcutLocal makes the programs know an endpoint of this host whose device is there.
func (d *Datapath) shortcutLocal(ctx context.Context, e Endpoint, device int) {
	d.changeShortcut(e.VNI, func(have *shortNetwork) error {
		p := d.short.programs
		if err := putEntry(p.objects.Ports, have.ports, device, portOf(e), uint32(device)); err != nil {
			return err
		}
		if err := d.attachOut(ctx, have, device); err != nil {
			return err
		}
		if !have.takes() {
			return dropEntry(p.objects.Endpoints, have.endpoints, e.MAC, endpointKey(e.VNI, e.MAC))
		}
		return putEntry(p.objects.Endpoints, have.endpoints, e.MAC, d.localEndpoint(ctx, have, e, device), endpointKey(e.VNI, e.MAC))
	})
}

// shortcutLocalGone is for an endpoint of this host whose device is about to go.
func (d *Datapath) shortcutLocalGone(id string, vni VNI, mac MAC, device int) {
	d.changeShortcut(vni, func(have *shortNetwork) error {
		d.noteShortcut(problemOf(id), nil)
		p := d.short.programs
		var gone error
		if int(have.endpoints[mac].Port) == device {
			gone = dropEntry(p.objects.Endpoints, have.endpoints, mac, endpointKey(vni, mac))
		}
		delete(have.attached, device)
		delete(have.tried, device)
		return errors.Join(gone, dropEntry(p.objects.Ports, have.ports, device, uint32(device)))
	})
}

// shortcutRemote makes the programs know an endpoint of another host.
func (d *Datapath) shortcutRemote(ctx context.Context, n Network, r Remote) {
	d.changeShortcut(n.VNI, func(have *shortNetwork) error {
		if !have.takes() {
			return dropEntry(d.short.programs.objects.Endpoints, have.endpoints, r.MAC, endpointKey(n.VNI, r.MAC))
		}
		entry := remoteEntry(have.network, r, d.pathTo(ctx, have.network, r.Host.Unmap()))
		return putEntry(d.short.programs.objects.Endpoints, have.endpoints, r.MAC, entry, endpointKey(n.VNI, r.MAC))
	})
}

// shortcutRemoteGone takes that back, unless the endpoint was found elsewhere meanwhile.
func (d *Datapath) shortcutRemoteGone(n Network, r Remote) {
	d.changeShortcut(n.VNI, func(have *shortNetwork) error {
		if e := have.endpoints[r.MAC]; e.Port != 0 || e.To != ip4ToKernel(r.Host) {
			return nil
		}
		return dropEntry(d.short.programs.objects.Endpoints, have.endpoints, r.MAC, endpointKey(n.VNI, r.MAC))
	})
}

// shortcutHost makes the programs know a host of a network, or forget it.
func (d *Datapath) shortcutHost(n Network, host netip.Addr, there bool) {
	host = host.Unmap()
	key := shortcutHostKey{Vni: uint32(n.VNI), Address: toKernel(host)}
	d.changeShortcut(n.VNI, func(have *shortNetwork) error {
		var err error
		if there {
			err = putEntry(d.short.programs.objects.Hosts, have.hosts, host, struct{}{}, key)
		} else {
			err = dropEntry(d.short.programs.objects.Hosts, have.hosts, host, key)
		}
		if err := d.changeSource(source{n.VNI, host}, there); err != nil {
			d.noteShortcut(problemSources, err)
		}
		return err
	})
}

// shortcutRemoved is for a network whose devices are gone.
func (d *Datapath) shortcutRemoved(ctx context.Context, vni VNI) {
	s := d.short
	s.mu.Lock()
	defer s.mu.Unlock()
	err := d.adoptShortcut(ctx)
	if _, known := s.networks[vni]; err == nil && known {
		err = d.endShortcut(ctx, vni)
	}
	if err != nil {
		err = fmt.Errorf("VNI %d: %w", vni, err)
	}
	d.noteShortcut("removed networks", err)
}
