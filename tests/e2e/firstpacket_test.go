package e2e

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
)

// newcomers is how many new containers the first packets are sent to, and from.
const newcomers = 20

// The first packet to a new container arrives, be it that the other host has not heard of it yet; and so do the first
// ones that it sends.
func TestFirstPacket(t *testing.T) {
	f := cluster.open(t)
	f.overlay("first", "--ipv6", "--subnet", "10.51.0.0/24", "--subnet", "fd51::/64")
	near, far := f.box(f.h2, "first", "near"), f.box(f.h1, "first", "far")

	// These say nothing themselves, so nothing is known of them but what falcon says.
	for i := range newcomers {
		v4 := netip.AddrFrom4([4]byte{10, 51, 0, byte(100 + i)})
		v6 := netip.MustParseAddr(fmt.Sprintf("fd51::1:%d", i))
		f.start(f.h2, "first", fmt.Sprintf("silent%d", i), []string{"--ip", v4.String(), "--ip6", v6.String()})
		var pings sync.WaitGroup
		for _, from := range []box{near, far} {
			for _, to := range []netip.Addr{v4, v6} {
				pings.Go(func() { from.pingsOnce(t, to) })
			}
		}
		pings.Wait()
	}

	// These do so first of all. A failing ping tells why.
	hello := fmt.Sprintf("for a in %v %v %v %v; do ping -q -c1 -W1 $a >/tmp/out || cat /tmp/out; done; echo said",
		far.v4, far.v6, near.v4, near.v6)
	for i := range newcomers / 2 {
		name := fmt.Sprintf("talker%d", i)
		f.start(f.h2, "first", name, nil, "sh", "-c", hello)
		f.docker(f.h2, "wait", name)
		if out := f.docker(f.h2, "logs", name); out != "said" {
			t.Errorf("first packets of %s: %s", name, out)
		}
	}
}

// pingsOnce checks that a single echo request is answered within a second: another attempt to resolve the address would
// come too late.
func (b box) pingsOnce(t *testing.T, to netip.Addr) {
	if out, err := b.exec(t.Context(), "ping", "-n", "-c1", "-W1", to.String()); err != nil {
		t.Errorf("first packet from %v to %v: %v\n%s", b, to, err, out)
	}
}
