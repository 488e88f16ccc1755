package subject

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink"

	"falcon/tests/bench/load"
)

// Stage is a point on the receive path where packets can be taken off it: the ingress of a device.
type Stage struct {
	Name         string
	At           load.Device
	Decapsulated bool // packets have left the tunnel when they come here
}

// ReceivePath lists the devices that packets to a place pass on the standard path, from the NIC on. A subject may take
// another way past some of them.
func (b *Bed) ReceivePath(ctx context.Context, p Place) ([]Stage, error) {
	path := []Stage{{"NIC ingress", load.Device{Namespace: p.Host.Namespace(""), Name: NIC}, false}}
	if p.network == "" {
		return path, nil
	}
	tunnel, err := b.tunnelDevice(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("find receive path to %s: %w", p.Container, err)
	}
	return append(path, Stage{"VXLAN ingress", tunnel, true}, Stage{"container ingress", p.Device, true}), nil
}

// tunnelDevice finds the VXLAN device of a place's network: that of its VNI. Docker keeps it in a namespace of its own,
// falcon in the host's.
func (b *Bed) tunnelDevice(ctx context.Context, p Place) (d load.Device, err error) {
	sandbox := ""
	if p.network == overlay {
		if sandbox, err = p.Host.OverlayNamespace(ctx, overlay); err != nil {
			return d, err
		}
	}
	vni := int(b.tunnels[p.network].VNI)
	return d, p.Host.InNet(sandbox, func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			if v, ok := l.(*netlink.Vxlan); ok && v.VxlanId == vni {
				d = load.Device{Namespace: p.Host.Namespace(sandbox), Name: v.Name}
				return nil
			}
		}
		return fmt.Errorf("find VXLAN device of VNI %d: none", vni)
	})
}
