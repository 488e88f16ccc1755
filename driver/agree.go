package driver

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"falcon/store"
)

// checkMTU holds a network's MTU against the underlay. mtu 0 stands for the largest that fits.
func (d *Driver) checkMTU(mtu int, subnets []netip.Prefix) error {
	u := d.underlay.current()
	largest := u.OverlayMTU()
	switch {
	case mtu > largest:
		return optionError(keyMTU, strconv.Itoa(mtu), fmt.Sprintf("must be at most %d: the underlay %s has an MTU of %d and the encapsulation takes %d",
			largest, u.Interface, u.MTU, u.MTU-largest))
	case mtu == 0 && largest < minMTUv6 && slices.ContainsFunc(subnets, isIPv6):
		return fmt.Errorf("underlay %s: an MTU of %d leaves %d bytes, and IPv6 needs %d (RFC 8200): raise it or leave IPv6 out",
			u.Interface, u.MTU, largest, minMTUv6)
	}
	return nil
}

// agree holds a request against a network that exists.
func agree(n store.Network, r request) error {
	switch {
	case r.vni != 0 && uint32(r.vni) != n.VNI:
		return optionError(keyVNI, strconv.Itoa(int(r.vni)), fmt.Sprintf("must be %d, the network's, or left out", n.VNI))
	case r.mtu != 0 && r.mtu != n.MTU:
		return optionError(keyMTU, strconv.Itoa(r.mtu), fmt.Sprintf("must be %d, the network's, or left out", n.MTU))
	case r.internal != n.Internal:
		return fmt.Errorf("--internal=%t: the network has %t; it must be the same on all hosts", r.internal, n.Internal)
	case !sameSubnets(r.subnets, n.Subnets):
		return fmt.Errorf("subnets %v: the network has %v; give the same with --subnet, or let falcon give them with --ipam-driver falcon --ipam-opt %s=%s",
			r.subnets, n.Subnets, keyNetwork, n.Name)
	}
	return nil
}

func sameSubnets(a, b []netip.Prefix) bool {
	if len(a) != len(b) {
		return false
	}
	return !slices.ContainsFunc(a, func(p netip.Prefix) bool { return !slices.Contains(b, p) })
}

// checkJoin tells whether this host can take part in a network of others.
func (d *Driver) checkJoin(n store.Network, r request) error {
	if err := agree(n, r); err != nil {
		return err
	}
	if err := d.checkMTU(n.MTU, n.Subnets); err != nil {
		return err
	}
	s, _ := d.view.scene(n.Name)
	mine := d.underlay.current().Address
	for id := range s.members {
		h, ok := s.hosts[id]
		if !ok || id == d.host {
			continue
		}
		if h.Underlay.Is4() != mine.Is4() {
			return fmt.Errorf("host %s has the underlay address %s and this one %s: all hosts of a network need the same family; see --underlay", h.Name, h.Underlay, mine)
		}
		if h.Port != d.cfg.Port {
			return fmt.Errorf("host %s uses vxlan port %d and this one %d: start all with the same --vxlan-port", h.Name, h.Port, d.cfg.Port)
		}
	}
	return nil
}
