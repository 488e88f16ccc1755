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

// Neighbour entries on a bridge device are not for the host, which has no address there. The bridge looks them
// up to answer ARP requests and neighbour solicitations of containers (neigh_suppress, see port.go).
//
// They are permanent: such entries neither age nor count towards net.ipv4.neigh.default.gc_thresh3, which
// defaults to 1024 (kernel 5.0, commit 58956317c8de). The kernel drops them when the bridge goes down.

// neighMsg addresses neighbour entries of a device.
func neighMsg(device int, addr netip.Addr, state uint16) []nl.NetlinkRequestData {
	family := uint8(unix.AF_INET6)
	if addr.Is4() {
		family = unix.AF_INET
	}
	return []nl.NetlinkRequestData{
		&netlink.Ndmsg{Family: family, Index: uint32(device), State: state},
		nl.NewRtAttr(netlink.NDA_DST, addr.AsSlice()),
	}
}

// putNeigh adds an entry, or points the one that is there to mac.
func (r *rtnl) putNeigh(ctx context.Context, device int, addr netip.Addr, mac MAC) error {
	data := append(neighMsg(device, addr.Unmap(), netlink.NUD_PERMANENT), nl.NewRtAttr(netlink.NDA_LLADDR, mac[:]))
	if err := r.change(ctx, unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, data...); err != nil {
		return fmt.Errorf("add neighbour %s (%s): %w", addr, mac, err)
	}
	return nil
}

func (r *rtnl) deleteNeigh(ctx context.Context, device int, addr netip.Addr) error {
	err := r.change(ctx, unix.RTM_DELNEIGH, 0, neighMsg(device, addr.Unmap(), 0)...)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove neighbour %s: %w", addr, err)
	}
	return nil
}

// dropNeigh removes an entry unless it has come to point to another MAC: then the address is in other hands.
func (r *rtnl) dropNeigh(ctx context.Context, device int, addr netip.Addr, mac MAC) error {
	msg, err := r.get(ctx, unix.RTM_GETNEIGH, neighMsg(device, addr.Unmap(), 0)...)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return fmt.Errorf("get neighbour %s: %w", addr, err)
	}
	if n, ok := parseNeigh(msg); !ok || n.mac != mac {
		return nil
	}
	return r.deleteNeigh(ctx, device, addr)
}

// neighs lists the permanent entries of a device; all other states are the kernel's own.
func (r *rtnl) neighs(ctx context.Context, device int) (map[netip.Addr]MAC, error) {
	msgs, err := r.dump(ctx, unix.RTM_GETNEIGH, &netlink.Ndmsg{},
		nl.NewRtAttr(netlink.NDA_IFINDEX, nl.Uint32Attr(uint32(device))))
	if err != nil {
		return nil, fmt.Errorf("list neighbours: %w", err)
	}
	list := make(map[netip.Addr]MAC, len(msgs))
	for _, m := range msgs {
		// A kernel before 4.20 ignores the filter.
		if n, ok := parseNeigh(m); ok && n.device == device && n.state == netlink.NUD_PERMANENT {
			list[n.addr] = n.mac
		}
	}
	return list, nil
}

// dropNeighsOf removes all entries that point to mac.
func (r *rtnl) dropNeighsOf(ctx context.Context, device int, mac MAC) error {
	list, err := r.neighs(ctx, device)
	if err != nil {
		return err
	}
	for addr, m := range list {
		if m == mac {
			err = errors.Join(err, r.deleteNeigh(ctx, device, addr))
		}
	}
	return err
}

// neigh is an entry of a neighbour table or, with other attributes, of a forwarding database.
type neigh struct {
	device int
	master int // the bridge, for an entry of a bridge's database
	state  uint16
	flags  uint8
	addr   netip.Addr
	mac    MAC
}

// parseNeigh reads an RTM_NEWNEIGH message; ok is false for one that is malformed or not of an Ethernet device.
func parseNeigh(msg []byte) (n neigh, ok bool) {
	if len(msg) < sizeofNdmsg {
		return neigh{}, false
	}
	a, native := attrs(msg[sizeofNdmsg:]), nl.NativeEndian()
	n = neigh{
		device: int(native.Uint32(msg[4:])),
		state:  native.Uint16(msg[8:]),
		flags:  msg[10],
		master: int(a.u32(netlink.NDA_MASTER)),
	}
	n.addr, _ = netip.AddrFromSlice(a.get(netlink.NDA_DST))
	return n, copy(n.mac[:], a.get(netlink.NDA_LLADDR)) == len(n.mac)
}

// sizeofNdmsg is the size of struct ndmsg: family, padding, index, state, flags, type.
const sizeofNdmsg = 12
