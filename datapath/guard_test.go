package datapath

import (
	"context"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// A container must find no way to the host: not by ARP for an address of the host, nor by sending to the
// bridge's own MAC. The same tries succeed once the guard is off, so they do test it.
func TestGuardKeepsContainersOffTheHost(t *testing.T) {
	t.Parallel()
	o := newOverlay(t, "ipv4", true)
	o.a.ip("addr add 2001:db8:7::1/128 dev lo")
	hosts := []string{"192.0.2.1", "2001:db8:7::1"}
	reach := func(want bool) {
		t.Helper()
		for _, addr := range hosts {
			o.ca.ip("neigh flush all")
			_, _ = o.ca.try("ping -n -c 1 -W 1 %s", addr)
			got := strings.Contains(o.ca.ip("neigh show %s", addr), "lladdr")
			// With IPv6 a host answers for an address on its own interface only, guard or not.
			if got != (want && mustAddr(addr).Is4()) {
				t.Errorf("host answers for %s: %v", addr, got)
			}
			o.ca.ip("neigh replace %s lladdr %s dev eth0", addr, bridgeMAC(labVNI))
			_, err := o.ca.try("ping -n -c 1 -W 1 %s", addr)
			o.ca.ip("neigh del %s dev eth0", addr)
			if got := err == nil; got != want {
				t.Errorf("host at %s can be reached by the bridge's MAC: %v", addr, got)
			}
		}
	}
	o.ca.ip("route add 192.0.2.1/32 dev eth0")
	o.ca.ip("route add 2001:db8:7::1/128 dev eth0")
	reach(false)
	if stats := o.a.sh("tc -s qdisc show dev %s clsact", bridgeName(labVNI)); strings.Contains(stats, "dropped 0,") {
		t.Errorf("drops are not counted: %s", stats)
	}

	o.a.sh("tc qdisc del dev %s clsact", bridgeName(labVNI))
	o.a.ip("route add 10.0.0.0/16 dev %s", bridgeName(labVNI))
	o.a.ip("-6 route add fd00:a::/64 dev %s", bridgeName(labVNI))
	o.a.sh("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.%s.rp_filter=0", bridgeName(labVNI))
	reach(true)

	if c := o.a.ensureNetwork(o.a.network(labVNI)); c.Added != 1 {
		t.Errorf("lost guard: %+v", c)
	}
	reach(false)
}

// A host must not take a router advertisement from a container.
func TestGuardStopsRouterAdvertisements(t *testing.T) {
	h := newHost(t, "h")
	h.under = mustAddr("192.0.2.1")
	h.ensureNetwork(h.network(labVNI))
	if addrs := h.ip("addr show dev %s", bridgeName(labVNI)); strings.Contains(addrs, "inet") {
		t.Errorf("the bridge has an address: %s", addrs)
	}
	if addrs := h.ip("addr show dev %s", vxlanName(labVNI)); strings.Contains(addrs, "inet") {
		t.Errorf("the vxlan device has an address: %s", addrs)
	}
	h.ensureEndpoint(endpointN(labVNI, 1))
	if addrs := h.ip("addr show dev %s", hostDevice(endpointN(labVNI, 1).ID)); strings.Contains(addrs, "inet") {
		t.Errorf("the host veth has an address: %s", addrs)
	}
}

// Another version of the program is replaced, not joined.
func TestGuardIsReplaced(t *testing.T) {
	ctx := context.Background()
	h := newHost(t, "h")
	h.under = mustAddr("192.0.2.1")
	h.ensureNetwork(h.network(labVNI))
	br, err := h.rt.linkByName(ctx, bridgeName(labVNI))
	if err != nil {
		t.Fatal(err)
	}
	old, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	err = h.rt.putTC(hook{device: br.index}, old, guardName)
	if err != nil {
		t.Fatal(err)
	}
	if c := h.ensureNetwork(h.network(labVNI)); c.Added != 1 {
		t.Errorf("old guard: %+v", c)
	}
	if c := h.ensureNetwork(h.network(labVNI)); c != (Change{}) {
		t.Errorf("idle: %+v", c)
	}
	show := h.sh("tc filter show dev %s ingress", bridgeName(labVNI))
	if strings.Count(show, "direct-action") != 1 || !strings.Contains(show, h.guard.tag) {
		t.Errorf("want one filter, of tag %s:\n%s", h.guard.tag, show)
	}
}
