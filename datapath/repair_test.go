package datapath

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

// reconcile is what the driver does in each round.
func (o overlay) reconcile() Change {
	o.a.t.Helper()
	fa, _ := o.forwardings()
	c := o.a.ensureNetwork(o.a.network(labVNI))
	c = c.Add(o.a.ensureEndpoint(o.ca.Endpoint))
	return c.Add(o.a.sync(o.a.network(labVNI), fa))
}

func (o overlay) works(t *testing.T) {
	t.Helper()
	for i, p := range o.cb.Addresses {
		o.ca.ping(p.Addr(), "")
		o.cb.ping(o.ca.Addresses[i].Addr(), "")
	}
}

// Whatever somebody deletes or changes comes back, and traffic with it; the round after has nothing to do.
func TestRepair(t *testing.T) {
	id := endpointN(labVNI, 1).ID
	damages := map[string][]string{
		"bridge deleted":          {"ip link del fbr-42"},
		"vxlan deleted":           {"ip link del fvx-42"},
		"both deleted":            {"ip link del fbr-42", "ip link del fvx-42"},
		"bridge down":             {"ip link set fbr-42 down"},
		"vxlan down":              {"ip link set fvx-42 down"},
		"vxlan out of bridge":     {"ip link set fvx-42 nomaster"},
		"veth out of bridge":      {"ip link set " + hostDevice(id) + " nomaster"},
		"veth down":               {"ip link set " + hostDevice(id) + " down"},
		"veth deleted":            {"ip link del " + hostDevice(id)},
		"all deleted":             {"ip link del fbr-42", "ip link del fvx-42", "ip link del " + hostDevice(id)},
		"fdb of vxlan deleted":    {"bridge fdb del 02:42:0a:00:00:02 dev fvx-42 self"},
		"flood deleted":           {"bridge fdb del 00:00:00:00:00:00 dev fvx-42 self"},
		"fdb of bridge deleted":   {"bridge fdb del 02:42:0a:00:00:02 dev fvx-42 master", "bridge fdb del 02:42:0a:00:00:01 dev " + hostDevice(id) + " master"},
		"fdb points elsewhere":    {"bridge fdb replace 02:42:0a:00:00:02 dev fvx-42 dst 192.0.2.99 self", "bridge fdb replace 02:42:0a:00:00:02 dev " + hostDevice(id) + " master static"},
		"neighbours deleted":      {"ip neigh flush dev fbr-42 nud permanent", "ip -6 neigh flush dev fbr-42 nud permanent"},
		"neighbours wrong":        {"ip neigh replace 10.0.0.2 lladdr 02:42:0a:00:00:77 dev fbr-42 nud permanent"},
		"stale entries":           {"ip neigh add 10.0.0.9 lladdr 02:42:0a:00:00:09 dev fbr-42 nud permanent", "bridge fdb add 02:42:0a:00:00:09 dev fvx-42 dst 192.0.2.9 self permanent", "bridge fdb add 02:42:0a:00:00:09 dev fvx-42 master static"},
		"learning on":             {"bridge link set dev fvx-42 learning on", "bridge link set dev " + hostDevice(id) + " learning on"},
		"suppression off":         {"bridge link set dev fvx-42 neigh_suppress off flood off mcast_flood off bcast_flood off"},
		"snooping and STP on":     {"ip link set fbr-42 type bridge mcast_snooping 1 stp_state 1"},
		"guard removed":           {"tc filter del dev fbr-42 ingress"},
		"MTU changed":             {"ip link set fbr-42 mtu 1400", "ip link set fvx-42 mtu 1400", "ip link set " + hostDevice(id) + " mtu 1400"},
		"link-local addresses on": {"ip link set fbr-42 addrgenmode eui64", "ip link set fvx-42 addrgenmode eui64"},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOverlay(t, "ipv4", true)
			o.works(t)
			if c := o.reconcile(); c != (Change{}) {
				t.Errorf("idle round: %+v", c)
			}
			for _, d := range damage {
				o.a.sh("%s", d)
			}
			if c := o.reconcile(); c == (Change{}) {
				t.Error("nothing was repaired")
			}
			o.ca.waitUp("eth0")
			o.a.waitUp(hostDevice(id))
			if c := o.reconcile(); c != (Change{}) {
				t.Errorf("round after the repair: %+v", c)
			}
			o.works(t)
		})
	}
}

// The pair is rebuilt as Docker had made it: name, MAC, MTU, addresses, routes, also where IPv6 is off by default.
func TestRebuiltVeth(t *testing.T) {
	t.Parallel()
	o := newOverlay(t, "ipv4", true)
	o.ca.ip("link add eth1 type bridge") // as the gateway's network is, in Docker
	o.ca.ip("link set eth1 up")
	o.ca.sh("sysctl -qw net.ipv6.conf.default.disable_ipv6=1")
	e := o.ca.Endpoint
	e.Routes = append(e.Routes, mustPrefix("10.9.0.0/24"), mustPrefix("fd00:9::/64"))
	o.a.ip("link del %s", hostDevice(e.ID))
	if c := o.a.ensureEndpoint(e); c.Added != 1 {
		t.Errorf("rebuild: %+v", c)
	}
	link := o.ca.ip("-d link show eth0")
	for _, want := range []string{"mtu 1500", e.MAC.String(), "falcon endpoint=" + e.ID, "LOWER_UP"} {
		if !strings.Contains(link, want) {
			t.Errorf("no %q in %s", want, link)
		}
	}
	if routes := o.ca.ip("route show dev eth0") + o.ca.ip("-6 route show dev eth0"); !strings.Contains(routes, "10.9.0.0/24 scope link") ||
		!strings.Contains(routes, "fd00:9::/64") {
		t.Errorf("routes: %s", routes)
	}
	o.ca.waitUp("eth0")
	o.a.waitUp(hostDevice(e.ID))
	o.works(t)

	o.a.ip("link del %s", hostDevice(e.ID))
	o.ca.remove()
	if !o.a.SandboxGone(e.Sandbox) {
		t.Error("sandbox is not seen as gone")
	}
	if _, err := o.a.EnsureEndpoint(context.Background(), e); !errors.Is(err, ErrSandboxGone) {
		t.Errorf("rebuild into nothing: %v", err)
	}
	if _, err := o.a.try("ip link show %s", hostDevice(e.ID)); err == nil {
		t.Error("half a pair is left")
	}
}

