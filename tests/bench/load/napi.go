package load

import (
	"errors"
	"fmt"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// EnableGRO turns generic receive offload on at a device. A veth then receives in NAPI, as a NIC's driver does (kernel 5.13).
func EnableGRO(d Device) error {
	err := onThread(d.Namespace, anyCPU, func() error {
		e, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer e.Close()
		return e.Change(d.Name, map[string]bool{"rx-gro": true})
	})
	if err != nil {
		return fmt.Errorf("turn GRO of %s on: %w", d.Name, err)
	}
	return nil
}

// Of linux/netdev.h, kernel 6.3.
const (
	netdevFamily      = "netdev"
	netdevVersion     = 1
	netdevGet         = 1      // NETDEV_CMD_DEV_GET
	netdevIndex       = 1      // NETDEV_A_DEV_IFINDEX
	netdevXDPFeatures = 3      // NETDEV_A_DEV_XDP_FEATURES
	xdpTransmit       = 1 << 2 // NETDEV_XDP_ACT_NDO_XMIT
	genlHeaderSize    = 4      // GENL_HDRLEN
)

var errNoNAPI = errors.New("it takes no XDP frames: a veth does if the other end has GRO on or an XDP program")

// checkNAPI tells whether a device of the thread's namespace sends XDP frames. The kernel drops them silently where not.
func checkNAPI(index int) error {
	family, err := netlink.GenlFamilyGet(netdevFamily)
	if errors.Is(err, unix.ENOENT) {
		return nil // before kernel 6.3 nobody can tell
	}
	if err != nil {
		return fmt.Errorf("find netlink family %s: %w", netdevFamily, err)
	}
	request := nl.NewNetlinkRequest(int(family.ID), 0)
	// nl.Genlmsg lacks the header's last two bytes and sends what follows it in memory (netlink 1.3.1).
	request.AddRawData([]byte{netdevGet, netdevVersion, 0, 0})
	request.AddRawData(nl.NewRtAttr(netdevIndex, nl.Uint32Attr(uint32(index))).Serialize())
	replies, err := request.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return fmt.Errorf("read XDP features: %w", err)
	}
	for _, reply := range replies {
		attributes, err := nl.ParseRouteAttr(reply[genlHeaderSize:])
		if err != nil {
			return fmt.Errorf("parse XDP features: %w", err)
		}
		for _, a := range attributes {
			if a.Attr.Type == netdevXDPFeatures && nl.NativeEndian().Uint64(a.Value)&xdpTransmit != 0 {
				return nil
			}
		}
	}
	return errNoNAPI
}
