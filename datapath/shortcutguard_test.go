package datapath

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// A container sends as itself, or not at all; addresses that the network allows are everybody's.
func TestShortcutKeepsContainersHonest(t *testing.T) {
	a, b := twoHosts(t, "ipv4")
	a.shortcut, b.shortcut = true, true
	o := overlayOf(a, b, true)
	n, virtual := a.network(labVNI), mustPrefix("10.0.9.0/24")
	n.Allowed = []netip.Prefix{virtual}
	fa, _ := o.forwardings()
	a.sync(n, fa)
	for _, p := range []string{"10.0.0.77/16", "10.0.9.1/16", "fd00:a::77/64"} {
		o.ca.ip("addr add %s dev eth0 nodad", p)
	}
	for _, c := range []struct {
		source, to, way string
	}{
		{"10.0.0.1", "10.0.0.2", ""},
		{"10.0.9.1", "10.0.0.2", ""},
		{"10.0.0.77", "10.0.0.2", "dropped_address"},
		{"fd00:a::77", "fd00:a::2", "dropped_address"},
	} {
		stop := o.cb.capture("eth0", "host "+c.source)
		before := a.way("dropped_address")
		_, _ = o.ca.try("ping -n -c 1 -W 1 -I %s %s", c.source, c.to)
		seen := stop()
		if dropped := a.way("dropped_address") > before; dropped != (c.way != "") || (seen == "") != dropped {
			t.Errorf("from %s: dropped %v, seen %q", c.source, dropped, seen)
		}
	}
	before := a.way("dropped_mac")
	o.ca.ip("link set eth0 address 02:42:0a:00:00:99")
	_, _ = o.ca.try("ping -n -c 1 -W 1 %s", o.cb.Addresses[0].Addr())
	if a.way("dropped_mac") == before {
		t.Error("frames from another MAC were not dropped")
	}
}

// plainHost makes host a one without Falcon, with a vxlan device made by hand that has the address and MAC of an endpoint.
func plainHost(a *labHost, from, to netip.Addr, e Endpoint) {
	a.ip("link add vx0 address %s mtu %d type vxlan id %d local %s remote %s dstport 4789", e.MAC, labMTU, labVNI, from, to)
	for _, p := range e.Addresses {
		a.ip("addr add %s dev vx0 nodad", p)
	}
	a.ip("link set vx0 up")
}

// On the wire there is plain VXLAN, so anybody's vxlan device will do as a peer, if it is one.
func TestShortcutMeetsPlainVXLAN(t *testing.T) {
	for underlay := range underlays {
		for name, known := range map[string]bool{"peer": true, "stranger": false} {
			t.Run(underlay+" "+name, func(t *testing.T) {
				t.Parallel()
				a, b := twoHosts(t, underlay)
				b.shortcut = true
				b.ensureNetwork(b.network(labVNI))
				c, there := b.attach(endpointN(labVNI, 2)), endpointN(labVNI, 1)
				f := Forwarding{Local: map[string]Endpoint{c.ID: c.Endpoint}}
				if known {
					f.Remote, f.Flood = map[string]Remote{there.ID: remoteOf(there, a.under)}, []netip.Addr{a.under}
				}
				b.sync(b.network(labVNI), f)
				plainHost(a, a.under, b.under, there)
				for _, p := range c.Addresses {
					out, err := a.try("ping -n -c 2 -W 1 -s 1400 %s", p.Addr())
					if (err == nil) != known {
						t.Errorf("ping %s: %v: %s", p.Addr(), err, out)
					}
				}
				// Before 6.3 a kernel refuses to unpack what is of another family than the underlay.
				took := b.way("in") > 0 || kernelBefore(6, 3) && b.way("kernel_refused") > 0
				if dropped := b.way("dropped_host") > 0; took != known || dropped == known {
					t.Errorf("%+v", b.ShortcutStatus(t.Context()))
				}
			})
		}
	}
}

// A packet that is too long for the path has its sender told, also when the path has shrunk since the daemon looked.
func TestShortcutPathMTU(t *testing.T) {
	for name, again := range map[string]bool{"before the next pass": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := shortOverlay(t, "ipv4", true, true)
			for _, h := range []*labHost{o.a, o.b} {
				h.ip("link set u0 mtu 1500") // 50 less than the overlay's packets take
			}
			if again {
				fa, fb := o.forwardings()
				o.a.sync(o.a.network(labVNI), fa)
				o.b.sync(o.b.network(labVNI), fb)
			}
			for i, head := range []int{20 + 8, 40 + 8} {
				to := o.cb.Addresses[i].Addr()
				out, err := o.ca.try("ping -n -c 2 -W 1 -M do -s %d %s", labMTU-head, to)
				if err == nil || !strings.Contains(out, "mtu") {
					t.Errorf("%s: want to be told the path's MTU: %v: %s", to, err, out)
				}
				o.ca.ping(to, fmt.Sprintf("-M do -s %d", 1500-overheadIPv4-head))
				transfer(t, o.ca, o.cb, to, transferred)
			}
			if o.a.way("kernel_size") == 0 {
				t.Errorf("%+v", o.a.ShortcutStatus(t.Context()))
			}
		})
	}
}
