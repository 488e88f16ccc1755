package datapath

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// shortOverlay is an overlay of two hosts, of which either may have the shortcut.
func shortOverlay(t testing.TB, underlay string, a, b bool) overlay {
	t.Helper()
	hostA, hostB := twoHosts(t, underlay)
	hostA.shortcut, hostB.shortcut = a, b
	o := overlayOf(hostA, hostB, true)
	for _, h := range []*labHost{hostA, hostB} {
		if why := h.ShortcutStatus(t.Context()).Problems; len(why) > 0 {
			t.Fatalf("%s: %v", h.name, why)
		}
	}
	return o
}

// way tells how many packets went a way on a host.
func (h *labHost) way(name string) uint64 {
	h.t.Helper()
	return h.ShortcutStatus(context.Background()).Networks[labVNI].Ways[name].Packets
}

// received is how many packets a container's device has counted.
func (c *container) received() (n int) {
	c.t.Helper()
	if _, err := fmt.Sscan(c.sh("cat /sys/class/net/eth0/statistics/rx_packets"), &n); err != nil {
		c.t.Fatal(err)
	}
	return n
}

// in runs f in a namespace.
func (s *space) in(f func() error) error {
	ns, err := netns.GetFromPath(s.path())
	if err != nil {
		return err
	}
	defer ns.Close()
	return inNetns(ns, f)
}

