package datapath

import (
	"bytes"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The first packet must arrive, also while a host knows nothing of the other's endpoints and floods.
func TestFirstPacketArrives(t *testing.T) {
	eachUnderlay(t, func(t *testing.T, underlay string) {
		for name, known := range map[string]bool{"known": true, "flooding": false} {
			t.Run(name, func(t *testing.T) {
				o := newOverlay(t, underlay, known)
				for _, p := range o.cb.Addresses {
					o.ca.ping(p.Addr(), "")
				}
			})
		}
	})
}

// The largest packet that the MTU promises crosses whole; one byte more does not leave the container.
func TestFullMTU(t *testing.T) {
	eachUnderlay(t, func(t *testing.T, underlay string) {
		o := newOverlay(t, underlay, true)
		exact := Underlay{MTU: 1600, Address: o.a.under}
		if exact.OverlayMTU() < labMTU {
			t.Fatalf("underlay carries only %d", exact.OverlayMTU())
		}
		// On the wire exactly the outer headers must fit: set the underlay to that.
		for _, h := range []*labHost{o.a, o.b} {
			h.ip("link set u0 mtu %d", labMTU+exact.MTU-exact.OverlayMTU())
		}
		for _, p := range o.cb.Addresses {
			head := 20 + 8
			if p.Addr().Is6() {
				head = 40 + 8
			}
			o.ca.ping(p.Addr(), fmt.Sprintf("-M do -s %d", labMTU-head))
			o.ca.fails("ping -n -c 1 -W 1 -M do -s %d %s", labMTU-head+1, p.Addr())
		}
	})
}

// capture counts the packets on a device that match a filter, until the returned function is called.
func (s *space) capture(device, filter string) (stop func() string) {
	s.t.Helper()
	var out, log bytes.Buffer
	cmd := exec.Command("ip", append(strings.Fields("netns exec "+s.name+" tcpdump -n -l -i "+device), filter)...)
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond) // until it listens
	return func() string {
		time.Sleep(300 * time.Millisecond)
		_ = cmd.Process.Signal(interrupt)
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("tcpdump: %v: %s", err, log.String())
		}
		return strings.TrimSpace(out.String())
	}
}

// Who is asked for is known, so nobody on the wire is asked.
func TestKnownAddressesAreAnsweredLocally(t *testing.T) {
	t.Parallel()
	const asks = "arp or (icmp6 and (ip6[40] == 135 or ip6[40] == 136))"
	o := newOverlay(t, "ipv4", true)
	local := o.a.attach(endpointN(labVNI, 3))
	fa, fb := o.forwardings()
	fa.Local[local.ID] = local.Endpoint
	fb.Remote[local.ID] = remoteOf(local.Endpoint, o.a.under)
	o.a.sync(o.a.network(labVNI), fa)
	o.b.sync(o.b.network(labVNI), fb)
	stop := o.a.capture(vxlanName(labVNI), asks)
	for _, p := range append(o.cb.Addresses, local.Addresses...) {
		o.ca.ping(p.Addr(), "")
	}
	if seen := stop(); seen != "" {
		t.Errorf("asked on the wire:\n%s", seen)
	}
	stop = o.a.capture(vxlanName(labVNI), asks)
	o.ca.fails("ping -n -c 1 -W 1 10.0.0.77")
	if seen := stop(); !strings.Contains(seen, "who-has 10.0.0.77") {
		t.Errorf("an unknown address was not asked for on the wire: %q", seen)
	}
}

// Groups span hosts, and nobody has to join: snooping is off.
func TestBroadcastAndMulticastReachOtherHosts(t *testing.T) {
	eachUnderlay(t, func(t *testing.T, underlay string) {
		o := newOverlay(t, underlay, true)
		o.cb.sh("sysctl -qw net.ipv4.icmp_echo_ignore_broadcasts=0")
		o.cb.ip("addr add 239.1.2.3/32 dev eth0 autojoin")
		o.cb.ip("addr add ff15::123/128 dev eth0 autojoin")
		stop := o.cb.capture("eth0", "icmp[icmptype] == icmp-echo or (icmp6 and ip6[40] == 128)")
		for _, group := range []string{"-b 10.0.255.255", "239.1.2.3", "ff15::123", "ff02::1"} {
			_, _ = o.ca.try("ping -n -c 1 -W 1 -I eth0 %s", group) // who answers is not the question
		}
		seen := stop()
		for _, group := range []string{"> 10.0.255.255:", "> 239.1.2.3:", "> ff15::123:", "> ff02::1:"} {
			if strings.Count(seen, group) != 1 {
				t.Errorf("%s did not arrive once:\n%s", group, seen)
			}
		}
	})
}

// Two networks may use the same addresses and MACs.
func TestNetworksDoNotMix(t *testing.T) {
	t.Parallel()
	o := newOverlay(t, "ipv4", false)
	const other = labVNI + 1
	for _, h := range []*labHost{o.a, o.b} {
		h.ensureNetwork(h.network(other))
		h.sync(h.network(other), Forwarding{Flood: []netip.Addr{h.peers[0].under}})
	}
	twin := o.b.attach(endpointN(other, 2))
	stop := twin.capture("eth0", "icmp or arp or icmp6")
	for _, p := range o.cb.Addresses {
		o.ca.ping(p.Addr(), "")
	}
	if seen := stop(); strings.Contains(seen, "10.0.0.1") || strings.Contains(seen, "fd00:a::1 ") {
		t.Errorf("seen in the other network:\n%s", seen)
	}
	third := o.a.attach(endpointN(other, 1))
	for _, p := range twin.Addresses {
		third.ping(p.Addr(), "")
	}
}

// Each entry of the bridge's table costs time whenever a port comes or goes: an endpoint has one, that of its MAC.
func TestOneTableEntryForEachEndpoint(t *testing.T) {
	h := lone(t)
	h.ensureNetwork(h.network(labVNI))
	for i := 1; i <= 3; i++ {
		h.ensureEndpoint(endpointN(labVNI, i))
	}
	got := 0
	for line := range strings.Lines(h.sh("bridge fdb show br %s", BridgeDevice(labVNI))) {
		if strings.Contains(line, " dev "+hostPrefix) && strings.Contains(line, " master ") {
			got++
		}
	}
	if got != 3 {
		t.Errorf("%d entries for 3 endpoints", got)
	}
}
