package datapath

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"falcon/tests/bench/load"
)

// The lab: hosts and containers are network namespaces, made and removed by each test. Only tests shell out.

// requireRoot skips for an ordinary user, and fails in CI: a privileged test that never ran is not a passed one.
func requireRoot(t testing.TB) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("CI") != "":
		t.Fatal("needs root")
	default:
		t.Skip("needs root")
	}
}

var spaces atomic.Int64

const spacePrefix = "fdp"

// TestMain first removes the namespaces of earlier runs that were killed.
func TestMain(m *testing.M) {
	// The readers of package load are this program, started anew.
	if ran, err := load.Helper(); ran {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	left, _ := filepath.Glob("/run/netns/" + spacePrefix + "*-*")
	for _, path := range left {
		name := filepath.Base(path)
		pid, _, _ := strings.Cut(strings.TrimPrefix(name, spacePrefix), "-")
		if _, err := os.Stat("/proc/" + pid); os.IsNotExist(err) {
			_ = exec.Command("ip", "netns", "del", name).Run()
		}
	}
	os.Exit(m.Run())
}

// space is a network namespace.
type space struct {
	t    testing.TB
	name string
}

func newSpace(t testing.TB, role string) *space {
	t.Helper()
	requireRoot(t)
	s := &space{t, fmt.Sprintf("%s%d-%d-%s", spacePrefix, os.Getpid(), spaces.Add(1), role)}
	run(t, "ip", "netns", "add", s.name)
	t.Cleanup(s.remove)
	s.ip("link set lo up")
	return s
}

// remove deletes the namespace; once it is gone, so is all that was in it.
func (s *space) remove() {
	if _, err := os.Stat(s.path()); err != nil {
		return
	}
	if out, err := exec.Command("ip", "netns", "del", s.name).CombinedOutput(); err != nil {
		s.t.Errorf("delete namespace %s: %v: %s", s.name, err, out)
	}
}

func (s *space) path() string { return "/run/netns/" + s.name }

// try runs a command line, split at blanks, in the namespace.
func (s *space) try(format string, args ...any) (string, error) {
	line := append([]string{"netns", "exec", s.name}, strings.Fields(fmt.Sprintf(format, args...))...)
	out, err := exec.Command("ip", line...).CombinedOutput()
	return string(out), err
}

func (s *space) sh(format string, args ...any) string {
	s.t.Helper()
	out, err := s.try(format, args...)
	if err != nil {
		s.t.Fatalf("in %s: "+format+": %v\n%s", append(append([]any{s.name}, args...), err, out)...)
	}
	return out
}

func (s *space) ip(format string, args ...any) string {
	s.t.Helper()
	return run(s.t, append([]string{"ip", "-n", s.name}, strings.Fields(fmt.Sprintf(format, args...))...)...)
}

func (s *space) fails(format string, args ...any) {
	s.t.Helper()
	if out, err := s.try(format, args...); err == nil {
		s.t.Fatalf("in %s: should fail: "+format+"\n%s", append(append([]any{s.name}, args...), out)...)
	}
}

// ping sends one packet and wants the answer within a second.
func (s *space) ping(to netip.Addr, more string) {
	s.t.Helper()
	s.sh("ping -n -c 1 -W 1 %s %s", more, to)
}

// waitUp waits until the kernel has noticed that a device has a carrier; before, it drops what is to be sent.
func (s *space) waitUp(device string) {
	s.t.Helper()
	for range 300 {
		if strings.Contains(s.ip("link show %s", device), "state UP") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatalf("in %s: %s does not come up", s.name, device)
}

func run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// labHost is a namespace with a Datapath in it.
type labHost struct {
	*space
	*Datapath
	under    netip.Addr
	peers    []*labHost
	shortcut bool // networks are to be on the shortcut
	pins     string
}

// underlays are the two families of the outer packets.
var underlays = map[string]string{"ipv4": "192.0.2.%d/24", "ipv6": "2001:db8:99::%d/64"}

const labMTU = 1500 // inside

// newHost makes a host with an underlay interface u0, up and with the given address, whose other end is in wire.
func newHost(t testing.TB, role string) *labHost {
	t.Helper()
	s := newSpace(t, role)
	log := logrus.New()
	log.SetOutput(testWriter{t})
	log.SetLevel(logrus.DebugLevel)
	h := &labHost{space: s, pins: bpffs(t)}
	h.open(role, log)
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			s.dump()
		}
	})
	return h
}

