package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"falcon/datapath"
	"falcon/driver"
)

// echoPatience is for one answer; hosts of a cluster are near.
const echoPatience = 500 * time.Millisecond

// pathsAtOnce bounds how many hosts are tried at a time.
const pathsAtOnce = 16

// examinePaths tries whether packets as large as the underlay's interface allows come to each other host and back in one piece. A path
// that is narrower than the interface says loses large packets without a word.
func examinePaths(ctx context.Context, s *driver.Status) []datapath.Finding {
	if s == nil {
		return nil
	}
	local, mtu := s.Host.Underlay.Address, s.Host.Underlay.MTU
	peers := slices.DeleteFunc(slices.Clone(s.Peers), func(p driver.PeerStatus) bool { return p.Underlay.Is4() != local.Is4() })
	findings := make([]datapath.Finding, len(peers))
	var tries errgroup.Group
	tries.SetLimit(pathsAtOnce)
	for i, p := range peers {
		tries.Go(func() error {
			findings[i] = judgePath(p.Name, mtu, func(size int) error { return echo(ctx, local, p.Underlay, size) })
			return nil
		})
	}
	_ = tries.Wait() // none fails
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

// echoes is what ICMP calls its echoes in a family.
type echoes struct {
	network       string
	protocol      int
	ask, answer   icmp.Type
	head          int // bytes of an IP header
	level, option int // of the socket: whether packets may be cut
}

func echoesOf(a netip.Addr) echoes {
	if a.Is4() {
		return echoes{"ip4:icmp", unix.IPPROTO_ICMP, ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply, ipv4.HeaderLen, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER}
	}
	return echoes{"ip6:ipv6-icmp", unix.IPPROTO_ICMPV6, ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, ipv6.HeaderLen, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER}
}

// echo sends an ICMP echo request in an IP packet of so many bytes, which nobody may cut, and waits for the answer.
func echo(ctx context.Context, from, to netip.Addr, size int) error {
	const echoHead = 8 // bytes
	e := echoesOf(to)
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		return errors.Join(raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), e.level, e.option, unix.IP_PMTUDISC_PROBE) }), err)
	}}
	conn, err := config.ListenPacket(ctx, e.network, from.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	body := &icmp.Echo{ID: os.Getpid() & 0xffff, Seq: size & 0xffff, Data: make([]byte, size-e.head-echoHead)}
	request, err := (&icmp.Message{Type: e.ask, Body: body}).Marshal(nil) // the kernel sums what IPv6 asks for
	if err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(echoPatience)); err != nil {
		return err
	}
	if _, err := conn.WriteTo(request, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return err
	}
	return e.await(conn, to, body)
}

// await waits for the answer to a request. A raw socket is given everybody's.
func (e echoes) await(conn net.PacketConn, from netip.Addr, request *icmp.Echo) error {
	buffer := make([]byte, e.head+request.Len(e.protocol)+maxIPOptions)
	for {
		n, sender, err := conn.ReadFrom(buffer)
		if err != nil {
			return err
		}
		m, err := icmp.ParseMessage(e.protocol, buffer[:n])
		if err != nil || m.Type != e.answer || sender.String() != from.String() {
			continue
		}
		if got, ok := m.Body.(*icmp.Echo); ok && got.ID == request.ID && got.Seq == request.Seq {
			return nil
		}
	}
}

// maxIPOptions is the most bytes of them.
const maxIPOptions = 40
