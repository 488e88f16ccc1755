//go:build guest

package datapath

import (
	"fmt"
	"net/netip"
	"testing"
)

// twoTaggedHosts gives two hosts whose underlay is a VLAN of their wire.
func twoTaggedHosts(t testing.TB, underlay string) (a, b *labHost) {
	t.Helper()
	a, b = newHost(t, "hA"), newHost(t, "hB")
	a.ip("link add w0 mtu 1604 type veth peer name w0 netns %s", b.name)
	b.ip("link set w0 mtu 1604")
	for i, h := range []*labHost{a, b} {
		prefix := netip.MustParsePrefix(fmt.Sprintf(underlays[underlay], i+1))
		h.ip("link set w0 up")
		h.ip("link add link w0 name u0 mtu 1600 type vlan id 5")
		h.ip("addr add %s dev u0 nodad", prefix)
		h.ip("link set u0 up")
		h.under = prefix.Addr()
	}
	a.waitUp("u0")
	b.waitUp("u0")
	a.peers, b.peers = []*labHost{b}, []*labHost{a}
	return a, b
}

// The underlay may be a VLAN, whose tag is on before a packet leaves and off before it is looked at.
func TestShortcutOverVLAN(t *testing.T) {
	for underlay := range underlays {
		t.Run(underlay, func(t *testing.T) {
			a, b := twoTaggedHosts(t, underlay)
			a.shortcut, b.shortcut = true, true
			o := overlayOf(a, b, true)
			talk(t, o.ca, o.cb)
			for _, h := range []*labHost{a, b} {
				took := map[string]bool{"in": h.way("in") > 100, "out": h.way("out") > 100}
				if want := map[string]bool{"in": true, "out": underlay == "ipv4"}; fmt.Sprint(took) != fmt.Sprint(want) {
					t.Errorf("%s: %v, want %v: %+v", h.name, took, want, h.ShortcutStatus(t.Context()))
				}
			}
		})
	}
}
