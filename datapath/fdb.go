package datapath

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A frame to another host is looked up twice: the bridge's database says that the MAC is behind the VXLAN port,
// the VXLAN device's own says which host. Both are addressed by the port's index; NTF_MASTER means the bridge's,
// NTF_SELF the device's own.
//
// In the bridge's database an entry must be "static" (NUD_NOARP): NUD_PERMANENT there means an address of the
// bridge itself, whose frames go up the host's stack. In the VXLAN device's it must be NUD_PERMANENT:
// NUD_REACHABLE ages, and NUD_NOARP alone is refused.

// vtep is one entry of a VXLAN device: frames for a MAC go to a host. The zero MAC stands for all frames whose
// MAC has no entry, broadcast and multicast among them; these go to every host that it is entered with.
type vtep struct {
	mac  MAC
	host netip.Addr
}

func fdbMsg(port int, mac MAC, state uint16, flags uint8) []nl.NetlinkRequestData {
	return []nl.NetlinkRequestData{
		&netlink.Ndmsg{Family: unix.AF_BRIDGE, Index: uint32(port), State: state, Flags: flags},
		nl.NewRtAttr(netlink.NDA_LLADDR, mac[:]),
	}
}

// putBridgeFDB tells the bridge that mac is behind port, wherever it was before.
func (r *rtnl) putBridgeFDB(ctx context.Context, mac MAC, port int) error {
	err := r.change(ctx, unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE,
		fdbMsg(port, mac, netlink.NUD_NOARP, netlink.NTF_MASTER)...)
	if err != nil {
		return fmt.Errorf("add %s to the bridge's forwarding database: %w", mac, err)
	}
	return nil
}

// dropBridgeFDB removes the entry of mac if it still is behind port: the kernel compares.
func (r *rtnl) dropBridgeFDB(ctx context.Context, mac MAC, port int) error {
	err := r.change(ctx, unix.RTM_DELNEIGH, 0, fdbMsg(port, mac, 0, netlink.NTF_MASTER)...)
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove %s from the bridge's forwarding database: %w", mac, err)
	}
	return nil
}

// putVTEP adds an entry to a VXLAN device. A MAC is on one host, so a new host replaces the old one; the zero
// MAC is on all, so they are appended (what is there already stays single).
func (r *rtnl) putVTEP(ctx context.Context, device int, v vtep) error {
	mode := unix.NLM_F_REPLACE
	if v.mac.IsZero() {
		mode = unix.NLM_F_APPEND
	}
	data := append(fdbMsg(device, v.mac, netlink.NUD_PERMANENT, netlink.NTF_SELF),
		nl.NewRtAttr(netlink.NDA_DST, v.host.AsSlice()))
	if err := r.change(ctx, unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|mode, data...); err != nil {
		return fmt.Errorf("add %s at host %s to the vxlan device: %w", v.mac, v.host, err)
	}
	return nil
}

// dropVTEP removes one entry, and no other of the same MAC.
func (r *rtnl) dropVTEP(ctx context.Context, device int, v vtep) error {
	data := append(fdbMsg(device, v.mac, 0, netlink.NTF_SELF), nl.NewRtAttr(netlink.NDA_DST, v.host.AsSlice()))
	err := r.change(ctx, unix.RTM_DELNEIGH, 0, data...)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove %s at host %s from the vxlan device: %w", v.mac, v.host, err)
	}
	return nil
}

// fdb lists what a bridge and its VXLAN port forward statically: all of that is ours, because the devices are.
func (r *rtnl) fdb(ctx context.Context, bridge, vxlan int) (ports map[MAC]int, vteps map[vtep]struct{}, err error) {
	msgs, err := r.dump(ctx, unix.RTM_GETNEIGH, &netlink.Ndmsg{Family: unix.AF_BRIDGE},
		nl.NewRtAttr(netlink.NDA_MASTER, nl.Uint32Attr(uint32(bridge))))
	if err != nil {
		return nil, nil, fmt.Errorf("list forwarding databases: %w", err)
	}
	ports, vteps = make(map[MAC]int, len(msgs)), make(map[vtep]struct{}, len(msgs))
	for _, m := range msgs {
		n, ok := parseNeigh(m)
		switch {
		case !ok:
		case n.master == bridge && n.state == netlink.NUD_NOARP:
			ports[n.mac] = n.device
		case n.device == vxlan && n.flags&netlink.NTF_SELF != 0 && n.state&netlink.NUD_PERMANENT != 0 && n.addr.IsValid():
			vteps[vtep{n.mac, n.addr}] = struct{}{}
		}
	}
	return ports, vteps, nil
}