// open begins a run of the daemon.
func (h *labHost) open(role string, log logrus.FieldLogger) {
	h.t.Helper()
	d, err := Open(Config{
		Netns: h.path(), Log: log,
		Steering: SteeringConfig{Pins: filepath.Join(h.pins, role), Port: 4789, Quiet: time.Duration(slowness(h.t)) * quietAfter},
		Shortcut: ShortcutConfig{Pins: filepath.Join(h.pins, role+"-shortcut"), Port: 4789},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.Datapath = d
}

// bpffs mounts one for a test.
func bpffs(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

type testWriter struct{ testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// dump logs what a failed test may be understood by.
func (s *space) dump() {
	for _, c := range []string{"ip -d link", "ip addr", "bridge fdb", "ip neigh", "nft list ruleset"} {
		out, _ := s.try("%s", c)
		s.t.Logf("%s: %s\n%s", s.name, c, out)
	}
}

// twoHosts gives two hosts on one wire.
func twoHosts(t testing.TB, underlay string) (a, b *labHost) {
	t.Helper()
	a, b = newHost(t, "hA"), newHost(t, "hB")
	a.ip("link add u0 mtu 1600 type veth peer name u0 netns %s", b.name)
	b.ip("link set u0 mtu 1600")
	addressUnderlay(underlay, a, b)
	return a, b
}

// addressUnderlay gives two hosts that are on one wire, with a device u0 each, addresses there.
func addressUnderlay(underlay string, a, b *labHost) {
	for i, h := range []*labHost{a, b} {
		prefix := netip.MustParsePrefix(fmt.Sprintf(underlays[underlay], i+1))
		h.ip("addr add %s dev u0 nodad", prefix)
		h.ip("link set u0 up")
		h.under = prefix.Addr()
	}
	a.waitUp("u0")
	b.waitUp("u0")
	a.peers, b.peers = []*labHost{b}, []*labHost{a}
}

func (h *labHost) network(vni VNI) Network {
	n := Network{Name: fmt.Sprintf("net%d", vni), VNI: vni, MTU: labMTU, Local: h.under, Port: 4789}
	if h.shortcut {
		n.Shortcut, n.Device = true, h.device("u0")
	}
	return n
}

// endpointN describes the n-th endpoint of a network.
func endpointN(vni VNI, n int) Endpoint {
	return Endpoint{
		ID:      fmt.Sprintf("%06x%06x", vni, n) + strings.Repeat("ab", 26),
		Network: fmt.Sprintf("net%d", vni), VNI: vni, MTU: labMTU,
		MAC: MAC{2, 0x42, 10, 0, byte(n >> 8), byte(n)},
		Addresses: []netip.Prefix{
			netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 16),
			netip.PrefixFrom(netip.MustParseAddr(fmt.Sprintf("fd00:a::%x", n)), 64),
		},
	}
}

func remoteOf(e Endpoint, host netip.Addr) Remote {
	r := Remote{MAC: e.MAC, Host: host}
	for _, p := range e.Addresses {
		r.Addresses = append(r.Addresses, p.Addr())
	}
	return r
}

// container is a namespace that a test has moved an endpoint's device into, as Docker does.
type container struct {
	*space
	Endpoint
}

func (h *labHost) attach(e Endpoint) *container {
	h.t.Helper()
	h.ensureEndpoint(e)
	c := &container{newSpace(h.t, "c"), e}
	h.ip("link set %s netns %s name eth0", ContainerDevice(e.ID), c.name)
	for _, p := range e.Addresses {
		c.ip("addr add %s dev eth0 nodad", p)
	}
	c.ip("link set eth0 up")
	c.waitUp("eth0")
	h.waitUp(hostDevice(e.ID))
	c.Endpoint.Sandbox = c.path()
	return c
}

func (h *labHost) ensureNetwork(n Network) Change {
	h.t.Helper()
	c, err := h.EnsureNetwork(context.Background(), n)
	if err != nil {
		h.t.Fatal(err)
	}
	if c != (Change{}) {
		h.waitUp(bridgeName(n.VNI))
	}
	return c
}

func (h *labHost) ensureEndpoint(e Endpoint) Change {
	h.t.Helper()
	c, err := h.EnsureEndpoint(context.Background(), e)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (h *labHost) sync(n Network, f Forwarding) Change {
	h.t.Helper()
	c, err := h.SyncForwarding(context.Background(), n, f)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// overlay is two hosts, one network, and one container on each.
type overlay struct {
	a, b   *labHost
	ca, cb *container
}

const labVNI = 42

// newOverlay builds one. known tells whether the hosts are told of each other's endpoints; without, they only
// know each other, and frames are flooded.
func newOverlay(t testing.TB, underlay string, known bool) overlay {
	t.Helper()
	a, b := twoHosts(t, underlay)
	return overlayOf(a, b, known)
}

// overlayOf builds one on two hosts.
func overlayOf(a, b *labHost, known bool) overlay {
	o := overlay{a: a, b: b}
	o.a.ensureNetwork(o.a.network(labVNI))
	o.b.ensureNetwork(o.b.network(labVNI))
	o.ca, o.cb = o.a.attach(endpointN(labVNI, 1)), o.b.attach(endpointN(labVNI, 2))
	fa, fb := o.forwardings()
	if !known {
		fa.Remote, fb.Remote = nil, nil
	}
	o.a.sync(o.a.network(labVNI), fa)
	o.b.sync(o.b.network(labVNI), fb)
	return o
}

// forwardings is what each host must know.
func (o overlay) forwardings() (a, b Forwarding) {
	of := func(own, other *container, host netip.Addr) Forwarding {
		return Forwarding{
			Local:  map[string]Endpoint{own.ID: own.Endpoint},
			Remote: map[string]Remote{other.ID: remoteOf(other.Endpoint, host)},
			Flood:  []netip.Addr{host},
		}
	}
	return of(o.ca, o.cb, o.b.under), of(o.cb, o.ca, o.a.under)
}

func eachUnderlay(t *testing.T, f func(t *testing.T, underlay string)) {
	for underlay := range underlays {
		t.Run(underlay, func(t *testing.T) {
			t.Parallel()
			f(t, underlay)
		})
	}
}

const interrupt = unix.SIGINT

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
