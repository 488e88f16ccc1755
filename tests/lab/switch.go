package lab

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Numbers of the hosts that are not h1, h2, ...: the last byte of their addresses. A lab has room for 200.
const (
	switchNumber = 254
	etcdNumber   = 250
	maxHosts     = 200
)

// Labs cannot reach each other, so all use the same addresses.
func hostAddr(number int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 99, 0, byte(number)})
}

func hostAddr6(number int) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x99, 15: byte(number)})
}

// hostsFile is the /etc/hosts of every host of the lab.
func (l *Lab) hostsFile() []byte {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost ip6-localhost\n")
	line := func(name string, number int) {
		fmt.Fprintf(&b, "%v %s\n%v %s\n", hostAddr(number), name, hostAddr6(number), name)
	}
	for i := range l.options.Hosts {
		line(hostName(i+1), i+1)
	}
	line("etcd", etcdNumber)
	return []byte(b.String())
}

func hostName(number int) string { return "h" + strconv.Itoa(number) }

// startSwitch boots the host that is the switch: a bridge that neither filters nor takes part in traffic.
func (l *Lab) startSwitch(ctx context.Context) error {
	var err error
	if l.wire, err = newHost(ctx, l, "switch", switchNumber); err != nil {
		return err
	}
	_, err = l.wire.Exec(ctx, "bash", "-euc", `
		cd /proc/sys/net
		echo 1 >ipv6/conf/all/disable_ipv6
		echo 1 >ipv6/conf/default/disable_ipv6
		ip link add switch type bridge mcast_snooping 0
		for filter in bridge/bridge-nf-call-*; do [ ! -e $filter ] || echo 0 >$filter; done
		ip link set switch up`)
	return err
}

// connect gives a host its eth0, with addresses, and no route beyond the lab.
func (l *Lab) connect(ctx context.Context, h *Host) error {
	mtu := strconv.Itoa(l.options.MTU)
	// Only the network namespace is the switch's: the host's process 1 is known here by a number of
	// the caller's.
	_, err := l.wire.exec(ctx, netOnly, nil, "ip", "link", "add", h.Name, "mtu", mtu, "master", "switch", "up",
		"type", "veth", "peer", "name", "eth0", "mtu", mtu, "netns", strconv.Itoa(h.cmd.Process.Pid))
	if err != nil {
		return fmt.Errorf("connect %s: %w", h.Name, err)
	}
	_, err = h.Exec(ctx, "bash", "-euc", `
		ip addr add $0/24 dev eth0
		ip addr add $1/64 dev eth0 nodad
		ip link set eth0 up`, h.Addr.String(), h.Addr6.String())
	if err != nil {
		return fmt.Errorf("connect %s: %w", h.Name, err)
	}
	return nil
}

// disconnect removes what connect made. The kernel does so too when the host goes, but some time later.
func (l *Lab) disconnect(ctx context.Context, h *Host) error {
	_, err := l.wire.Exec(ctx, "sh", "-c", `ip link delete $0 || ! ip link show $0`, h.Name)
	return err
}

// Unplug cuts the host off from the others: eth0 loses its carrier.
func (h *Host) Unplug(ctx context.Context) error {
	_, err := h.lab.wire.Exec(ctx, "ip", "link", "set", h.Name, "down")
	return err
}

// Plug undoes Unplug.
func (h *Host) Plug(ctx context.Context) error {
	_, err := h.lab.wire.Exec(ctx, "ip", "link", "set", h.Name, "up")
	return err
}
