package datapath

import (
	"errors"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

var errShort = errors.New("netlink message is cut short")

// parseLink reads an RTM_NEWLINK message.
func parseLink(msg []byte) (link, error) {
	if len(msg) < unix.SizeofIfInfomsg {
		return link{}, errShort
	}
	head, a := nl.DeserializeIfInfomsg(msg), attrs(msg[unix.SizeofIfInfomsg:])
	l := link{
		index:   int(head.Index),
		name:    a.str(unix.IFLA_IFNAME),
		tag:     a.str(unix.IFLA_IFALIAS),
		group:   a.u32(unix.IFLA_GROUP),
		up:      head.Flags&unix.IFF_UP != 0,
		running: head.Flags&unix.IFF_RUNNING != 0,
		mtu:     int(a.u32(unix.IFLA_MTU)),
		master:  int(a.u32(unix.IFLA_MASTER)),
		peer:    int(a.u32(unix.IFLA_LINK)),
		addrGen: addrGenAbsent,
	}
	copy(l.mac[:], a.get(unix.IFLA_ADDRESS))
	inet6 := a.nested(unix.IFLA_AF_SPEC).nested(unix.AF_INET6)
	if mode := inet6.get(unix.IFLA_INET6_ADDR_GEN_MODE); len(mode) > 0 {
		l.addrGen = int(mode[0])
	}
	l.parseInfo(a.nested(unix.IFLA_LINKINFO))
	return l, nil
}

// parseInfo reads what only devices of a kind have.
func (l *link) parseInfo(info attrs) {
	l.kind = info.str(nl.IFLA_INFO_KIND)
	data := info.nested(nl.IFLA_INFO_DATA)
	switch l.kind {
	case kindBridge:
		l.bridge = parseBridge(data)
	case kindVXLAN:
		l.vxlan = parseVXLAN(data)
	}
	if info.str(nl.IFLA_INFO_SLAVE_KIND) == kindBridge {
		l.port = parsePort(info.nested(nl.IFLA_INFO_SLAVE_DATA))
	}
}