// A rebuild that fails half-way leaves nothing.
func TestFailedRebuildLeavesNothing(t *testing.T) {
	o := newOverlay(t, "ipv4", true)
	e := o.ca.Endpoint
	e.Addresses = append(e.Addresses, mustPrefix("ff02::5/64")) // refused by the kernel
	before := o.a.ip("-o link")
	o.a.ip("link del %s", hostDevice(e.ID))
	without := o.a.ip("-o link")
	if _, err := o.a.EnsureEndpoint(context.Background(), e); err == nil {
		t.Fatal("a multicast address was taken")
	}
	if after := o.a.ip("-o link"); after != without || after == before {
		t.Errorf("before:\n%s\nafter:\n%s", without, after)
	}
	if out := o.ca.ip("-o link"); strings.Contains(out, "eth0") {
		t.Errorf("left in the container: %s", out)
	}
}

func TestSandboxGone(t *testing.T) {
	d := &Datapath{}
	file := t.TempDir() + "/ns"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{file: true, file + "-absent": true, "": true, "/proc/self/ns/net": false} {
		if got := d.SandboxGone(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}

// In a managed plugin /proc/sys is read-only; the way around it must reach the right namespace.
func TestSysctlWithoutProcSys(t *testing.T) {
	h := lone(t)
	const name = "net/ipv6/conf/lo/disable_ipv6"
	home, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"1", "0"} {
		err := inNetns(h.Datapath.netns, func() error { return writeDetached(name, value) })
		if got := strings.TrimSpace(h.sh("cat /proc/sys/" + name)); err != nil || got != value {
			t.Errorf("wrote %s, read %s: %v", value, got, err)
		}
	}
	if now, err := os.ReadFile("/proc/sys/" + name); err != nil || string(now) != string(home) {
		t.Errorf("our own was %q and is %q, %v", home, now, err)
	}
}

// A process that died between creating a device and tagging it finds its own again.
func TestHalfMadeDevicesAreTaken(t *testing.T) {
	ctx := context.Background()
	h := newHost(t, "h")
	h.under = mustAddr("192.0.2.1")
	n, e := h.network(labVNI), endpointN(labVNI, 1)
	h.ip("link add fbr-42 group %d type bridge", makingGroup)
	h.ip("link add fvx-42 group %d type vxlan id 42 dstport 4789 local 192.0.2.1 nolearning", makingGroup)
	h.ensureNetwork(n)
	h.ip("link add %s group %d type veth peer name %s address %s", hostDevice(e.ID), makingGroup, ContainerDevice(e.ID), e.MAC)
	h.ensureEndpoint(e)
	if out := h.ip("-d link"); strings.Contains(out, "group 117") || strings.Count(out, "alias falcon network=net42") != 2 {
		t.Errorf("not settled:\n%s", out)
	}
	if err := errors.Join(h.RemoveEndpoint(ctx, e.ID), h.RemoveNetwork(ctx, labVNI)); err != nil {
		t.Fatal(err)
	}
	h.ip("link add %s group %d type veth peer name %s", hostDevice(e.ID), makingGroup, ContainerDevice(e.ID))
	h.ip("link add fbr-42 group %d type bridge", makingGroup)
	if err := errors.Join(h.RemoveEndpoint(ctx, e.ID), h.RemoveNetwork(ctx, labVNI)); err != nil {
		t.Fatal(err)
	}
	h.ip("link add %s group %d type veth peer name %s", hostDevice(e.ID), makingGroup, ContainerDevice(e.ID))
	h.ip("link add fbr-7 type bridge")
	if n, err := h.RemoveUnfinished(ctx); err != nil || n != 1 {
		t.Errorf("removed %d, %v", n, err)
	}
	h.ip("link del fbr-7") // somebody else's, still there
	if out := h.ip("-o link"); strings.Count(out, "\n") != 1 {
		t.Errorf("left: %s", out)
	}
}

// What cannot be changed in place is made anew, and everything that hangs on it comes along.
func TestChangedNetworkIsMadeAnew(t *testing.T) {
	h := newHost(t, "h")
	h.under = mustAddr("192.0.2.1")
	n := h.network(labVNI)
	h.ensureNetwork(n)
	for _, change := range []func(){
		func() { n.Port = 4790 },
		func() { n.Local = mustAddr("192.0.2.2") },
		func() { n.Local = mustAddr("2001:db8::1") },
	} {
		change()
		h.ensureNetwork(n)
		if c := h.ensureNetwork(n); c != (Change{}) {
			t.Errorf("%+v: idle round: %+v", n, c)
		}
		vx, err := h.rt.linkByName(context.Background(), vxlanName(labVNI))
		if err != nil {
			t.Fatal(err)
		}
		if want := (vxlanOptions{vni: labVNI, port: n.Port, local: n.Local}); vx.vxlan != want || !vx.up || vx.port != vxlanPort {
			t.Errorf("got %+v, want %+v", vx, want)
		}
	}
}
