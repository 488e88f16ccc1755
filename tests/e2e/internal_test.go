package e2e

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"falcon/tests/lab"
)

const hostPort = 7100 // of services on the hosts themselves

// An --internal network has no way out, not even for a container whose root makes routes and neighbours by hand.
func TestInternal(t *testing.T) {
	f := cluster.open(t)
	f.overlay("inner", "--internal", "--ipv6", "--subnet", "10.55.0.0/24", "--subnet", "fd55::/64")
	a, b := f.box(f.h1, "inner", "in1"), f.box(f.h2, "inner", "in2")
	b.serve(t)
	for _, to := range []netip.Addr{b.v4, b.v6} {
		a.reaches(t, to, b.Name)
	}
	for _, family := range []string{"-4", "-6"} {
		if routes := a.must(t, "ip", family, "route", "show", "default"); routes != "" {
			t.Errorf("default route: %s", routes)
		}
	}
	if got, want := a.deviceNames(t), "lo eth0"; got != want {
		t.Errorf("devices of the container: %q, want %q", got, want)
	}

	services := map[*lab.Host]*service{}
	for _, h := range f.Hosts {
		// Only falcon is to keep the packets out, so nothing else may.
		f.run(h, "sh", "-c", "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done")
		services[h] = serve(t, h, "", h.Name, netip.AddrPortFrom(netip.IPv6Unspecified(), hostPort))
	}
	attack := attack{f: f, from: a, to: services}
	for _, h := range f.Hosts {
		for _, l := range f.ownLinks(h) {
			attack.through(t, l.MAC, h.Name+"'s "+l.Name)
		}
	}
	attack.through(t, "ff:ff:ff:ff:ff:ff", "the broadcast address")
	attack.onLink(t)
	if attack.tried == 0 {
		t.Fatal("no way out was tried")
	}
	attack.failed(t)
	if drops := f.guardDrops(f.h1); drops < 2 {
		t.Errorf("guard of the bridge dropped %d packets: the attempts did not even get there", drops)
	}
}

// attack is a container that tries to talk to the hosts.
type attack struct {
	f     *fixture
	from  box
	to    map[*lab.Host]*service
	tried int
}

// gateways are addresses of the overlay that nobody has.
var gateways = map[string]netip.Addr{
	"-4": netip.MustParseAddr("10.55.0.254"),
	"-6": netip.MustParseAddr("fd55::fe"),
}

// through sends to the hosts' addresses by way of a MAC.
func (a *attack) through(t *testing.T, mac, whose string) {
	t.Helper()
	for family, gateway := range gateways {
		a.from.must(t, "ip", "neigh", "replace", gateway.String(), "lladdr", mac, "dev", "eth0")
		a.from.must(t, "ip", family, "route", "replace", "default", "via", gateway.String(), "dev", "eth0")
	}
	a.send(t, "through "+whose)
	for family := range gateways {
		a.from.must(t, "ip", family, "route", "del", "default")
	}
}

// onLink makes the container believe that the hosts are on its network, so that it asks for their MACs: nobody may answer.
func (a *attack) onLink(t *testing.T) {
	t.Helper()
	for h := range a.to {
		for _, address := range []netip.Addr{h.Addr, h.Addr6} {
			a.from.must(t, "ip", "route", "add", address.String(), "dev", "eth0")
			if out, err := a.from.exec(t.Context(), "ping", "-n", "-c1", "-W0.5", address.String()); err == nil {
				t.Errorf("%v answers on the overlay:\n%s", address, out)
			}
			neighbour := a.from.must(t, "ip", "neigh", "show", "to", address.String(), "dev", "eth0")
			if strings.Contains(neighbour, "lladdr") {
				t.Errorf("somebody answers for %v: %s", address, neighbour)
			}
		}
	}
}

func (a *attack) send(t *testing.T, how string) {
	t.Helper()
	for h := range a.to {
		for _, address := range []netip.Addr{h.Addr, h.Addr6} {
			conn, err := a.from.dial("udp", netip.AddrPortFrom(address, hostPort))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write([]byte(how)); err != nil {
				t.Errorf("send to %v %s: %v", address, how, err)
			}
			conn.Close()
			a.tried++
		}
	}
}

// failed checks that no host heard anything. What a host sends itself, last, comes after all that went before.
func (a *attack) failed(t *testing.T) {
	t.Helper()
	for h, s := range a.to {
		if _, err := askUDP(h, "", netip.AddrPortFrom(h.Addr, hostPort), "end"); err != nil {
			t.Errorf("the service on %s does not answer: %v", h.Name, err)
		}
		s.mu.Lock()
		if len(s.heard) != 1 {
			t.Errorf("%s heard %q", h.Name, s.heard)
		}
		s.mu.Unlock()
	}
}

// ownLinks are falcon's devices on a host.
func (f *fixture) ownLinks(h *lab.Host) []link {
	f.t.Helper()
	all, err := links(f.t.Context(), h)
	if err != nil {
		f.t.Fatal(err)
	}
	var own []link
	for _, l := range all {
		if l.isOurs() {
			own = append(own, l)
		}
	}
	if len(own) == 0 {
		f.t.Fatalf("falcon has no device on %s", h.Name)
	}
	return own
}

// guardDrops is how many packets to the host itself the only bridge of falcon has dropped.
func (f *fixture) guardDrops(h *lab.Host) int {
	f.t.Helper()
	for _, l := range f.ownLinks(h) {
		if l.LinkInfo.Kind != "bridge" {
			continue
		}
		var qdiscs []struct {
			Kind  string `json:"kind"`
			Drops int    `json:"drops"`
		}
		out := f.run(h, "tc", "-j", "-s", "qdisc", "show", "dev", l.Name)
		if err := json.Unmarshal([]byte(out), &qdiscs); err != nil {
			f.t.Fatal(err)
		}
		for _, q := range qdiscs {
			if q.Kind == "clsact" {
				return q.Drops
			}
		}
	}
	f.t.Fatalf("no bridge with a guard on %s", h.Name)
	return 0
}

// deviceNames are those of the container, in the order of their numbers.
func (b box) deviceNames(t *testing.T) string {
	t.Helper()
	var all []link
	if err := json.Unmarshal([]byte(b.must(t, "ip", "-j", "link")), &all); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range all {
		names = append(names, l.Name)
	}
	return strings.Join(names, " ")
}
