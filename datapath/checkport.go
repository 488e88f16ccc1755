package datapath

import (
	"context"
	"errors"
	"net/netip"
)

// CheckPort tries whether our VXLAN devices could use a UDP port of this host: ErrPortTaken if not. It makes a
// device for a moment, with the highest VNI, which nothing is sent to; left behind by a crash, it is an orphan
// like any other.
func (d *Datapath) CheckPort(ctx context.Context, port uint16) error {
	want := link{
		name: vxlanName(MaxVNI), kind: kindVXLAN, mtu: minMTU,
		vxlan: vxlanOptions{vni: MaxVNI, port: port, local: netip.AddrFrom4([4]byte{127, 0, 0, 1})},
	}
	var err error
	if want.tag, err = (tag{network: "port-check", vni: MaxVNI}).encode(); err != nil {
		return err
	}
	device, did, err := d.rt.ensure(ctx, want, func() (link, error) { return d.rt.make(ctx, want, want.vxlan.encode()) })
	if err != nil {
		return d.explainVXLAN(ctx, want, err)
	}
	if did != created {
		return nil // a network of ours has that VNI, and so the port
	}
	_, err = d.rt.bringUp(ctx, device)
	if err != nil {
		err = d.explainVXLAN(ctx, want, err)
	}
	return errors.Join(err, d.rt.deleteLink(ctx, device))
}
