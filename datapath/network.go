package datapath

import (
	"context"
	"errors"
	"fmt"
)

const (
	minMTU   = 68    // the smallest that the devices take
	maxMTU   = 65535 // and the largest
	minMTUv6 = 1280  // below it, the kernel takes IPv6 off a device
)

// check refuses what the kernel would misread or fail on half-way, and gives the tag of the network's devices.
func (n Network) check() (string, error) {
	switch {
	case n.Name == "":
		return "", errors.New("check network: name is empty")
	case n.VNI < 1 || n.VNI > MaxVNI:
		return "", fmt.Errorf("check network %s: VNI %d is not in 1 to %d", n.Name, n.VNI, MaxVNI)
	case n.MTU < minMTU || n.MTU > maxMTU:
		return "", fmt.Errorf("check network %s: MTU %d is not in %d to %d", n.Name, n.MTU, minMTU, maxMTU)
	case !n.Local.IsGlobalUnicast():
		return "", fmt.Errorf("check network %s: underlay address %s is not a global unicast one", n.Name, n.Local)
	case n.Port == 0:
		return "", fmt.Errorf("check network %s: vxlan port is 0", n.Name)
	}
	return tag{network: n.Name, vni: n.VNI}.encode()
}

// EnsureNetwork makes or repairs the devices of a network on this host:
//
//	fbr-<vni>  bridge, no address, guarded (nothing reaches the host's own stack through it)
//	fvx-<vni>  VXLAN device, a port of the bridge
//
// A bridge that had to be made anew gets the network's endpoints back as ports. If the VXLAN device cannot be,
// they keep it, and one another.
func (d *Datapath) EnsureNetwork(ctx context.Context, n Network) (Change, error) {
	n.Local = n.Local.Unmap()
	tag, err := n.check()
	if err != nil {
		return Change{}, err
	}
	br, bridgeDid, err := d.ensureBridge(ctx, n, tag)
	if err != nil {
		return bridgeDid.change(), err
	}
	c := bridgeDid.change()
	if bridgeDid == created {
		ports, err := d.reattach(ctx, n.VNI, br)
		if c = c.Add(ports); err != nil {
			return c, err
		}
	}
	vx, vxlanDid, err := d.ensureVXLAN(ctx, n, tag, br.index)
	if err != nil && c == created.change() {
		// A bridge that we made and that nobody is on: leave nothing of a network that cannot be.
		err = errors.Join(err, d.rt.deleteLink(ctx, br))
	}
	if err == nil {
		d.shortcutNetwork(ctx, n)
		d.steerNetwork(ctx, n, vx)
	}
	return c.Add(vxlanDid.change()), err
}

// reattach makes a network's endpoints ports of its bridge.
func (d *Datapath) reattach(ctx context.Context, vni VNI, br link) (Change, error) {
	devices, err := d.rt.links(ctx, ofKind(kindVeth))
	if err != nil {
		return Change{}, err
	}
	var c Change
	for _, have := range devices {
		t, ok := parseTag(have.tag)
		if !ok || t.vni != vni || have.name != hostDevice(t.endpoint) || have.master == br.index {
			continue
		}
		want := have
		want.master, want.port = br.index, vethPort
		if err := d.rt.settle(ctx, have, want); err != nil {
			return c, err
		}
		c.Added++
	}
	return c, nil
}

// RemoveNetwork deletes a network's devices, and with them what they forward. Endpoints that are still there
// keep their devices, outside any bridge.
func (d *Datapath) RemoveNetwork(ctx context.Context, vni VNI) error {
	d.shortcutRemoved(ctx, vni)
	var errs []error
	for _, name := range []string{vxlanName(vni), bridgeName(vni)} {
		have, err := d.rt.linkByName(ctx, name)
		if errors.Is(err, errNoLink) {
			continue
		}
		if err == nil {
			err = d.deleteOwn(ctx, have, vni)
		}
		errs = append(errs, err)
	}
	d.unsteerRemoved(ctx, vni)
	return errors.Join(errs...)
}

// deleteOwn deletes a network's device if it is ours; somebody else's is left alone, silently, because to us
// the network has no such device.
func (d *Datapath) deleteOwn(ctx context.Context, have link, vni VNI) error {
	t, ok := parseTag(have.tag)
	if half := have.tag == "" && have.group == makingGroup; half || ok && t.vni == vni && t.endpoint == "" {
		return d.rt.deleteLink(ctx, have)
	}
	return nil
}
