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
	head := nl.DeserializeIfInfomsg(msg)
	a, err := parseAttrs(msg[unix.SizeofIfInfomsg:])
	if err != nil {
		return link{}, err
	}
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
	}
	copy(l.mac[:], a[unix.IFLA_ADDRESS])
	if l.addrGen, err = parseAddrGen(a); err != nil {
		return link{}, err
	}
	return l, l.parseInfo(a)
}

func parseAddrGen(a attrs) (int, error) {
	families, err := a.nested(unix.IFLA_AF_SPEC)
	if err != nil {
		return 0, err
	}
	inet6, err := families.nested(unix.AF_INET6)
	if err != nil {
		return 0, err
	}
	if mode := inet6[unix.IFLA_INET6_ADDR_GEN_MODE]; len(mode) > 0 {
		return int(mode[0]), nil
	}
	return addrGenAbsent, nil
}

// parseInfo reads what only devices of a kind have.
func (l *link) parseInfo(a attrs) error {
	info, err := a.nested(unix.IFLA_LINKINFO)
	if err != nil {
		return err
	}
	l.kind = info.str(nl.IFLA_INFO_KIND)
	data, err := info.nested(nl.IFLA_INFO_DATA)
	if err != nil {
		return err
	}
	switch l.kind {
	case kindBridge:
		l.bridge = parseBridge(data)
	case kindVXLAN:
		l.vxlan = parseVXLAN(data)
	}
	if info.str(nl.IFLA_INFO_SLAVE_KIND) != kindBridge {
		return nil
	}
	port, err := info.nested(nl.IFLA_INFO_SLAVE_DATA)
	l.port = parsePort(port)
	return err
}
