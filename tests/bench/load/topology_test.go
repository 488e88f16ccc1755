package load

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"falcon/tests/lab"
)

func TestMain(m *testing.M) {
	if ran, err := Helper(); ran {
		if err != nil {
			fmt.Fprintln(os.Stderr, "reader:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// topology is the receiving side of an overlay, made by hand:
//
//	wire: uA ---- uB :host: vx0 - br0 - p0 ---- eth0 :container
type topology struct {
	wire, host, container string // files of the namespaces
}

const (
	vni       = 42
	flowPort  = 5001
	wireMAC   = "02:99:00:00:00:01"
	hostMAC   = "02:99:00:00:00:02"
	senderMAC = "02:42:0a:00:00:01"
	readerMAC = "02:42:0a:00:00:02"
)

// Addresses of both families: of the sender and of the reader.
var (
	outer4 = [2]netip.Addr{netip.MustParseAddr("10.99.0.1"), netip.MustParseAddr("10.99.0.2")}
	outer6 = [2]netip.Addr{netip.MustParseAddr("fd99::1"), netip.MustParseAddr("fd99::2")}
	inner4 = [2]netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}
	inner6 = [2]netip.Addr{netip.MustParseAddr("fd10::1"), netip.MustParseAddr("fd10::2")}
)

// newNamespace makes a network namespace that ends with the test.
func newNamespace(t *testing.T) string {
	t.Helper()
	var file *os.File
	err := onThread("", anyCPU, func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		file, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), file.Fd())
}

// in runs a shell script in a namespace. $wire, $host and $container are there for ip link's netns.
func (top topology) in(t *testing.T, namespace, script string) string {
	t.Helper()
	c := exec.Command("nsenter", "--net="+namespace, "bash", "-euc", script)
	c.Env = append(os.Environ(), "wire="+top.wire, "host="+top.host, "container="+top.container)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.TrimSpace(script), err, out)
	}
	return string(out)
}

// newTopology makes one whose tunnel is between two addresses.
func newTopology(t *testing.T, outer [2]netip.Addr) topology {
	t.Helper()
	lab.Require(t)
	top := topology{wire: newNamespace(t), host: newNamespace(t), container: newNamespace(t)}
	bits := map[bool]int{true: 24, false: 64}[outer[0].Is4()]
	top.in(t, top.wire, fmt.Sprintf(`
		echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
		ip link add uA address %s type veth peer name uB address %s netns $host
		ip link set uA mtu 1600 up`, wireMAC, hostMAC))
	top.in(t, top.container, `ip link set lo up`)
	top.in(t, top.host, fmt.Sprintf(`
		ip link set lo up
		ip link set uB mtu 1600 up
		ip addr add %[1]v/%[2]d dev uB $([ %[2]d = 24 ] || echo nodad)
		ip neigh add %[3]v lladdr %[4]s dev uB
		ip link add vx0 mtu 1500 type vxlan id %[5]d dstport 4789 local %[1]v nolearning
		ip link add br0 mtu 1500 type bridge mcast_snooping 0
		ip link set vx0 master br0 up
		ip link set br0 up
		bridge fdb replace %[6]s dev vx0 dst %[3]v
		ip link add p0 type veth peer name eth0 address %[7]s netns $container
		ip link set p0 master br0 up`, outer[1], bits, outer[0], wireMAC, vni, senderMAC, readerMAC))
	top.in(t, top.container, fmt.Sprintf(`
		ip link set eth0 up
		ip addr add %v/24 dev eth0
		ip addr add %v/64 dev eth0 nodad
		ip neigh add %v lladdr %s dev eth0
		ip neigh add %v lladdr %s dev eth0`, inner4[1], inner6[1], inner4[0], senderMAC, inner6[0], senderMAC))
	if err := EnableGRO(Device{top.host, "uB"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			top.diagnose(t)
		}
	})
	return top
}

func (top topology) diagnose(t *testing.T) {
	for name, namespace := range map[string]string{"wire": top.wire, "host": top.host, "container": top.container} {
		out, err := exec.Command("nsenter", "--net="+namespace, "sh", "-c",
			"ip -s -d link; ip addr; ip route; ip neigh; bridge fdb; nstat -asz | grep -v ' 0 '; ss -tuanmie; ethtool -S uB").CombinedOutput()
		t.Logf("%s (%v):\n%s", name, err, out)
	}
}

// at is where a generator is put for an entry.
func (top topology) at(e Entry) Device {
	if e == NAPI {
		return Device{top.wire, "uA"}
	}
	return Device{top.host, "uB"}
}

// readerCPU is not that of the generators, 0, where there is another.
func readerCPU() int { return min(1, runtime.NumCPU()-1) }

func mac(t *testing.T, s string) MAC {
	t.Helper()
	m, err := ParseMAC(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// flows are some from the sender to the reader, by source port.
func flows(t *testing.T, n int, addrs [2]netip.Addr) []Flow {
	var all []Flow
	for i := range n {
		all = append(all, Flow{
			Src: netip.AddrPortFrom(addrs[0], uint16(40000+i)), Dst: netip.AddrPortFrom(addrs[1], flowPort),
			SrcMAC: mac(t, senderMAC), DstMAC: mac(t, readerMAC),
		})
	}
	return all
}

func tunnel(t *testing.T, outer [2]netip.Addr) *Tunnel {
	return &Tunnel{Src: outer[0], Dst: outer[1], SrcMAC: mac(t, wireMAC), DstMAC: mac(t, hostMAC), VNI: vni, Checksum: !outer[0].Is4()}
}
