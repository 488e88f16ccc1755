package datapath

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// families in order of preference: IPv4 costs 20 bytes less per packet.
func families() []int { return []int{netlink.FAMILY_V4, netlink.FAMILY_V6} }

// Underlay finds the interface and the address that VXLAN packets leave from. which is an interface's name, an
// address of this host, or empty for the interface of the default route. Of an interface's addresses it takes
// the first global unicast one, IPv4 before IPv6. Its errors are ErrUnderlay and say what there is to choose.
func (d *Datapath) Underlay(ctx context.Context, which string) (Underlay, error) {
	h, err := d.readHost(ctx)
	if err != nil {
		return Underlay{}, fmt.Errorf("find underlay: %w", err)
	}
	u, problem := h.pick(which)
	if problem == "" && !u.up {
		problem = fmt.Sprintf("interface %s is down; bring it up (ip link set %s up)", u.name, u.name)
	}
	if problem != "" {
		return Underlay{}, fmt.Errorf("find underlay %q: %w: %s; candidates: %s", which, ErrUnderlay, problem, h.candidates())
	}
	return Underlay{Interface: u.name, Index: u.index, MTU: u.mtu, Address: u.addr, Up: u.up && u.running}, nil
}

// host is what a host's own network looks like.
type host struct {
	links    map[int]link
	addrs    []hostAddr
	gateways []int // interfaces of default routes, the best one first
}

// hostAddr is an address that packets may be sent from.
type hostAddr struct {
	link
	addr netip.Addr
}

func (d *Datapath) readHost(ctx context.Context) (host, error) {
	list, err := d.rt.links(ctx)
	if err != nil {
		return host{}, err
	}
	h := host{links: make(map[int]link, len(list))}
	for _, l := range list {
		h.links[l.index] = l
	}
	for _, family := range families() {
		if err := d.readFamily(ctx, &h, family); err != nil {
			return host{}, err
		}
	}
	return h, nil
}

func (d *Datapath) readFamily(ctx context.Context, h *host, family int) error {
	addrs, err := d.addresses(ctx, family)
	if err != nil {
		return err
	}
	if family == netlink.FAMILY_V6 {
		slices.Reverse(addrs) // the kernel lists the newest first, and an address that is added must not change the choice
	}
	for _, a := range addrs {
		if addr, ok := usable(a); ok {
			h.addrs = append(h.addrs, hostAddr{h.links[a.LinkIndex], addr})
		}
	}
	routes, err := d.routes(ctx, family)
	if err != nil {
		return err
	}
	slices.SortStableFunc(routes, func(a, b netlink.Route) int { return cmp.Compare(a.Priority, b.Priority) })
	for _, r := range routes {
		if r.Table == unix.RT_TABLE_MAIN && isDefault(r) {
			h.gateways = append(h.gateways, outgoing(r)...)
		}
	}
	return nil
}

// usable gives the address if it is one to send from for good: not tentative, on its way out, or temporary.
func usable(a netlink.Addr) (netip.Addr, bool) {
	const unfit = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED | unix.IFA_F_DEPRECATED | unix.IFA_F_TEMPORARY
	flags := a.Flags
	if a.IP.To4() != nil {
		flags = 0 // the bit of IFA_F_TEMPORARY means "secondary" with IPv4
	}
	addr, ok := netip.AddrFromSlice(a.IP)
	addr = addr.Unmap()
	return addr, ok && flags&unfit == 0 && addr.IsGlobalUnicast()
}

func isDefault(r netlink.Route) bool {
	return r.Type == unix.RTN_UNICAST && (r.Dst == nil || prefixOf(r.Dst).Bits() == 0)
}

func outgoing(r netlink.Route) []int {
	if len(r.MultiPath) == 0 {
		return []int{r.LinkIndex}
	}
	var list []int
	for _, hop := range r.MultiPath {
		list = append(list, hop.LinkIndex)
	}
	return list
}

// pick chooses, or says what is wrong.
func (h host) pick(which string) (hostAddr, string) {
	if addr, err := netip.ParseAddr(which); err == nil {
		for _, a := range h.addrs {
			if a.addr == addr.Unmap() {
				return a, ""
			}
		}
		return hostAddr{}, "no interface has this address; name one that is there, or an interface"
	}
	if which == "" {
		for _, index := range h.gateways {
			if a, ok := h.first(index); ok {
				return a, ""
			}
		}
		return hostAddr{}, "there is no default route over an interface with a global address; name an interface or address (--underlay)"
	}
	for _, l := range h.links {
		if l.name != which {
			continue
		}
		if a, ok := h.first(l.index); ok || !l.up {
			return hostAddr{l, a.addr}, ""
		}
		return hostAddr{}, "the interface has no global unicast address; give it one, or choose another"
	}
	return hostAddr{}, "there is no such interface or address; name one that is there (--underlay)"
}

// first gives the first address of an interface; IPv4 ones were read first.
func (h host) first(index int) (hostAddr, bool) {
	i := slices.IndexFunc(h.addrs, func(a hostAddr) bool { return a.index == index })
	if i < 0 {
		return hostAddr{}, false
	}
	return h.addrs[i], true
}

func (h host) candidates() string {
	var list []string
	for _, a := range h.addrs {
		s := a.name + ": " + a.addr.String()
		if !a.up {
			s += " (down)"
		}
		list = append(list, s)
	}
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// Routes lists the destinations that this host reaches without its default route, and its own subnets: what the
// subnets of overlay networks had better not overlap.
func (d *Datapath) Routes(ctx context.Context) ([]netip.Prefix, error) {
	found := map[netip.Prefix]struct{}{}
	for _, family := range families() {
		routes, err := d.routes(ctx, family)
		if err != nil {
			return nil, err
		}
		for _, r := range routes {
			if r.Type == unix.RTN_UNICAST && r.Dst != nil {
				found[prefixOf(r.Dst)] = struct{}{}
			}
		}
		addrs, err := d.addresses(ctx, family)
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			found[prefixOf(a.IPNet)] = struct{}{}
		}
	}
	var list []netip.Prefix
	for p := range found {
		if p.IsValid() && p.Bits() > 0 && !p.Addr().IsLinkLocalUnicast() && !p.Addr().IsMulticast() {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	return list, nil
}

// routes lists one family's routes of all tables but that of the host's own addresses.
func (d *Datapath) routes(ctx context.Context, family int) ([]netlink.Route, error) {
	all := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	list, err := uninterrupted(ctx, func() ([]netlink.Route, error) {
		return d.rt.RouteListFiltered(family, all, netlink.RT_FILTER_TABLE)
	})
	if noFamily(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return slices.DeleteFunc(list, func(r netlink.Route) bool { return r.Table == unix.RT_TABLE_LOCAL }), nil
}

func (d *Datapath) addresses(ctx context.Context, family int) ([]netlink.Addr, error) {
	list, err := uninterrupted(ctx, func() ([]netlink.Addr, error) { return d.rt.AddrList(nil, family) })
	if noFamily(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	return list, nil
}

// noFamily: the kernel has no IPv6.
func noFamily(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP)
}

// prefixOf gives the zero prefix for what is none.
func prefixOf(n *net.IPNet) netip.Prefix {
	addr, ok := netip.AddrFromSlice(n.IP)
	if !ok {
		return netip.Prefix{}
	}
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), bits).Masked()
}
