package datapath

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	ebpflink "github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// earlyProblem is what is wrong with taking datagrams at the driver is listed under. They are taken a little later then.
	earlyProblem = "datagrams at the driver"
	// earlyPin is the name of the link that holds the program at the NIC's driver.
	earlyPin = "early"
)

// ensureEarly takes datagrams at the driver of the underlay's device, or ends that. It keeps nothing else from working.
func (d *Datapath) ensureEarly(ctx context.Context, device int) {
	s := d.short
	err := func() error {
		if !s.config.Early {
			return s.programs.endEarly(s.config.Pins)
		}
		nic, err := d.rt.linkByIndex(ctx, device)
		if err != nil {
			return err
		}
		if err := d.driverObstacle(ctx, nic); err != nil {
			return errors.Join(err, s.programs.endEarly(s.config.Pins))
		}
		return d.inHost(ctx, func() error { return s.programs.beginEarly(nic, s.config.Pins) })
	}()
	d.noteShortcut(earlyProblem, err)
}

// beginEarly goes on where an earlier run has stopped, if one has.
func (p *shortcutting) beginEarly(nic link, dir string) error {
	if err := p.objects.Nics.Put(uint32(0), shortcutNic{Mac: nic.mac}); err != nil {
		return fmt.Errorf("tell shortcut of %s: %w", nic.name, err)
	}
	if p.early != nil && attachedTo(p.early) == nic.index {
		return nil
	}
	if err := p.closeEarly(); err != nil {
		return err
	}
	l, err := attachDriver(p.objects.FalconEarly, nic.index, filepath.Join(dir, earlyPin))
	if err != nil {
		return refusal(nic, err)
	}
	p.early = l
	return nil
}

// adoptEarly goes on with the link that an earlier run has pinned, if one has: datagrams are taken meanwhile, and endpoints are to stay as they are.
func (p *shortcutting) adoptEarly(dir string) error {
	l, err := ebpflink.LoadPinnedLink(filepath.Join(dir, earlyPin), nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("take over what is at the driver: %w", err)
	}
	if attachedTo(l) == 0 {
		return l.Close() // its device is gone
	}
	if err := l.Update(p.objects.FalconEarly); err != nil {
		return errors.Join(fmt.Errorf("replace the program at the driver: %w", err), l.Close())
	}
	p.early = l
	return nil
}

// endEarly leaves the driver's frames alone, also those that an earlier run took.
func (p *shortcutting) endEarly(dir string) error {
	err := os.Remove(filepath.Join(dir, earlyPin))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, p.closeEarly())
}

// closeEarly lets go of the link. What is pinned stays.
func (p *shortcutting) closeEarly() error {
	if p.early == nil {
		return nil
	}
	l := p.early
	p.early = nil
	return l.Close()
}

// acceptEarly has a container's device take frames without sk_buffs, which the host's end of its veth sends, and tells whether it does.
// A veth sends them if its other end receives in polls, and looks whether that is so when the other end, being up, begins to, or when it goes up
// itself (veth_set_features, veth_open).
func (d *Datapath) acceptEarly(ctx context.Context, e Endpoint, host link) (bool, error) {
	steps := []func() error{
		func() error { return nil },
		func() error {
			return d.atContainerEnd(ctx, e, host, func(at containerEnd) error {
				return at.run(func() error {
					return errors.Join(setFeatures(at.name, map[string]bool{groFeature: false}), setFeatures(at.name, map[string]bool{groFeature: true}))
				})
			})
		},
		func() error { return d.rt.bounce(ctx, host) }, // the other end is down, so nothing is lost
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return false, fmt.Errorf("have endpoint %s take frames: %w", shortID(e.ID), err)
		}
		accepts := false
		err := d.inHost(ctx, func() (err error) {
			accepts, err = transmitsFrames(host.index)
			return err
		})
		if err != nil || accepts {
			return accepts, err
		}
	}
	return false, nil
}

// Of linux/netdev.h, kernel 6.3.
const (
	netdevFamily      = "netdev"
	netdevVersion     = 1
	netdevGet         = 1      // NETDEV_CMD_DEV_GET
	netdevIndex       = 1      // NETDEV_A_DEV_IFINDEX
	netdevXDPFeatures = 3      // NETDEV_A_DEV_XDP_FEATURES
	xdpTransmit       = 1 << 2 // NETDEV_XDP_ACT_NDO_XMIT
)

// transmitsFrames tells whether a device of the thread's namespace sends frames that are no sk_buffs. The kernel drops them where not.
func transmitsFrames(index int) (bool, error) {
	family, err := netlink.GenlFamilyGet(netdevFamily)
	if errors.Is(err, unix.ENOENT) {
		return true, nil // before kernel 6.3 a veth does as soon as its other end receives in polls
	}
	if err != nil {
		return false, fmt.Errorf("find netlink family %s: %w", netdevFamily, err)
	}
	request := nl.NewNetlinkRequest(int(family.ID), 0)
	request.AddRawData([]byte{netdevGet, netdevVersion, 0, 0}) // nl.Genlmsg lacks the header's last two bytes (netlink 1.3.1)
	request.AddRawData(nl.NewRtAttr(netdevIndex, nl.Uint32Attr(uint32(index))).Serialize())
	replies, err := request.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return false, fmt.Errorf("read XDP features: %w", err)
	}
	for _, reply := range replies {
		attributes, err := nl.ParseRouteAttr(reply[nl.SizeofGenlmsg:])
		if err != nil {
			return false, fmt.Errorf("parse XDP features: %w", err)
		}
		for _, a := range attributes {
			if a.Attr.Type == netdevXDPFeatures {
				return nl.NativeEndian().Uint64(a.Value)&xdpTransmit != 0, nil
			}
		}
	}
	return false, nil
}
