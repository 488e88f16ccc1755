package subject

import (
	"errors"
	"fmt"
	"net/netip"

	"falcon/tests/bench/load"
	"falcon/tests/lab"
)

// Path is a flow's way from one place to another.
type Path struct {
	From, To         Place
	FromPort, ToPort uint16
}

// Frames configures a generator that plays the receiver's NIC: frames as they come from the sender's host, by NAPI, in
// the subject's encapsulation. The caller adds protocol, payload and what else it wants. All paths lead from places of the
// subject on the sender to such on the receiver.
func (b *Bed) Frames(s Subject, paths ...Path) (load.Config, error) {
	if len(paths) == 0 {
		return load.Config{}, errors.New("make frames: no paths")
	}
	var c load.Config
	c.At.Namespace, c.At.Name = b.Receiver.Port()
	c.Entry, c.CPU, c.MTU = load.NAPI, b.Cores.NIC, paths[0].To.MTU
	for _, p := range paths {
		if !p.joins(b.Sender, b.Receiver, s.kind.network) {
			return load.Config{}, fmt.Errorf("make frames: path from %v to %v: must lead from a sender's place of %s to a receiver's",
				p.From.Addr, p.To.Addr, s.Name)
		}
		c.Flows = append(c.Flows, p.flow())
	}
	if s.kind.network == "" {
		return c, nil
	}
	t, ok := b.tunnels[s.kind.network]
	if !ok {
		return load.Config{}, fmt.Errorf("make frames: VXLAN of network %s is not known", s.kind.network)
	}
	from, to := b.places[placeKey{b.Sender, "", 0}], b.places[placeKey{b.Receiver, "", 0}]
	// Senders do fill in the outer checksum, but a NIC checks it, and here is none: summing would be the receiver's work.
	t.Src, t.Dst, t.SrcMAC, t.DstMAC = from.Addr, to.Addr, from.MAC, to.MAC
	c.Tunnel = &t
	return c, nil
}

// joins tells whether the path leads from one host to another in a network.
func (p Path) joins(from, to *lab.Host, network string) bool {
	return p.From.Host == from && p.To.Host == to && p.From.network == network && p.To.network == network
}

func (p Path) flow() load.Flow {
	return load.Flow{
		Src: netip.AddrPortFrom(p.From.Addr, p.FromPort), Dst: netip.AddrPortFrom(p.To.Addr, p.ToPort),
		SrcMAC: p.From.MAC, DstMAC: p.To.MAC,
	}
}
