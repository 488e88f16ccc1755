package datapath

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	kindBridge = "bridge"
	kindVXLAN  = "vxlan"
	kindVeth   = "veth"

	// makingGroup marks a device that we have created and not tagged yet: the kernel takes a group in the
	// request that creates a link, an alias only in a later one. If we die in between, the next run knows
	// the device for ours by this number ("FALC"). The request that sets the alias clears the group.
	makingGroup = 0x46414c43

	// rtextSkipStats is RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h: half of a link's message is counters.
	rtextSkipStats = 1 << 3

	// addrGenNone is IN6_ADDR_GEN_MODE_NONE: no link-local address of ours on any device inside the overlay.
	addrGenNone = 1
	// addrGenAbsent: the device has no IPv6 (the kernel was booted with ipv6.disable=1, or the MTU is below
	// 1280), and the kernel refuses IPv6 attributes.
	addrGenAbsent = -1
)

// link is what we set or look at of a network device.
type link struct {
	index   int
	name    string
	kind    string
	tag     string // the alias
	group   uint32
	up      bool
	running bool // has a carrier, as far as the kernel knows
	mtu     int
	mac     MAC
	master  int // index of the bridge, 0 without
	peer    int // index of a veth's other end
	addrGen int
	port    portOptions // zero unless master is a bridge
	bridge  bridgeOptions
	vxlan   vxlanOptions
}

// errNoLink: there is no device of that name.
var errNoLink = errors.New("no such device")

// linkByName reads one device; errNoLink if there is none.
func (r *rtnl) linkByName(ctx context.Context, name string) (link, error) {
	return r.getLink(ctx, name, nl.NewIfInfomsg(unix.AF_UNSPEC), nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
}

func (r *rtnl) linkByIndex(ctx context.Context, index int) (link, error) {
	return r.getLink(ctx, fmt.Sprintf("number %d", index), infomsg(index, 0))
}

func (r *rtnl) getLink(ctx context.Context, what string, data ...nl.NetlinkRequestData) (link, error) {
	data = append(data, nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(rtextSkipStats)))
	msg, err := r.get(ctx, unix.RTM_GETLINK, data...)
	switch {
	case errors.Is(err, unix.ENODEV):
		return link{}, fmt.Errorf("get device %s: %w", what, errNoLink)
	case err != nil:
		return link{}, fmt.Errorf("get device %s: %w", what, err)
	}
	return parseLink(msg)
}

// links lists devices. A filter (IFLA_MASTER, or IFLA_LINKINFO with a kind) is applied by the kernel.
func (r *rtnl) links(ctx context.Context, filter ...nl.NetlinkRequestData) ([]link, error) {
	data := append([]nl.NetlinkRequestData{nl.NewIfInfomsg(unix.AF_UNSPEC)}, filter...)
	data = append(data, nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(rtextSkipStats)))
	msgs, err := r.dump(ctx, unix.RTM_GETLINK, data...)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	list := make([]link, 0, len(msgs))
	for _, m := range msgs {
		l, err := parseLink(m)
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

func ofKind(kind string) nl.NetlinkRequestData {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.ZeroTerminated(kind))
	return info
}

func inBridge(index int) nl.NetlinkRequestData {
	return nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(index)))
}

// createLink makes a device, down and marked as being made.
func (r *rtnl) createLink(ctx context.Context, want link, own *nl.RtAttr) error {
	data := []nl.NetlinkRequestData{
		nl.NewIfInfomsg(unix.AF_UNSPEC),
		nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(want.name)),
		nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(want.mtu))),
		nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(makingGroup)),
	}
	if want.master != 0 {
		data = append(data, inBridge(want.master))
	}
	if !want.mac.IsZero() {
		data = append(data, nl.NewRtAttr(unix.IFLA_ADDRESS, want.mac[:]))
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(want.kind))
	if own != nil {
		info.AddChild(own)
	}
	return r.change(ctx, unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, append(data, info)...)
}

// outcome is what an ensure did to a device, in order of weight.
type outcome int

const (
	kept outcome = iota
	repaired
	created
)

func (o outcome) change() Change {
	if o == kept {
		return Change{}
	}
	return Change{Added: 1}
}

// ensure gives a device what it lacks, or calls make if it is not there. It does not bring it up.
func (r *rtnl) ensure(ctx context.Context, want link, make func() (link, error)) (link, outcome, error) {
	have, err := r.linkByName(ctx, want.name)
	if errors.Is(err, errNoLink) {
		have, err = make()
		return have, created, err
	}
	if err != nil {
		return link{}, kept, err
	}
	if err := want.mayTake(have); err != nil {
		return link{}, kept, err
	}
	if want.settled(have) {
		return have, kept, nil
	}
	return have, repaired, r.settle(ctx, have, want)
}

