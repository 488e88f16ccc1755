//go:build guest

package datapath

import (
	"fmt"
	"testing"
)

// twoTaggedHosts gives two hosts whose underlay is a VLAN of their wire.
func twoTaggedHosts(t testing.TB, underlay string) (a, b *labHost) {
	t.Helper()
	a, b = newHost(t, "hA"), newHost(t, "hB")
	a.ip("link add w0 mtu 1604 type veth peer name w0 netns %s", b.name)
	b.ip("link set w0 mtu 1604")
	for _, h := range []*labHost{a, b} {
		h.ip("link set w0 up")
		h.ip("link add link w0 name u0 mtu 1600 type vlan id 5")
	}
	addressUnderlay(underlay, a, b)
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
