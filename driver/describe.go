package driver

import (
	"fmt"
	"net/netip"

	"falcon/datapath"
	"falcon/store"
)

// devicesOf derives the kernel's description of a network from its record.
func (r *reconciler) devicesOf(n store.Network) datapath.Network {
	u := r.underlay.current()
	member, _ := r.view.membership(r.host, n.Name)
	return datapath.Network{
		Name: n.Name, VNI: datapath.VNI(n.VNI), MTU: n.MTU, Local: u.Address, Port: r.underlay.port,
		Device: u.Index, Steering: r.modes.of(n.Name), Shortcut: r.modes.shortcutOf(n.Name), Allowed: member.Allowed,
	}
}

func (r *reconciler) localEndpoint(n store.Network, e store.Endpoint) (datapath.Endpoint, error) {
	mac, err := datapath.ParseMAC(e.MAC)
	if err != nil {
		return datapath.Endpoint{}, fmt.Errorf("endpoint %s: %w", e.ID, err)
	}
	return datapath.Endpoint{
		ID: e.ID, Network: n.Name, VNI: datapath.VNI(n.VNI), MTU: n.MTU, MAC: mac,
		Addresses: e.Addresses, Sandbox: e.Sandbox, Routes: otherSubnets(n, e.Addresses),
	}, nil
}

// otherSubnets returns the subnets of a network in which an endpoint has no address: they are on its link too.
// A family that the endpoint does not have is left out.
func otherSubnets(n store.Network, addresses []netip.Prefix) []netip.Prefix {
	var others []netip.Prefix
	for _, subnet := range n.Subnets {
		own, family := false, false
		for _, a := range addresses {
			own = own || subnet.Contains(a.Addr())
			family = family || subnet.Addr().Is4() == a.Addr().Is4()
		}
		if family && !own {
			others = append(others, subnet)
		}
	}
	return others
}

// remote describes an endpoint of another host; false when it cannot be reached, because that host has not
// said where it is.
func remote(hosts map[string]store.Host, e store.Endpoint) (datapath.Remote, bool) {
	h, ok := hosts[e.Host]
	mac, err := datapath.ParseMAC(e.MAC)
	if !ok || !h.Underlay.IsValid() || err != nil {
		return datapath.Remote{}, false
	}
	r := datapath.Remote{MAC: mac, Host: h.Underlay}
	for _, a := range e.Addresses {
		r.Addresses = append(r.Addresses, a.Addr())
	}
	return r, true
}

func (r *reconciler) forwarding(s scene) datapath.Forwarding {
	f := datapath.Forwarding{Local: map[string]datapath.Endpoint{}, Remote: map[string]datapath.Remote{}}
	for id, e := range s.endpoints {
		if e.Host == r.host {
			if local, err := r.localEndpoint(s.network, e); err == nil {
				f.Local[id] = local
			}
		} else if far, ok := remote(s.hosts, e); ok {
			f.Remote[id] = far
		}
	}
	for host := range s.members {
		if h, ok := s.hosts[host]; ok && host != r.host && h.Underlay.IsValid() {
			f.Flood = append(f.Flood, h.Underlay)
		}
	}
	return f
}
