// Package netdev asks the kernel what its network devices do with frames that are no sk_buffs: its netlink family of that name. It is apart from
// package datapath for the tests that both need.
package netdev

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Of linux/netdev.h, kernel 6.3.
const (
	family      = "netdev"
	version     = 1
	get         = 1      // NETDEV_CMD_DEV_GET
	index       = 1      // NETDEV_A_DEV_IFINDEX
	xdpFeatures = 3      // NETDEV_A_DEV_XDP_FEATURES
	transmit    = 1 << 2 // NETDEV_XDP_ACT_NDO_XMIT
)

// TransmitsFrames tells whether a device of the thread's namespace sends frames that are no sk_buffs; the kernel drops them silently where not. A veth
// does if its other end receives in polls (GRO) or has an XDP program. Before kernel 6.3 nobody can tell, and the answer is yes.
func TransmitsFrames(device int) (bool, error) {
	f, err := netlink.GenlFamilyGet(family)
	if errors.Is(err, unix.ENOENT) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("find netlink family %s: %w", family, err)
	}
	request := nl.NewNetlinkRequest(int(f.ID), 0)
	// nl.Genlmsg lacks the header's last two bytes and sends what follows it in memory (netlink 1.3.1).
	request.AddRawData([]byte{get, version, 0, 0})
	request.AddRawData(nl.NewRtAttr(index, nl.Uint32Attr(uint32(device))).Serialize())
	replies, err := request.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return false, fmt.Errorf("read XDP features: %w", err)
	}
	for _, reply := range replies {
		attributes, err := nl.ParseRouteAttr(reply[nl.SizeofGenlmsg:])
		if err != nil {
			return false, fmt.Errorf("parse XDP features: %w", err)
		}
		for _, a := range attributes {
			if a.Attr.Type == xdpFeatures {
				return nl.NativeEndian().Uint64(a.Value)&transmit != 0, nil
			}
		}
	}
	return false, nil
}
