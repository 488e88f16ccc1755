package datapath

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// vxlanName is the device name of a network's VXLAN device.
func vxlanName(vni VNI) string { return fmt.Sprintf("fvx-%d", vni) }

// vxlanOptions are those of a VXLAN device that identify it.
type vxlanOptions struct {
	vni      VNI
	port     uint16
	local    netip.Addr
	learning bool
	external bool // collect_metadata: one device for all VNIs
}

func parseVXLAN(a attrs) vxlanOptions {
	o := vxlanOptions{
		vni:      VNI(a.u32(nl.IFLA_VXLAN_ID)),
		learning: a.flag(nl.IFLA_VXLAN_LEARNING),
		external: a.flag(nl.IFLA_VXLAN_FLOWBASED),
	}
	if port := a.get(nl.IFLA_VXLAN_PORT); len(port) >= 2 {
		o.port = binary.BigEndian.Uint16(port)
	}
	for _, typ := range []uint16{nl.IFLA_VXLAN_LOCAL, nl.IFLA_VXLAN_LOCAL6} {
		if addr, ok := netip.AddrFromSlice(a.get(typ)); ok {
			o.local = addr
		}
	}
	return o
}

// encode gives what a VXLAN device is created with. What is left out takes the kernel's default:
//
//   - UDP checksums are sent, over IPv4 too. Sending them is nearly free: the outer one follows from the inner
//     one that the NIC is still to fill in (local checksum offload, kernel 4.6; Documentation/networking/
//     checksum-offloads.rst). Receiving, a NIC that verifies the outer one has vouched for all bytes, and the
//     kernel derives the inner one from that (checksum conversion, kernel 3.18), where without it the packet
//     would have to be summed before it can be merged. It also is all that protects the VNI.
//   - Over IPv6 zero checksums are neither sent nor accepted (RFC 8200, section 8.1). Accepting them is also
//     one of the settings in which devices that share a port must agree (vxlan_find_sock), so the default
//     lets us share 4789 with others.
//   - No lower device: the kernel routes the outer packets, so the underlay may be a bond or change routes.
//   - DF is not set on the outer header: on too small an underlay packets are fragmented, not lost.
func (o vxlanOptions) encode() *nl.RtAttr {
	data := nl.NewRtAttr(nl.IFLA_INFO_DATA, nil)
	data.AddRtAttr(nl.IFLA_VXLAN_ID, nl.Uint32Attr(uint32(o.vni)))
	data.AddRtAttr(nl.IFLA_VXLAN_PORT, binary.BigEndian.AppendUint16(nil, o.port))
	data.AddRtAttr(nl.IFLA_VXLAN_LEARNING, flagAttr(o.learning))
	if o.local.Is4() {
		data.AddRtAttr(nl.IFLA_VXLAN_LOCAL, o.local.AsSlice())
	} else {
		data.AddRtAttr(nl.IFLA_VXLAN_LOCAL6, o.local.AsSlice())
	}
	return data
}

// ensureVXLAN makes the VXLAN device as a port of the bridge, or repairs it. The kernel lets nobody change the
// VNI, port or local address of one that exists, so where they differ it is made anew.
func (d *Datapath) ensureVXLAN(ctx context.Context, n Network, tag string, bridge int) (link, outcome, error) {
	want := link{name: vxlanName(n.VNI), kind: kindVXLAN, tag: tag, mtu: n.MTU, master: bridge, port: vxlanPort,
		vxlan: vxlanOptions{vni: n.VNI, port: n.Port, local: n.Local}}
	if err := d.dropOther(ctx, want); err != nil {
		return link{}, kept, err
	}
	vx, did, err := d.rt.ensure(ctx, want, func() (link, error) { return d.rt.make(ctx, want, want.vxlan.encode()) })
	if err != nil {
		return link{}, did, d.explainVXLAN(ctx, want, err)
	}
	up, err := d.rt.bringUp(ctx, vx)
	if err == nil {
		return vx, max(did, up), nil
	}
	if did == created {
		err = errors.Join(err, d.rt.deleteLink(ctx, vx))
	}
	return link{}, did, d.explainVXLAN(ctx, want, err)
}

// dropOther deletes our device if it is not the one wanted.
func (d *Datapath) dropOther(ctx context.Context, want link) error {
	have, err := d.rt.linkByName(ctx, want.name)
	switch {
	case errors.Is(err, errNoLink):
		return nil
	case err != nil:
		return err
	}
	if err := want.mayTake(have); err != nil {
		return err
	}
	if have.vxlan == want.vxlan {
		return nil
	}
	d.log.WithField("device", have.name).Infof("recreate vxlan device: %+v becomes %+v", have.vxlan, want.vxlan)
	return d.rt.deleteLink(ctx, have)
}

// explainVXLAN finds out who is in the way of a VXLAN device that the kernel refused.
func (d *Datapath) explainVXLAN(ctx context.Context, want link, cause error) error {
	vniTaken, portTaken := errors.Is(cause, unix.EEXIST), errors.Is(cause, unix.EADDRINUSE)
	if !vniTaken && !portTaken {
		return cause
	}
	others, err := d.rt.links(ctx, ofKind(kindVXLAN))
	if err != nil {
		return errors.Join(cause, err)
	}
	o := want.vxlan
	if vniTaken {
		// A device stays in the books of the namespace where it was made: Docker's own overlay driver makes
		// them on the host and moves them into a namespace of each network.
		holder := "a device that was moved into another network namespace (Docker's overlay driver does that)"
		for _, l := range others {
			if l.vxlan.vni == o.vni && l.vxlan.port == o.port {
				holder = "device " + l.name
			}
		}
		return fmt.Errorf("create vxlan device %s: %w: %s has VNI %d on port %d; choose another VNI or port: %w",
			want.name, ErrVNITaken, holder, o.vni, o.port, cause)
	}
	holder := fmt.Sprintf("a process has UDP port %d (see: ss -lunp sport = :%d)", o.port, o.port)
	for _, l := range others {
		if l.up && l.vxlan.port == o.port && l.name != want.name {
			holder = fmt.Sprintf("device %s has UDP port %d with other settings", l.name, o.port)
		}
	}
	return fmt.Errorf("bring up vxlan device %s: %w: %s; free it or run with another --vxlan-port on all hosts: %w",
		want.name, ErrPortTaken, holder, cause)
}

// TakenVNIs lists the VNIs that devices of others use on this host and port, with the device's name. It cannot
// see those that were moved into other namespaces; EnsureNetwork reports them.
func (d *Datapath) TakenVNIs(ctx context.Context, port uint16) (map[VNI]string, error) {
	devices, err := d.rt.links(ctx, ofKind(kindVXLAN))
	if err != nil {
		return nil, err
	}
	taken := map[VNI]string{}
	for _, l := range devices {
		if _, ours := parseTag(l.tag); !ours && !l.vxlan.external && l.vxlan.port == port {
			taken[l.vxlan.vni] = l.name
		}
	}
	return taken, nil
}
