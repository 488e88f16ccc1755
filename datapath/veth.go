package datapath

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// vethPeer describes the container end of a pair that is to be made.
type vethPeer struct {
	name  string
	mac   MAC
	mtu   int
	netns int // file descriptor of the namespace that it is made in; 0: the host's
}

func (p vethPeer) encode() *nl.RtAttr {
	data := nl.NewRtAttr(nl.IFLA_INFO_DATA, nil)
	peer := data.AddRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC)
	peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(p.name))
	peer.AddRtAttr(unix.IFLA_ADDRESS, p.mac[:])
	peer.AddRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(p.mtu)))
	if p.netns != 0 {
		peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(p.netns)))
	}
	return data
}

// ensureVeth makes or repairs the host end; the container's end it only makes.
func (d *Datapath) ensureVeth(ctx context.Context, e Endpoint, want link) (link, outcome, error) {
	host, did, err := d.rt.ensure(ctx, want, func() (link, error) {
		if e.Sandbox != "" {
			return d.rebuildVeth(ctx, e, want)
		}
		return d.makeVeth(ctx, e, want)
	})
	if err != nil {
		return link{}, did, err
	}
	up, err := d.rt.bringUp(ctx, host)
	return host, max(did, up), err
}

func (d *Datapath) makeVeth(ctx context.Context, e Endpoint, want link) (link, error) {
	peer := vethPeer{name: ContainerDevice(e.ID), mac: e.MAC, mtu: e.MTU}
	host, err := d.rt.make(ctx, want, peer.encode())
	if errors.Is(err, unix.EEXIST) {
		// The host end was not there, and ours would have taken the container's end with it.
		return link{}, fmt.Errorf("use device %s: %w; delete or rename it: %w", peer.name, ErrNotOurs, err)
	}
	if err != nil {
		return link{}, err
	}
	if err := d.rt.setAlias(ctx, peer.name, want.tag); err != nil {
		return link{}, errors.Join(err, d.rt.deleteLink(ctx, host))
	}
	return host, nil
}

func (r *rtnl) setAlias(ctx context.Context, name, alias string) error {
	err := r.change(ctx, unix.RTM_NEWLINK, 0, nl.NewIfInfomsg(unix.AF_UNSPEC),
		nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)), nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(alias)))
	if err != nil {
		return fmt.Errorf("tag device %s: %w", name, err)
	}
	return nil
}
