package e2e

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"falcon/driver"
	"falcon/tests/lab"
)

// The container's MTU follows the underlay's, and packets of that size pass, over IPv4 and over IPv6.
func TestUnderlays(t *testing.T) {
	f := jumbo.open(t)
	t.Run("IPv4", func(t *testing.T) { f.sub(t).carries(t, f.addresses(4), 9000-50) })
	t.Run("IPv6", func(t *testing.T) {
		f := f.sub(t)
		for _, h := range f.Hosts {
			f.restartFalcon(h, "--underlay", h.Addr6.String())
		}
		f.carries(t, f.addresses(6), 9000-70)
	})
}

func (f *fixture) addresses(family int) []netip.Addr {
	var all []netip.Addr
	for _, h := range f.Hosts {
		if family == 4 {
			all = append(all, h.Addr)
		} else {
			all = append(all, h.Addr6)
		}
	}
	return all
}

// carries checks that a network works whose packets travel between these addresses, one for each host.
func (f *fixture) carries(t *testing.T, underlay []netip.Addr, mtu int) {
	t.Helper()
	f.overlay("big", "--ipv6", "--subnet", "10.73.0.0/24", "--subnet", "fd73::/64", "-o", "falcon.vni=7300")
	one, two := f.box(f.h1, "big", "one"), f.box(f.h2, "big", "two")
	one.serve(t)
	two.serve(t)
	for _, b := range []box{one, two} {
		if got := b.eth0(t).MTU; got != mtu {
			t.Errorf("MTU of %v is %d, want %d", b, got, mtu)
		}
	}
	f.fullMTU(t, one, two, mtu)
	for i, addresses := range [][2]netip.Addr{{one.v4, two.v4}, {one.v6, two.v6}} {
		one.pings(t, addresses[1])
		one.reaches(t, addresses[1], two.Name)
		two.reaches(t, addresses[0], one.Name)
		if out := f.run(f.Hosts[i], "ip", "-d", "link", "show", "fvx-7300"); !strings.Contains(out, " local "+underlay[i].String()+" ") && !strings.Contains(out, " local6 "+underlay[i].String()+" ") {
			t.Errorf("%s does not send from %v: %s", f.Hosts[i].Name, underlay[i], out)
		}
	}
	for i, h := range f.Hosts {
		f.healthy(h)
		s := f.status(h)
		if got := s.Host.Underlay.Address; got != underlay[i] {
			t.Errorf("underlay of %s is %v, want %v", h.Name, got, underlay[i])
		}
		for _, n := range s.Networks {
			if n.Shortcut.Mode == driver.ShortcutOn && (!n.Shortcut.Active || n.Shortcut.Ways["in"].Packets == 0) {
				t.Errorf("%s does not use the shortcut: %+v", h.Name, n.Shortcut)
			}
		}
	}
}

// restartFalcon restarts a host's falcon with further arguments, until the end of the test.
func (f *fixture) restartFalcon(h *lab.Host, args ...string) {
	f.t.Helper()
	before := h.Plugin.Args()
	f.atEnd(func(ctx context.Context) error {
		h.Plugin.SetArgs(before...)
		return h.Plugin.Restart(ctx)
	})
	h.Plugin.SetArgs(slices.Concat(before, args)...)
	if err := h.Plugin.Restart(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}
