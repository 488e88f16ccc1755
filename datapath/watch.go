package datapath

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Watcher is told what others changed in the kernel. Its methods are called from two goroutines, must not block
// for long, and are told of our own changes too.
type Watcher interface {
	// RulesChanged: a netfilter rule came or went. Engines and firewalls rewrite FORWARD when they start.
	RulesChanged()
	// LinkGone: a device was deleted, left its bridge, or moved to another namespace.
	LinkGone(name string)
	// RouteChanged: an IPv4 route to these addresses came or went. The shortcut keeps what it knows of the ways to other hosts.
	RouteChanged(to netip.Prefix)
}

// Watch reports changes until ctx ends, whose error it returns, or a subscription breaks. Events that were lost because they
// came too fast are reported as RulesChanged, or as a RouteChanged of all addresses; a lost LinkGone is for the caller's timer to find.
func (d *Datapath) Watch(ctx context.Context, w Watcher) error {
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error {
		return d.subscribe(ctx, unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES, func(m syscall.NetlinkMessage) {
			switch m.Header.Type & 0xff {
			case unix.NFT_MSG_NEWRULE, unix.NFT_MSG_DELRULE:
				w.RulesChanged()
			}
		}, w.RulesChanged)
	})
	tasks.Go(func() error {
		return d.subscribe(ctx, unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, func(m syscall.NetlinkMessage) {
			if m.Header.Type != unix.RTM_DELLINK {
				return
			}
			if name := linkName(m.Data); name != "" {
				w.LinkGone(name)
			}
		}, func() {})
	})
	tasks.Go(func() error {
		return d.subscribe(ctx, unix.NETLINK_ROUTE, unix.RTNLGRP_IPV4_ROUTE, func(m syscall.NetlinkMessage) {
			if to, ok := routeTarget(m.Data); ok {
				w.RouteChanged(to)
			}
		}, func() { w.RouteChanged(netip.PrefixFrom(netip.IPv4Unspecified(), 0)) })
	})
	return tasks.Wait()
}

// routeTarget reads where an IPv4 route leads; not ok: to this host itself.
func routeTarget(msg []byte) (netip.Prefix, bool) {
	if len(msg) < unix.SizeofRtMsg {
		return netip.Prefix{}, false
	}
	head := nl.DeserializeRtMsg(msg)
	if head.Family != unix.AF_INET || head.Table == unix.RT_TABLE_LOCAL {
		return netip.Prefix{}, false
	}
	to := netip.IPv4Unspecified()
	if a, ok := netip.AddrFromSlice(attrs(msg[unix.SizeofRtMsg:]).get(unix.RTA_DST)); ok {
		to = a
	}
	return netip.PrefixFrom(to, int(head.Dst_len)), true
}

// linkName reads the name alone: a port that leaves its bridge is an RTM_DELLINK too, of family AF_BRIDGE, whose
// other attributes are laid out differently.
func linkName(msg []byte) string {
	if len(msg) < unix.SizeofIfInfomsg {
		return ""
	}
	return attrs(msg[unix.SizeofIfInfomsg:]).str(unix.IFLA_IFNAME)
}

// subscribe hands each message of a multicast group to handle, until ctx ends.
func (d *Datapath) subscribe(ctx context.Context, protocol int, group uint, handle func(syscall.NetlinkMessage), lost func()) error {
	var s *nl.NetlinkSocket
	err := d.inHost(ctx, func() (err error) {
		s, err = nl.Subscribe(protocol, group)
		return err
	})
	if err != nil {
		return fmt.Errorf("watch the kernel: %w", err)
	}
	stop := context.AfterFunc(ctx, s.Close)
	defer func() {
		if stop() {
			s.Close()
		}
	}()
	for {
		messages, _, err := s.Receive()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, unix.ENOBUFS):
			lost()
		case err != nil:
			return fmt.Errorf("watch the kernel: %w", err)
		}
		for _, m := range messages {
			handle(m)
		}
	}
}
