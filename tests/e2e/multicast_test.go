package e2e

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Multicast and broadcast reach all containers of the network, on every host, and no others.
func TestMulticastAndBroadcast(t *testing.T) {
	f := cluster.open(t)
	f.overlay("many", "--ipv6", "--subnet", "10.52.0.0/24", "--subnet", "fd52::/64")
	f.overlay("other", "--ipv6", "--subnet", "10.53.0.0/24", "--subnet", "fd53::/64")
	from := f.box(f.h1, "many", "sender")
	members := []box{f.box(f.h1, "many", "near"), f.box(f.h2, "many", "far")}
	strangers := []box{f.box(f.h1, "other", "near-stranger"), f.box(f.h2, "other", "far-stranger")}

	for name, group := range map[string]netip.AddrPort{
		"IPv4 multicast":    netip.MustParseAddrPort("239.7.0.1:7001"),
		"IPv6 multicast":    netip.MustParseAddrPort("[ff12::7:1]:7002"),
		"subnet broadcast":  netip.MustParseAddrPort("10.52.0.255:7003"),
		"limited broadcast": netip.MustParseAddrPort("255.255.255.255:7004"),
	} {
		t.Run(name, func(t *testing.T) {
			var inside, outside []*net.UDPConn
			for _, b := range members {
				inside = append(inside, b.hearGroup(t, group))
			}
			for _, b := range strangers {
				outside = append(outside, b.hearGroup(t, group))
			}
			from.sendGroup(t, group, name)
			for i, conn := range inside {
				if text, err := receive(conn, answerLimit); err != nil || text != name {
					t.Errorf("%v got %q, %v", members[i], text, err)
				}
			}
			for i, conn := range outside {
				if text, err := receive(conn, silence); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%v of another network got %q, %v", strangers[i], text, err)
				}
			}
		})
	}
}

// hearGroup listens on a port, as a member of the group if it is one.
func (b box) hearGroup(t *testing.T, group netip.AddrPort) *net.UDPConn {
	t.Helper()
	device := b.device(t, b.v4)
	address := net.UDPAddrFromAddrPort(group)
	var conn *net.UDPConn
	err := b.host.InNet(b.sandbox, func() (err error) {
		if group.Addr().IsMulticast() {
			conn, err = net.ListenMulticastUDP("udp", device, address)
		} else {
			conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: address.Port})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// sendGroup sends one datagram on the overlay, whatever the routes say.
func (b box) sendGroup(t *testing.T, group netip.AddrPort, text string) {
	t.Helper()
	device := b.device(t, b.v4)
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), device.Name) }), err)
	}}
	err := b.host.InNet(b.sandbox, func() error {
		conn, err := dialer.Dial("udp", group.String())
		if err != nil {
			return err
		}
		_, err = conn.Write([]byte(text))
		return errors.Join(err, conn.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// receive waits for one datagram.
func receive(conn *net.UDPConn, limit time.Duration) (string, error) {
	_ = conn.SetReadDeadline(time.Now().Add(limit))
	buffer := make([]byte, 1<<16)
	n, err := conn.Read(buffer)
	return string(buffer[:n]), err
}
