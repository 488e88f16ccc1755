package datapath

import (
	"cmp"
	"context"
	"errors"
	"slices"
)

// RemoveUnfinished deletes devices that a process was killed in the middle of making, before it could say what
// they are for, and returns how many. Nothing may be in the making meanwhile.
func (d *Datapath) RemoveUnfinished(ctx context.Context) (int, error) {
	list, err := d.rt.links(ctx)
	if err != nil {
		return 0, err
	}
	var errs []error
	removed := 0
	for _, l := range list {
		if l.tag != "" || l.group != makingGroup {
			continue
		}
		err := d.rt.deleteLink(ctx, l)
		if err == nil {
			removed++
		}
		errs = append(errs, err)
	}
	return removed, errors.Join(errs...)
}

// Owned lists what the kernel has of ours, half-made devices excepted, from one dump of the links.
func (d *Datapath) Owned(ctx context.Context) (Owned, error) {
	list, err := d.rt.links(ctx)
	if err != nil {
		return Owned{}, err
	}
	return ownedOf(list), nil
}

// ownedOf sorts tagged devices into networks and endpoints. The container's end of a veth carries the tag too;
// it is no endpoint of its own.
func ownedOf(list []link) Owned {
	var o Owned
	networks := map[VNI]*OwnedNetwork{}
	for _, l := range list {
		t, ok := parseTag(l.tag)
		switch {
		case !ok:
		case t.endpoint != "" && l.name == hostDevice(t.endpoint):
			o.Endpoints = append(o.Endpoints, OwnedEndpoint{ID: t.endpoint, Network: t.network, Device: l.name})
		case t.endpoint == "" && (l.name == bridgeName(t.vni) || l.name == vxlanName(t.vni)):
			n := networks[t.vni]
			if n == nil {
				n = &OwnedNetwork{Name: t.network, VNI: t.vni}
				networks[t.vni] = n
			}
			if l.kind == kindBridge {
				n.Bridge = l.name
			} else {
				n.VXLAN = l.name
			}
		}
	}
	for _, n := range networks {
		o.Networks = append(o.Networks, *n)
	}
	slices.SortFunc(o.Networks, func(a, b OwnedNetwork) int { return cmp.Compare(a.VNI, b.VNI) })
	slices.SortFunc(o.Endpoints, func(a, b OwnedEndpoint) int { return cmp.Compare(a.ID, b.ID) })
	return o
}
