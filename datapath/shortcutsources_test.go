package datapath

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// secondLink joins two hosts by another link, on which a reaches b's address of the underlay.
func secondLink(a, b *labHost, stranger netip.Prefix) {
	a.ip("link add u1 mtu 1600 type veth peer name u1 netns %s", b.name)
	b.ip("link set u1 mtu 1600")
	for _, h := range []*labHost{a, b} {
		h.ip("link set u1 up")
	}
	a.ip("addr add %s dev u1 nodad", stranger)
	a.waitUp("u1")
	b.waitUp("u1")
	a.ip("route replace %s dev u1", netip.PrefixFrom(b.under, b.under.BitLen()))
	a.ip("neigh replace %s lladdr %s dev u1 nud permanent", b.under, strings.TrimSpace(b.sh("cat /sys/class/net/u1/address")))
}

// What comes in at another device than the underlay's is from a host of the network, too, or goes no further.
func TestShortcutChecksSourcesAtOtherDevices(t *testing.T) {
	strangers := map[string]netip.Prefix{"ipv4": mustPrefix("203.0.113.1/24"), "ipv6": mustPrefix("2001:db8:1::1/64")}
	for underlay := range underlays {
		for name, known := range map[string]bool{"peer": true, "stranger": false} {
			t.Run(underlay+" "+name, func(t *testing.T) {
				t.Parallel()
				a, b := twoHosts(t, underlay)
				secondLink(a, b, strangers[underlay])
				b.shortcut = true
				b.ensureNetwork(b.network(labVNI))
				c, there := b.attach(endpointN(labVNI, 2)), endpointN(labVNI, 1)
				b.sync(b.network(labVNI), Forwarding{Local: map[string]Endpoint{c.ID: c.Endpoint},
					Remote: map[string]Remote{there.ID: remoteOf(there, a.under)}, Flood: []netip.Addr{a.under}})
				from := a.under
				if !known {
					from = strangers[underlay].Addr()
				}
				plainHost(a, from, b.under, there)
				for _, p := range c.Addresses {
					if out, err := a.try("ping -n -c 2 -W 1 -s 1400 %s", p.Addr()); (err == nil) != known {
						t.Errorf("ping %s: %v: %s", p.Addr(), err, out)
					}
				}
				status := b.ShortcutStatus(t.Context())
				if dropped := status.Unknown["dropped_device"].Packets > 0; dropped == known || b.way("in") > 0 {
					t.Errorf("%+v", status)
				}
			})
		}
	}
}

// The table follows the hosts of all networks, is left alone when it is as it should be, is mended when it is not, and goes with the last network.
func TestShortcutSourcesFollow(t *testing.T) {
	a, b := twoHosts(t, "ipv4")
	b.shortcut = true
	rules := func() string { out, _ := b.try("nft -a list table inet %s", sourceTable); return out }
	sync := func(vni VNI, hosts ...netip.Addr) {
		t.Helper()
		b.ensureNetwork(b.network(vni))
		b.sync(b.network(vni), Forwarding{Flood: hosts})
	}
	third := mustAddr("192.0.2.9")
	has := func(what ...string) {
		t.Helper()
		for _, s := range what {
			absent := strings.HasPrefix(s, "!")
			if strings.Contains(rules(), strings.TrimPrefix(s, "!")) == absent {
				t.Errorf("want %q in\n%s", s, rules())
			}
		}
	}
	sync(labVNI, a.under)
	sync(labVNI+1, a.under, third)
	has(a.under.String(), third.String(), "drop")
	listed := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(listed, []byte(rules()), 0o600); err != nil {
		t.Fatal(err)
	}
	b.sh("nft --check --file %s", listed) // as after a boot
	before := rules()
	sync(labVNI, a.under)
	if after := rules(); after != before {
		t.Errorf("changed without a reason:\n%s\nto\n%s", before, after)
	}
	sync(labVNI+1, a.under)
	has(a.under.String(), "!"+third.String())
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(b.AddFlood(t.Context(), b.network(labVNI), third))
	has(third.String())
	must(b.RemoveFlood(t.Context(), b.network(labVNI), third))
	has("!" + third.String())
	b.sh("nft delete table inet %s", sourceTable)
	b.short.sources.seen = time.Time{} // some seconds later
	sync(labVNI, a.under)
	has(a.under.String(), "drop")
	must(b.RemoveNetwork(t.Context(), labVNI))
	has(a.under.String())
	must(b.RemoveNetwork(t.Context(), labVNI+1))
	if left := rules(); strings.Contains(left, "chain") {
		t.Errorf("left:\n%s", left)
	}
}