// transfer sends so many bytes over TCP from one container to another, and wants to find them there.
func transfer(t testing.TB, from, to *container, address netip.Addr, size int) {
	t.Helper()
	var listener net.Listener
	err := to.in(func() (err error) {
		listener, err = net.Listen("tcp", netip.AddrPortFrom(address, 5001).String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	got := make(chan error, 1)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			got <- err
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		h := sha256.New()
		n, err := io.Copy(h, c)
		if want := sha256.Sum256(data); err == nil && !bytes.Equal(h.Sum(nil), want[:]) {
			err = fmt.Errorf("%d bytes of %d arrived, or others", n, size)
		}
		got <- err
	}()
	var c net.Conn
	err = from.in(func() (err error) {
		c, err = net.DialTimeout("tcp", listener.Addr().String(), 5*time.Second)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write(data); err != nil {
		t.Error(err)
	}
	c.Close()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

const transferred = 4 << 20

// talk has two containers exchange packets of all sizes in both families.
func talk(t testing.TB, one, other *container) {
	t.Helper()
	for i := range one.Addresses {
		for _, c := range [][2]*container{{one, other}, {other, one}} {
			to := c[1].Addresses[i].Addr()
			c[0].ping(to, "")
			c[0].ping(to, "-s 4000") // in fragments
			transfer(t, c[0], c[1], to, transferred)
		}
	}
}

// Hosts with and without the shortcut understand one another, and those with it take it.
func TestShortcutCarries(t *testing.T) {
	for underlay := range underlays {
		for _, a := range []bool{false, true} {
			for _, b := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %v, %v", underlay, a, b), func(t *testing.T) {
					t.Parallel()
					o := shortOverlay(t, underlay, a, b)
					talk(t, o.ca, o.cb)
					for _, h := range []*labHost{o.a, o.b} {
						out := h.shortcut && underlay == "ipv4" // IPv6 asks for a checksum of all, which takes a whole look at it
						if got := h.way("in") > 100; got != h.shortcut {
							t.Errorf("%s: taken in: %v, want %v: %+v", h.name, got, h.shortcut, h.ShortcutStatus(t.Context()))
						}
						for _, c := range []*container{o.ca, o.cb} {
							if n := c.received(); n < 100 {
								t.Errorf("%s counted %d packets", c.name, n)
							}
						}
						if got := h.way("out") > 100; got != out {
							t.Errorf("%s: sent out: %v, want %v: %+v", h.name, got, out, h.ShortcutStatus(t.Context()))
						}
					}
				})
			}
		}
	}
}

// Whatever devices do for packets or leave to the kernel, all arrives.
func TestShortcutWithoutOffloads(t *testing.T) {
	for _, off := range []string{"tx off", "tso off gso off", "gro off rx off", "tx off tso off gso off gro off"} {
		t.Run(off, func(t *testing.T) {
			t.Parallel()
			o := shortOverlay(t, "ipv4", true, true)
			for _, c := range []*container{o.ca, o.cb} {
				c.sh("ethtool -K eth0 %s", off)
			}
			for _, h := range []*labHost{o.a, o.b} {
				h.sh("ethtool -K u0 %s", off)
			}
			talk(t, o.ca, o.cb)
		})
	}
}

// Containers of one host reach each other without the bridge.
func TestShortcutOnOneHost(t *testing.T) {
	o := shortOverlay(t, "ipv4", true, true)
	near := o.a.attach(endpointN(labVNI, 3))
	fa, _ := o.forwardings()
	fa.Local[near.ID] = near.Endpoint
	o.a.sync(o.a.network(labVNI), fa)
	talk(t, o.ca, near)
	if o.a.way("local") < 100 {
		t.Errorf("%+v", o.a.ShortcutStatus(t.Context()))
	}
}

// Networks that have something of people's on their way are taken off the shortcut, which says why, and come back.
func TestShortcutGivesWay(t *testing.T) {
	o := shortOverlay(t, "ipv4", true, true)
	fa, _ := o.forwardings()
	vx, port := vxlanName(labVNI), hostDevice(o.ca.ID)
	for _, c := range []struct {
		put       []string
		take, why string
	}{
		{[]string{"tc qdisc add dev " + vx + " clsact"}, "tc qdisc del dev " + vx + " clsact", ""},
		{[]string{"tc qdisc add dev " + vx + " root pfifo limit 100"}, "tc qdisc del dev " + vx + " root", "pfifo"},
		{[]string{"tc filter add dev " + port + " ingress prio 5 protocol all u32 match u32 0 0"}, "tc filter del dev " + port + " ingress prio 5", "u32"},
		{[]string{"nft add table bridge people", "nft add chain bridge people watch {type filter hook forward priority 0;}"},
			"nft delete table bridge people", "people"},
	} {
		for _, line := range c.put {
			o.a.sh("%s", line)
		}
		check := func(why string) {
			t.Helper()
			o.a.sync(o.a.network(labVNI), fa)
			st := o.a.ShortcutStatus(t.Context()).Networks[labVNI]
			if st.Active != (why == "") || !strings.Contains(st.Why, why) {
				t.Errorf("%s: active %v, %q, want %q", c.put, st.Active, st.Why, why)
			}
			before := o.a.way("out")
			o.ca.ping(o.cb.Addresses[0].Addr(), "")
			if took := o.a.way("out") > before; took != (why == "") {
				t.Errorf("%s: the shortcut was taken: %v", c.put, took)
			}
		}
		check(c.why)
		o.a.sh("%s", c.take)
		check("")
	}
}

// The programs go on while no daemon runs, the next one goes on with what they know, and the last network leaves nothing.
func TestShortcutLife(t *testing.T) {
	o := shortOverlay(t, "ipv4", true, true)
	fa, _ := o.forwardings()
	took := func() bool {
		t.Helper()
		before := o.b.way("in")
		o.ca.ping(o.cb.Addresses[0].Addr(), "")
		return o.b.way("in") > before
	}
	if err := o.a.Close(); err != nil {
		t.Fatal(err)
	}
	if !took() {
		t.Error("without a daemon: the kernel's way")
	}
	o.a.sh("tc filter del dev %s ingress", hostDevice(o.ca.ID)) // somebody's mistake
	o.a.open("hA", o.b.log)
	n := o.a.network(labVNI)
	n.Name = "net42"
	o.a.ensureNetwork(n)
	if got := len(o.a.Datapath.short.networks[labVNI].endpoints); got != 2 {
		t.Errorf("%d endpoints are known after a restart", got)
	}
	for _, when := range []string{"after a restart", "after it was taken away again"} {
		o.a.sync(n, fa)
		before := o.a.way("out")
		if !took() || o.a.way("out") == before {
			t.Errorf("%s: the kernel's way", when)
		}
		o.a.sh("tc filter del dev %s ingress", hostDevice(o.ca.ID))
	}
	n.Shortcut = false
	o.a.ensureNetwork(n)
	if still, err := o.a.attachedHost(t.Context(), hook{device: o.a.device("u0")}, nameIn); err != nil || still {
		t.Errorf("%s is still attached: %v, %v", nameIn, still, err)
	}
	if still, err := o.a.rt.findTC(t.Context(), outHook(o.a.device(hostDevice(o.ca.ID))), nameOut); err != nil || still != nil {
		t.Errorf("%s is still attached: %v, %v", nameOut, still, err)
	}
	if _, err := os.Stat(o.a.Datapath.short.config.Pins); !os.IsNotExist(err) {
		t.Errorf("pins: %v", err)
	}
	o.ca.ping(o.cb.Addresses[0].Addr(), "")
}

// Endpoints may come after a restart before anything else is known of their network, and are on the shortcut after its first pass.
func TestShortcutTakesEndpointsBeforeTheFirstPass(t *testing.T) {
	o := shortOverlay(t, "ipv4", true, true)
	if err := o.b.Close(); err != nil {
		t.Fatal(err)
	}
	o.b.open("hB", o.a.log)
	other := o.b.network(labVNI + 1)
	other.Shortcut = true
	o.b.ensureNetwork(other) // takes over what is known of all
	added := o.b.attach(endpointN(labVNI, 3))
	fa, fb := o.forwardings()
	fa.Remote[added.ID], fb.Local[added.ID] = remoteOf(added.Endpoint, o.b.under), added.Endpoint
	if err := o.b.AddRemote(t.Context(), o.b.network(labVNI), remoteOf(o.ca.Endpoint, mustAddr("192.0.2.9"))); err != nil { // moved, and will move back
		t.Fatal(err)
	}
	if e, stale := o.b.short.networks[labVNI].endpoints[o.ca.MAC]; stale {
		t.Errorf("packets go where the endpoint was: %+v", e)
	}
	if err := o.b.AddRemote(t.Context(), o.b.network(labVNI), remoteOf(o.ca.Endpoint, o.a.under)); err != nil {
		t.Fatal(err)
	}
	o.a.sync(o.a.network(labVNI), fa)
	o.ca.ping(added.Addresses[0].Addr(), "")
	o.b.ensureNetwork(o.b.network(labVNI))
	o.b.sync(o.b.network(labVNI), fb)
	before := o.b.way("in")
	o.ca.ping(added.Addresses[0].Addr(), "")
	if o.b.way("in") == before {
		t.Errorf("the shortcut is not taken: %+v", o.b.ShortcutStatus(t.Context()))
	}
}

// An endpoint that goes, or moves to another host, is not looked for where it was.
func TestShortcutFollows(t *testing.T) {
	o := shortOverlay(t, "ipv4", true, true)
	n := o.a.network(labVNI)
	remote := remoteOf(o.cb.Endpoint, o.b.under)
	stray := remote
	stray.Host = mustAddr("192.0.2.77")
	to := o.cb.Addresses[0].Addr()
	for _, step := range []struct {
		what string
		do   func() error
		out  bool
	}{
		{"known", func() error { return nil }, true},
		{"gone", func() error { return o.a.RemoveRemote(t.Context(), n, remote) }, false},
		{"back", func() error { return o.a.AddRemote(t.Context(), n, remote) }, true},
		{"gone from elsewhere, late", func() error { return o.a.RemoveRemote(t.Context(), n, stray) }, true},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		before := o.a.way("out")
		_, _ = o.ca.try("ping -n -c 1 -W 1 %s", to)
		if out := o.a.way("out") > before; out != step.out {
			t.Errorf("%s: the shortcut was taken: %v", step.what, out)
		}
	}
	if err := o.b.RemoveEndpoint(t.Context(), o.cb.ID); err != nil {
		t.Fatal(err)
	}
	before := o.b.way("in")
	_, _ = o.ca.try("ping -n -c 1 -W 1 %s", to)
	if o.b.way("in") > before {
		t.Error("a packet for an endpoint that is gone was taken in")
	}
}

// When a host's address on the underlay changes, packets go to and come from the new one, and the old one is a stranger's.
func TestShortcutFollowsTheUnderlay(t *testing.T) {
	for underlay, next := range map[string]string{"ipv4": "192.0.2.102/24", "ipv6": "2001:db8:99::102/64"} {
		t.Run(underlay, func(t *testing.T) {
			t.Parallel()
			o := shortOverlay(t, underlay, true, true)
			talk(t, o.ca, o.cb)
			old, now := o.b.under, mustPrefix(next)
			o.b.ip("addr del %s dev u0", netip.PrefixFrom(old, now.Bits()))
			o.b.ip("addr add %s dev u0 nodad", now)
			o.b.under = now.Addr()
			o.b.ensureNetwork(o.b.network(labVNI))
			fa, fb := o.forwardings()
			o.b.sync(o.b.network(labVNI), fb)
			o.a.sync(o.a.network(labVNI), fa)
			in, out := o.a.way("in"), o.a.way("out")
			talk(t, o.ca, o.cb)
			if o.a.way("in") < in+100 || underlay == "ipv4" && o.a.way("out") < out+100 {
				t.Errorf("the shortcut is not taken any more: %+v", o.a.ShortcutStatus(t.Context()))
			}
			if _, known := o.a.short.networks[labVNI].hosts[old]; known {
				t.Errorf("%s may still send", old)
			}
		})
	}
}

// Between hosts on one link no route is looked up for a packet; as soon as one leads by a router, it is.
func TestShortcutFollowsRoutes(t *testing.T) {
	o := shortOverlay(t, "ipv4", true, true)
	router := mustPrefix("192.0.2.102/32") // host b by another name
	o.b.ip("addr add %s dev u0", router)
	fa, _ := o.forwardings()
	for _, route := range []struct {
		change string // of a's way to b
		onLink uint32
	}{{"", 1}, {"route add 192.0.2.2/32 via 192.0.2.102", 0}, {"route del 192.0.2.2/32", 1}} {
		if route.change != "" {
			o.a.ip("%s", route.change)
			o.a.sync(o.a.network(labVNI), fa)
		}
		if e := o.a.short.networks[labVNI].endpoints[o.cb.MAC]; e.OnLink != route.onLink || e.Device == 0 {
			t.Errorf("%q: %+v", route.change, e)
		}
		before := o.a.way("out")
		o.ca.ping(o.cb.Addresses[0].Addr(), "")
		if o.a.way("out") == before {
			t.Errorf("%q: the shortcut is not taken", route.change)
		}
	}
}

// A container hears of a port that nobody listens at on another host, whichever family.
func TestShortcutCarriesErrors(t *testing.T) {
	o := shortOverlay(t, "ipv4", true, true)
	for _, address := range o.cb.Addresses {
		err := o.ca.in(func() error {
			c, err := net.Dial("udp", netip.AddrPortFrom(address.Addr(), 9).String())
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
				return err
			}
			if _, err := c.Write([]byte("?")); err != nil {
				return err
			}
			_, err = c.Read(make([]byte, 1))
			return err
		})
		if !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("%v: want to be told that nobody listens: %v", address, err)
		}
	}
}

