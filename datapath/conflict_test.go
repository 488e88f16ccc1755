package datapath

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/vishvananda/netns"
)

// lone gives a host with no wire; enough where nothing is sent.
func lone(t testing.TB) *labHost {
	h := newHost(t, "h")
	h.under = mustAddr("192.0.2.1")
	return h
}

// fullList is everything that could be changed by mistake, less the timers that run by themselves.
func (s *space) fullList() string {
	timers := regexp.MustCompile(`timer +[0-9.]+`)
	return timers.ReplaceAllString(s.ip("-d link"), "") + s.ip("addr") + s.sh("bridge fdb") + s.sh("bridge link") +
		s.ip("neigh") + s.sh("tc qdisc") + s.sh("nft list ruleset")
}

// unchanged compares lists and reports the lines that differ.
func unchanged(t testing.TB, before, after string) {
	t.Helper()
	if before == after {
		return
	}
	lines := func(s, other string) string {
		var only []string
		for line := range strings.Lines(s) {
			if !strings.Contains(other, line) {
				only = append(only, line)
			}
		}
		return strings.Join(only, "")
	}
	t.Errorf("only before:\n%sonly after:\n%s", lines(before, after), lines(after, before))
}

// A device with our name but not our tag is somebody else's, whatever we are asked to do.
func TestStrangersAreNotTouched(t *testing.T) {
	ctx := context.Background()
	e := endpointN(labVNI, 1)
	strangers := map[string]string{
		"bridge":            "link add fbr-42 type bridge",
		"vxlan":             "link add fvx-42 type vxlan id 42 dstport 4789 local 192.0.2.1",
		"veth for bridge":   "link add fbr-42 type veth peer name x",
		"host veth":         "link add " + hostDevice(e.ID) + " type veth peer name x",
		"container veth":    "link add " + ContainerDevice(e.ID) + " type veth peer name x",
		"bridge up, alias":  "link add fbr-42 up alias mine type bridge",
		"bridge, other tag": "link add fbr-42 type bridge",
	}
	for name, add := range strangers {
		t.Run(name, func(t *testing.T) {
			h := lone(t)
			own := labVNI + VNI(1) // a network of ours, so that something of ours is there to work with
			h.ensureNetwork(h.network(own))
			h.ip("%s", add)
			if name == "bridge, other tag" {
				h.ip("link set fbr-42 alias falcon-like")
			}
			before := h.fullList()
			_, err := h.EnsureNetwork(ctx, h.network(labVNI))
			if strings.Contains(name, "host veth") || strings.Contains(name, "container veth") {
				_ = h.RemoveNetwork(ctx, labVNI)
				on := e
				on.VNI = own
				_, err = h.EnsureEndpoint(ctx, on)
			}
			if !errors.Is(err, ErrNotOurs) {
				t.Errorf("got %v", err)
			}
			f := Forwarding{Remote: map[string]Remote{"x": remoteOf(e, mustAddr("192.0.2.9"))}}
			_, _ = h.SyncForwarding(ctx, h.network(labVNI), f)
			_ = h.AddFlood(ctx, h.network(labVNI), mustAddr("192.0.2.9"))
			if err := errors.Join(h.RemoveEndpoint(ctx, e.ID), h.RemoveNetwork(ctx, labVNI)); err != nil {
				t.Error(err)
			}
			unchanged(t, before, h.fullList())
		})
	}
}

// Endpoint IDs that begin alike would share a device name; the second is refused and the first keeps working.
func TestEndpointIDsThatCollide(t *testing.T) {
	ctx := context.Background()
	h := lone(t)
	h.ensureNetwork(h.network(labVNI))
	first, second := endpointN(labVNI, 1), endpointN(labVNI, 2)
	second.ID = first.ID[:len(first.ID)-1] + "0"
	h.ensureEndpoint(first)
	_, err := h.EnsureEndpoint(ctx, second)
	if !errors.Is(err, ErrNotOurs) || !strings.Contains(fmt.Sprint(err), first.ID) {
		t.Errorf("got %v", err)
	}
	if err := h.RemoveEndpoint(ctx, second.ID); err != nil {
		t.Error(err)
	}
	if c := h.ensureEndpoint(first); c != (Change{}) {
		t.Errorf("the first was touched: %+v", c)
	}
}