// make creates a device and settles it, or leaves none. own are attributes of this kind of device.
func (r *rtnl) make(ctx context.Context, want link, own *nl.RtAttr) (link, error) {
	if err := r.createLink(ctx, want, own); err != nil {
		return link{}, fmt.Errorf("create device %s: %w", want.name, err)
	}
	have, err := r.linkByName(ctx, want.name)
	if err != nil {
		return link{}, err
	}
	if err := r.settle(ctx, have, want); err != nil {
		return link{}, errors.Join(err, r.deleteLink(ctx, have))
	}
	return have, nil
}

// mayTake tells, by an error, that the device with our name is not the one that we want to keep.
func (want link) mayTake(have link) error {
	if have.kind == want.kind && (have.tag == want.tag || have.tag == "" && have.group == makingGroup) {
		return nil
	}
	w, _ := parseTag(want.tag)
	h, ok := parseTag(have.tag)
	switch {
	case !ok || have.kind != want.kind || h.vni != w.vni && w.endpoint == "":
		return fmt.Errorf("use device %s (%s, alias %q): %w; delete or rename it", have.name, have.kind, have.tag, ErrNotOurs)
	case h.endpoint != w.endpoint:
		return fmt.Errorf("use device %s: %w: it is of endpoint %s", have.name, ErrNotOurs, h.endpoint)
	case h.network != w.network && w.endpoint == "":
		return fmt.Errorf("use device %s: %w: network %q has VNI %d", have.name, ErrVNITaken, h.network, h.vni)
	}
	return nil
}

// bringUp sets a device up that is not.
func (r *rtnl) bringUp(ctx context.Context, l link) (outcome, error) {
	if l.up {
		return kept, nil
	}
	return repaired, r.setUp(ctx, l)
}

// settled tells whether have needs no settle.
func (want link) settled(have link) bool {
	return have.tag == want.tag && have.group == 0 && have.mtu == want.mtu && have.master == want.master &&
		(have.addrGen == addrGenNone || have.addrGen == addrGenAbsent) &&
		have.port == want.port && have.bridge == want.bridge
}

// settle gives an existing device all that can be changed, except that it does not bring it up.
func (r *rtnl) settle(ctx context.Context, have, want link) error {
	if have.master != want.master {
		// Port options are refused until the device is a port.
		if err := r.change(ctx, unix.RTM_NEWLINK, 0, infomsg(have.index, 0), inBridge(want.master)); err != nil {
			return fmt.Errorf("put device %s into its bridge: %w", want.name, err)
		}
	}
	data := []nl.NetlinkRequestData{
		infomsg(have.index, 0),
		nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(want.tag)),
		nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(0)),
		nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(want.mtu))),
	}
	if have.addrGen != addrGenAbsent {
		af := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
		af.AddRtAttr(unix.AF_INET6, nil).AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, []byte{addrGenNone})
		data = append(data, af)
	}
	if info := want.changeable(); info != nil {
		data = append(data, info)
	}
	if err := r.change(ctx, unix.RTM_NEWLINK, 0, data...); err != nil {
		return fmt.Errorf("configure device %s: %w", want.name, err)
	}
	return nil
}

// changeable gives the options of a bridge or of a bridge port.
func (want link) changeable() *nl.RtAttr {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	switch {
	case want.kind == kindBridge:
		info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(kindBridge))
		info.AddChild(want.bridge.encode())
	case want.master != 0:
		info.AddRtAttr(nl.IFLA_INFO_SLAVE_KIND, nl.NonZeroTerminated(kindBridge))
		info.AddChild(want.port.encode())
	default:
		return nil
	}
	return info
}

func (r *rtnl) setUp(ctx context.Context, l link) error {
	if err := r.change(ctx, unix.RTM_NEWLINK, 0, infomsg(l.index, unix.IFF_UP)); err != nil {
		return fmt.Errorf("bring up device %s: %w", l.name, err)
	}
	return nil
}

// deleteLink removes a device; one that is gone already is no error.
func (r *rtnl) deleteLink(ctx context.Context, l link) error {
	err := r.change(ctx, unix.RTM_DELLINK, 0, infomsg(l.index, 0))
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete device %s: %w", l.name, err)
	}
	return nil
}

// infomsg addresses a device by index and sets flags.
// bounce takes a device down and up again.
func (r *rtnl) bounce(ctx context.Context, l link) error {
	down := infomsg(l.index, 0)
	down.Change = unix.IFF_UP
	if err := r.change(ctx, unix.RTM_NEWLINK, 0, down); err != nil {
		return fmt.Errorf("take %s down: %w", l.name, err)
	}
	return r.setUp(ctx, l)
}

func infomsg(index int, flags uint32) *nl.IfInfomsg {
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Index, m.Flags, m.Change = int32(index), flags, flags
	return m
}
