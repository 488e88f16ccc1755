package datapath

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink/nl"
)

// bridgeName is the device name of a network's bridge; at most 12 of the 15 characters that the kernel allows.
func bridgeName(vni VNI) string { return fmt.Sprintf("%s%d", bridgePrefix, vni) }

// bridgePrefix is also what the netfilter rules match (EnsureHost).
const bridgePrefix = "fbr-"

// bridgeOptions are those of a bridge that we set.
type bridgeOptions struct{ snooping, stp bool }

func parseBridge(a attrs) bridgeOptions {
	return bridgeOptions{snooping: a.flag(nl.IFLA_BR_MCAST_SNOOPING), stp: a.u32(nl.IFLA_BR_STP_STATE) != 0}
}

func (o bridgeOptions) encode() *nl.RtAttr {
	var stp uint32
	if o.stp {
		stp = 1
	}
	data := nl.NewRtAttr(nl.IFLA_INFO_DATA, nil)
	data.AddRtAttr(nl.IFLA_BR_STP_STATE, nl.Uint32Attr(stp))
	data.AddRtAttr(nl.IFLA_BR_MCAST_SNOOPING, flagAttr(o.snooping))
	return data
}

// wantBridge describes a network's bridge.
//
// Multicast snooping is off: the members of a group are on other hosts too, where this bridge's queries do not
// reach, so multicast is flooded. Spanning tree is off: a port would stay mute for 30 seconds, and the VXLAN
// ports of all hosts form no loop, since a VXLAN device sends nothing back to where it came from.
func wantBridge(n Network, tag string) link {
	return link{name: bridgeName(n.VNI), kind: kindBridge, tag: tag, mtu: n.MTU, mac: bridgeMAC(n.VNI)}
}

// bridgeMAC is fixed, because a bridge without one takes the lowest of its ports' and changes it, with a walk
// over all its entries, whenever an endpoint comes or goes. Nothing uses the address: see guard.
func bridgeMAC(vni VNI) MAC {
	m := MAC{0x02, 0xfb}
	binary.BigEndian.PutUint32(m[2:], uint32(vni))
	return m
}

// ensureBridge makes the bridge or repairs it, and brings it up once the guard is in place.
func (d *Datapath) ensureBridge(ctx context.Context, n Network, tag string) (link, outcome, error) {
	want := wantBridge(n, tag)
	br, did, err := d.rt.ensure(ctx, want, func() (link, error) { return d.rt.make(ctx, want, want.bridge.encode()) })
	if err != nil {
		return link{}, did, err
	}
	guarded, err := d.ensureGuard(ctx, br)
	if err != nil {
		return link{}, did, err
	}
	up, err := d.rt.bringUp(ctx, br)
	return br, max(did, guarded, up), err
}

// ownBridge finds the bridge of a network.
func (d *Datapath) ownBridge(ctx context.Context, vni VNI) (link, error) {
	return d.own(ctx, bridgeName(vni), vni)
}

// own finds a device of a network and makes sure that it is ours.
func (d *Datapath) own(ctx context.Context, name string, vni VNI) (link, error) {
	l, err := d.rt.linkByName(ctx, name)
	if err != nil {
		return link{}, err
	}
	if t, ok := parseTag(l.tag); !ok || t.vni != vni || t.endpoint != "" {
		return link{}, fmt.Errorf("use device %s: %w", name, ErrNotOurs)
	}
	return l, nil
}