// Datagrams behind extension headers arrive, by the kernel's way.
func TestShortcutLeavesExtensionHeadersToTheKernel(t *testing.T) {
	o := shortOverlay(t, "ipv4", true, true)
	to := netip.AddrPortFrom(o.cb.Addresses[1].Addr(), 7)
	var listener net.PacketConn
	err := o.cb.in(func() (err error) {
		listener, err = net.ListenPacket("udp6", to.String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for name, option := range map[string]int{"hop-by-hop": unix.IPV6_HOPOPTS, "destination": unix.IPV6_DSTOPTS} {
		before := o.a.way("kernel_kind")
		err := o.ca.in(func() error {
			d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
				padding := "\x00\x00\x01\x04\x00\x00\x00\x00" // a header of 8 bytes that is nothing but PadN (RFC 8200, section 4.2)
				return errors.Join(raw.Control(func(fd uintptr) { err = unix.SetsockoptString(int(fd), unix.IPPROTO_IPV6, option, padding) }), err)
			}}
			c, err := d.Dial("udp6", to.String())
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write([]byte(name))
			return err
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := make([]byte, 100)
		if err := listener.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, _, err := listener.ReadFrom(got); err != nil || string(got[:n]) != name {
			t.Errorf("%s: %q, %v", name, got[:n], err)
		}
		if o.a.way("kernel_kind") == before {
			t.Errorf("%s: did not go the kernel's way: %+v", name, o.a.ShortcutStatus(t.Context()))
		}
	}
}

func sendDatagram(to netip.AddrPort, what string) error {
	c, err := net.Dial("udp", to.String())
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte(what))
	return err
}
