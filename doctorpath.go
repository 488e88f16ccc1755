package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"falcon/datapath"
	"falcon/driver"
)

// echoPatience is for one answer; hosts of a cluster are near.
const echoPatience = 500 * time.Millisecond

// examinePaths tries whether packets as large as the underlay's interface allows come to each other host and back in one piece. A path
// that is narrower than the interface says loses large packets without a word.
func examinePaths(ctx context.Context, s *driver.Status) []datapath.Finding {
	if s == nil {
		return nil
	}
	var findings []datapath.Finding
	local, mtu := s.Host.Underlay.Address, s.Host.Underlay.MTU
	for _, p := range s.Peers {
		if p.Underlay.Is4() == local.Is4() {
			findings = append(findings, judgePath(p.Name, mtu, func(size int) error { return echo(ctx, local, p.Underlay, size) }))
		}
	}
	return findings
}

// judgePath sends a small packet and one of the MTU's size.
func judgePath(peer string, mtu int, send func(size int) error) datapath.Finding {
	const small = 100
	f := datapath.Finding{Check: "path to " + peer, OK: true, Detail: fmt.Sprintf("takes packets of %d bytes, the interface's MTU", mtu)}
	large := send(mtu)
	if large == nil {
		return f
	}
	if err := send(small); err != nil {
		f.Detail = "unknown: no echo comes back: " + err.Error()
		f.Advice = "if it is not the firewall that drops echoes, the hosts do not reach each other"
		return f
	}
	f.OK, f.Detail = false, fmt.Sprintf("loses packets of %d bytes, the interface's MTU: %v", mtu, large)
	f.Advice = "lower the MTU of the interface, or create networks with -o com.docker.network.driver.mtu=N, so that N and 50 bytes more fit (70 over IPv6)"
	return f
}

// echo sends an ICMP echo request in an IP packet of so many bytes, which nobody may cut, and waits for the answer.
func echo(ctx context.Context, from, to netip.Addr, size int) error {
	network, protocol, head, ask := "ip4:icmp", 1, ipv4.HeaderLen, icmp.Type(ipv4.ICMPTypeEcho)
	answer := icmp.Type(ipv4.ICMPTypeEchoReply)
	level, option := unix.IPPROTO_IP, unix.IP_MTU_DISCOVER
	if to.Is6() {
		network, protocol, head, ask = "ip6:ipv6-icmp", 58, ipv6.HeaderLen, icmp.Type(ipv6.ICMPTypeEchoRequest)
		answer = icmp.Type(ipv6.ICMPTypeEchoReply)
		level, option = unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		return errors.Join(raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, unix.IP_PMTUDISC_PROBE) }), err)
	}}
	conn, err := config.ListenPacket(ctx, network, from.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	const echoHead = 8
	body := &icmp.Echo{ID: os.Getpid() & 0xffff, Seq: size, Data: make([]byte, size-head-echoHead)}
	request, err := (&icmp.Message{Type: ask, Body: body}).Marshal(nil) // the kernel sums what IPv6 asks for
	if err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(echoPatience)); err != nil {
		return err
	}
	if _, err := conn.WriteTo(request, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return err
	}
	buffer := make([]byte, size+head)
	for {
		n, _, err := conn.ReadFrom(buffer)
		if err != nil {
			return err
		}
		m, err := icmp.ParseMessage(protocol, buffer[:n])
		if err != nil {
			continue
		}
		if e, ok := m.Body.(*icmp.Echo); ok && m.Type == answer && e.ID == body.ID && e.Seq == body.Seq {
			return nil
		}
	}
}
