package datapath

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// rebuildVeth makes a lost pair anew, its container end inside the container, with all that Docker had given it.
func (d *Datapath) rebuildVeth(ctx context.Context, e Endpoint, want link) (link, error) {
	ns, err := d.root.openSandbox(e.Sandbox)
	if err != nil {
		return link{}, fmt.Errorf("rebuild veth: %w", err)
	}
	defer ns.Close()
	// The kernel fills in the lowest free number: the lost device's, as long as no other has come since.
	peer := vethPeer{name: "eth%d", mac: e.MAC, mtu: e.MTU, netns: int(ns)}
	host, err := d.rt.make(ctx, want, peer.encode())
	if err != nil {
		return link{}, err
	}
	if err := furnish(ctx, ns, host.peer, e, want.tag); err != nil {
		return link{}, errors.Join(err, d.rt.deleteLink(ctx, host))
	}
	d.log.WithField("endpoint", e.ID).Warn("veth was lost and has been rebuilt in the running container")
	return host, nil
}

// furnish gives a container end inside its namespace what Docker gives it at Join.
func furnish(ctx context.Context, ns netns.NsHandle, index int, e Endpoint, tag string) error {
	rt, err := openRTNL(ns)
	if err != nil {
		return err
	}
	defer rt.Close()
	end, err := rt.linkByIndex(ctx, index)
	if err != nil {
		return err
	}
	if err := rt.setAlias(ctx, end.name, tag); err != nil {
		return err
	}
	if hasIPv6(e.Addresses) {
		if err := inNetns(ns, func() error { return enableIPv6(end.name) }); err != nil {
			return err
		}
	}
	if err := rt.setUp(ctx, end); err != nil {
		return err
	}
	return rt.address(ctx, end, e)
}

func hasIPv6(addresses []netip.Prefix) bool {
	for _, p := range addresses {
		if p.Addr().Is6() {
			return true
		}
	}
	return false
}

// address sets addresses, without duplicate address detection (IPAM has seen to it, and the bridge would not
// let it through), and routes to the network's other subnets.
func (r *rtnl) address(ctx context.Context, end link, e Endpoint) error {
	dev := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: end.index, Name: end.name}}
	for _, p := range e.Addresses {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.AddrReplace(dev, &netlink.Addr{IPNet: ipNet(p), Flags: unix.IFA_F_NODAD}); err != nil {
			return fmt.Errorf("add address %s to %s: %w", p, end.name, err)
		}
	}
	for _, p := range e.Routes {
		if err := ctx.Err(); err != nil {
			return err
		}
		route := &netlink.Route{LinkIndex: end.index, Dst: ipNet(p.Masked()), Scope: netlink.SCOPE_LINK}
		if err := r.RouteReplace(route); err != nil {
			return fmt.Errorf("add route %s to %s: %w", p, end.name, err)
		}
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// enableIPv6 clears disable_ipv6 of a device in the calling thread's namespace: Docker sets it for the whole of a
// sandbox and clears it for each interface that has an IPv6 address.
func enableIPv6(device string) error {
	if err := writeSysctl("net/ipv6/conf/"+device+"/disable_ipv6", "0"); err != nil {
		return fmt.Errorf("enable IPv6 on %s: %w", device, err)
	}
	return nil
}

// writeSysctl sets a sysctl of the calling thread's network namespace. In a managed plugin /proc/sys is read-only.
func writeSysctl(name, value string) error {
	err := os.WriteFile("/proc/sys/"+name, []byte(value), 0)
	if !errors.Is(err, unix.EROFS) {
		return err
	}
	return writeDetached(name, value)
}

// writeDetached sets a sysctl through a procfs of our own that is mounted nowhere.
func writeDetached(name, value string) error {
	proc, err := detached("proc")
	if err != nil {
		return err
	}
	defer unix.Close(proc)
	fd, err := unix.Openat(proc, "sys/"+name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open sysctl %s: %w", name, err)
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(value))
	return err
}
