package datapath

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// multihomed gives a host with several interfaces; a wire on the first only.
func multihomed(t *testing.T) *labHost {
	h, wire := newHost(t, "h"), newSpace(t, "wire")
	h.ip("link add e5 type veth peer name e5 netns %s", wire.name) // up, and never with a carrier
	h.ip("link set e5 up")
	h.ip("addr add 198.51.100.1/24 dev e5")
	h.ip("link add e0 mtu 9000 type veth peer name e0 netns %s", wire.name)
	wire.ip("link set e0 up")
	for _, name := range []string{"e1", "e2", "e3", "e4"} {
		h.ip("link add %s type bridge", name)
	}
	for _, name := range []string{"e0", "e1", "e2", "e3"} {
		h.ip("link set %s up", name)
	}
	for _, a := range []string{"e0 fd01::1/64", "e0 192.0.2.1/24", "e0 192.0.2.7/24", "e1 fd02::1/64", "e1 fd02::2/64",
		"e2 169.254.3.4/16", "e4 203.0.113.1/24"} {
		dev, addr, _ := strings.Cut(a, " ")
		nodad := ""
		if strings.Contains(addr, ":") {
			nodad = "nodad"
		}
		h.ip("addr add %s dev %s %s", addr, dev, nodad)
	}
	h.waitUp("e0")
	return h
}

func TestUnderlay(t *testing.T) {
	ctx := context.Background()
	h := multihomed(t)
	get := func(which, device, addr string) {
		t.Helper()
		u, err := h.Underlay(ctx, which)
		if err != nil || u.Interface != device || u.Address.String() != addr {
			t.Errorf("%q: %+v, %v", which, u, err)
		}
	}
	wrong := func(which string, parts ...string) {
		t.Helper()
		u, err := h.Underlay(ctx, which)
		if !errors.Is(err, ErrUnderlay) {
			t.Fatalf("%q: %+v, %v", which, u, err)
		}
		for _, p := range append(parts, which, "e0: 192.0.2.1", "e1: fd02::1", "e4: 203.0.113.1 (down)") {
			if !strings.Contains(err.Error(), p) {
				t.Errorf("%q: no %q in: %v", which, p, err)
			}
		}
	}
	get("e0", "e0", "192.0.2.1")
	get("e1", "e1", "fd02::1")
	get("192.0.2.7", "e0", "192.0.2.7")
	get("::ffff:192.0.2.7", "e0", "192.0.2.7")
	get("fd01::1", "e0", "fd01::1")
	wrong("e2", "no global unicast address")
	wrong("e3", "no global unicast address")
	wrong("e4", "ip link set e4 up")
	wrong("203.0.113.1", "is down")
	wrong("e9", "no such interface")
	wrong("192.0.2.99", "no interface has this address")
	wrong("", "no default route", "--underlay")
	h.ip("-6 route add default via fd02::99 dev e1")
	get("", "e1", "fd02::1")
	h.ip("route add default dev e2 metric 10") // no address to send from
	get("", "e1", "fd02::1")
	h.ip("route add default via 192.0.2.254 metric 100")
	get("", "e0", "192.0.2.1")

	u, err := h.Underlay(ctx, "e0")
	if err != nil || u.MTU != 9000 || !u.Up || u.Index == 0 || u.OverlayMTU() != 8950 {
		t.Errorf("%+v, %v", u, err)
	}
	if u, err = h.Underlay(ctx, "e5"); err != nil || u.Up {
		t.Errorf("without a carrier: %+v, %v", u, err)
	}
	if u, err = h.Underlay(ctx, "e1"); err != nil || u.OverlayMTU() != 1430 {
		t.Errorf("IPv6: %+v, %v", u, err)
	}
}

func TestUnderlayOfMultipathRoute(t *testing.T) {
	h := multihomed(t)
	h.ip("route add default nexthop via 192.0.2.254 dev e0 nexthop via 192.0.2.253 dev e0")
	if u, err := h.Underlay(context.Background(), ""); err != nil || u.Interface != "e0" {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestRoutes(t *testing.T) {
	h := multihomed(t)
	h.ip("route add default via 192.0.2.254")
	h.ip("route add 10.1.0.0/16 via 192.0.2.254")
	h.ip("route add 10.2.0.0/16 via 192.0.2.254 table 77")
	h.ip("route add unreachable 10.3.0.0/16")
	h.ip("-6 route add fd77::/48 via fd01::99")
	got, err := h.Routes(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, p := range got {
		list = append(list, p.String())
	}
	// e4 is down, but comes up one day.
	want := []string{"10.1.0.0/16", "10.2.0.0/16", "127.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "::1/128", "fd01::/64", "fd02::/64", "fd77::/48"}
	if !slices.Equal(list, want) {
		t.Errorf("%v", list)
	}
}
