package e2e

import (
	"net/netip"
	"testing"

	"falcon/tests/lab"
)

// Networks may have the same subnets, and containers the same addresses and MACs: each reaches its own peers.
func TestSameSubnetsDoNotMix(t *testing.T) {
	f := cluster.open(t)
	const mac1, mac2 = "02:42:00:00:00:11", "02:42:00:00:00:12"
	for _, name := range []string{"red", "blue"} {
		f.overlay(name, "--ipv6", "--subnet", "10.54.0.0/24", "--subnet", "fd54::/64")
	}
	place := func(h *lab.Host, network, name, last, mac string) box {
		return f.box(h, network, name, "--ip", "10.54.0."+last, "--ip6", "fd54::"+last, "--mac-address", mac)
	}
	for _, network := range []string{"red", "blue"} {
		one := place(f.h1, network, network+"1", "11", mac1)
		two := place(f.h2, network, network+"2", "12", mac2)
		one.serve(t)
		two.serve(t)
	}
	// A container that the other network does not have: its address must lead nowhere there.
	lonely := place(f.h2, "red", "lonely", "13", "02:42:00:00:00:13")
	heard := lonely.serve(t)

	for _, network := range []string{"red", "blue"} {
		one, two := f.look(f.h1, network, network+"1"), f.look(f.h2, network, network+"2")
		for _, pair := range [][2]box{{one, two}, {two, one}} {
			for _, to := range []netip.Addr{pair[1].v4, pair[1].v6} {
				pair[0].pings(t, to)
				pair[0].reaches(t, to, pair[1].Name)
			}
		}
	}
	blue := f.look(f.h1, "blue", "blue1")
	for _, to := range []netip.Addr{lonely.v4, lonely.v6} {
		f.look(f.h1, "red", "red1").reaches(t, to, "lonely")
		blue.doesNotReach(t, to)
	}
	if heard.hears("stranger") {
		t.Error("a datagram of one network came out in another")
	}
}
