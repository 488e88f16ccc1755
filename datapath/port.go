package datapath

import "github.com/vishvananda/netlink/nl"

// portOptions are a bridge port's flags (bridge link, man 8).
type portOptions struct {
	learning, neighSuppress           bool
	flood, multicastFlood, broadcasts bool
}

// The ports of our bridges. Learning is off on all of them: what they forward is known from the store, and a
// learned entry would overtake a static one (br_fdb_update moves an entry to the port that a frame came from,
// whoever made it), so that any container could take another's traffic by using its MAC.
//
// Neighbour suppression on the VXLAN port (kernel 4.15) makes the bridge answer ARP and neighbour solicitations
// from its own tables instead of sending them to all hosts. What it also does: gratuitous ARP, ARP probes,
// unsolicited advertisements and duplicate address detection never leave the host (br_do_proxy_suppress_arp,
// br_do_suppress_nd). So an address that moves between hosts is announced by us, through AddRemote, and by
// nobody else.
var (
	vethPort  = portOptions{flood: true, multicastFlood: true, broadcasts: true}
	vxlanPort = portOptions{flood: true, multicastFlood: true, broadcasts: true, neighSuppress: true}
)

func parsePort(a attrs) portOptions {
	return portOptions{
		learning:       a.flag(nl.IFLA_BRPORT_LEARNING),
		neighSuppress:  a.flag(nl.IFLA_BRPORT_NEIGH_SUPPRESS),
		flood:          a.flag(nl.IFLA_BRPORT_UNICAST_FLOOD),
		multicastFlood: a.flag(nl.IFLA_BRPORT_MCAST_FLOOD),
		broadcasts:     a.flag(nl.IFLA_BRPORT_BCAST_FLOOD),
	}
}

func (o portOptions) encode() *nl.RtAttr {
	data := nl.NewRtAttr(nl.IFLA_INFO_SLAVE_DATA, nil)
	data.AddRtAttr(nl.IFLA_BRPORT_LEARNING, flagAttr(o.learning))
	data.AddRtAttr(nl.IFLA_BRPORT_NEIGH_SUPPRESS, flagAttr(o.neighSuppress))
	data.AddRtAttr(nl.IFLA_BRPORT_UNICAST_FLOOD, flagAttr(o.flood))
	data.AddRtAttr(nl.IFLA_BRPORT_MCAST_FLOOD, flagAttr(o.multicastFlood))
	data.AddRtAttr(nl.IFLA_BRPORT_BCAST_FLOOD, flagAttr(o.broadcasts))
	return data
}