func TestVNITaken(t *testing.T) {
	ctx := context.Background()
	taken := func(t *testing.T, h *labHost, names ...string) {
		t.Helper()
		before := h.fullList()
		_, err := h.EnsureNetwork(ctx, h.network(labVNI))
		if !errors.Is(err, ErrVNITaken) {
			t.Fatalf("got %v", err)
		}
		for _, n := range names {
			if !strings.Contains(err.Error(), n) {
				t.Errorf("%q is not in: %v", n, err)
			}
		}
		unchanged(t, before, h.fullList())
	}
	t.Run("by a device", func(t *testing.T) {
		h := lone(t)
		h.ip("link add vx-other type vxlan id 42 dstport 4789 local 192.0.2.1")
		h.ip("link add vx-third type vxlan id 43 dstport 4790 local 192.0.2.1")
		taken(t, h, "vx-other")
		list, err := h.TakenVNIs(ctx, 4789)
		if err != nil || len(list) != 1 || list[42] != "vx-other" {
			t.Errorf("TakenVNIs: %v, %v", list, err)
		}
	})
	t.Run("by a device in another namespace", func(t *testing.T) {
		h, other := lone(t), newSpace(t, "other")
		h.ip("link add vx-other type vxlan id 42 dstport 4789 local 192.0.2.1")
		h.ip("link set vx-other netns %s", other.name)
		taken(t, h, "another network namespace")
	})
	t.Run("by another network of ours", func(t *testing.T) {
		h := lone(t)
		n := h.network(labVNI)
		n.Name = "blue"
		h.ensureNetwork(n)
		_, err := h.EnsureNetwork(ctx, h.network(labVNI))
		if !errors.Is(err, ErrVNITaken) || !strings.Contains(err.Error(), "blue") {
			t.Errorf("got %v", err)
		}
		if list, err := h.TakenVNIs(ctx, 4789); err != nil || len(list) != 0 {
			t.Errorf("TakenVNIs: %v, %v", list, err)
		}
	})
}

func TestPortTaken(t *testing.T) {
	ctx := context.Background()
	taken := func(t *testing.T, h *labHost, by string) {
		t.Helper()
		before := h.ip("-o link")
		if err := h.CheckPort(ctx, 4789); !errors.Is(err, ErrPortTaken) || !strings.Contains(err.Error(), by) {
			t.Errorf("CheckPort: %v", err)
		}
		if err := h.CheckPort(ctx, 4790); err != nil {
			t.Errorf("CheckPort of another: %v", err)
		}
		_, err := h.EnsureNetwork(ctx, h.network(labVNI))
		if !errors.Is(err, ErrPortTaken) {
			t.Fatalf("got %v", err)
		}
		for _, part := range []string{by, "--vxlan-port"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is not in: %v", part, err)
			}
		}
		if _, err := h.rt.linkByName(ctx, vxlanName(labVNI)); !errors.Is(err, errNoLink) {
			t.Errorf("the vxlan device was left: %v", err)
		}
		unchanged(t, before, h.ip("-o link"))
	}
	t.Run("by a collecting device", func(t *testing.T) {
		h := lone(t)
		h.ip("link add vx-ext type vxlan external dstport 4789")
		h.ip("link set vx-ext up")
		taken(t, h, "vx-ext")
	})
	t.Run("by a socket", func(t *testing.T) {
		h := lone(t)
		var conn *net.UDPConn
		err := inNetns(h.Datapath.netns, func() (err error) {
			conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 4789})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		taken(t, h, "UDP port 4789")
		conn.Close()
		h.ensureNetwork(h.network(labVNI))
	})
	t.Run("not by an ordinary device", func(t *testing.T) {
		h := lone(t)
		h.ip("link add vx-other type vxlan id 7 dstport 4789 local 192.0.2.1")
		h.ip("link set vx-other up")
		h.ensureNetwork(h.network(labVNI))
	})
}

// The datapath must never leave a thread in another namespace.
func TestThreadsStayHome(t *testing.T) {
	requireRoot(t)
	s := newSpace(t, "s")
	ns, err := netns.GetFromPath(s.path())
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	home, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	boom := errors.New("boom")
	for range 100 {
		err := inNetns(ns, func() error {
			if here, err := netns.Get(); err != nil || here.Equal(home) || here.Close() != nil {
				t.Error("not moved")
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		here, err := netns.Get()
		if err != nil || !here.Equal(home) {
			t.Fatal("thread is in another namespace")
		}
		here.Close()
	}
}

func TestImpossibleRequestsAreRefused(t *testing.T) {
	ctx := context.Background()
	h := lone(t)
	before := h.fullList()
	good := h.network(labVNI)
	for name, spoil := range map[string]func(n *Network){
		"no name":    func(n *Network) { n.Name = "" },
		"long name":  func(n *Network) { n.Name = strings.Repeat("x", 250) },
		"VNI 0":      func(n *Network) { n.VNI = 0 },
		"VNI 2^24":   func(n *Network) { n.VNI = 1 << 24 },
		"MTU":        func(n *Network) { n.MTU = 67 },
		"multicast":  func(n *Network) { n.Local = mustAddr("224.0.0.1") },
		"link-local": func(n *Network) { n.Local = mustAddr("fe80::1") },
		"port":       func(n *Network) { n.Port = 0 },
	} {
		n := good
		spoil(&n)
		if _, err := h.EnsureNetwork(ctx, n); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	for name, spoil := range map[string]func(e *Endpoint){
		"no ID":      func(e *Endpoint) { e.ID = "" },
		"odd ID":     func(e *Endpoint) { e.ID = "a/b" },
		"no network": func(e *Endpoint) { e.Network = "" },
		"no MAC":     func(e *Endpoint) { e.MAC = MAC{} },
		"group MAC":  func(e *Endpoint) { e.MAC[0] |= 1 },
		"no MTU":     func(e *Endpoint) { e.MTU = 0 },
		"no bridge":  func(e *Endpoint) {},
	} {
		e := endpointN(labVNI, 1)
		spoil(&e)
		if _, err := h.EnsureEndpoint(ctx, e); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := h.EnsureNetwork(canceled, good); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	unchanged(t, before, h.fullList())
}
