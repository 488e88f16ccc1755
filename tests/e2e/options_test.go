package e2e

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"falcon/tests/lab"
)

// networkInfo is what `docker network inspect` says of a network.
type networkInfo struct {
	Internal, EnableIPv6 bool
	Options              map[string]string
	IPAM                 struct {
		Config []ipamInfo
	}
}

type ipamInfo struct {
	Subnet, IPRange, Gateway string
	AuxiliaryAddresses       map[string]string
}

func (f *fixture) inspectNetwork(h *lab.Host, name string) networkInfo {
	f.t.Helper()
	var info networkInfo
	out := f.docker(h, "network", "inspect", "--format", "{{json .}}", name)
	if err := json.Unmarshal([]byte(out), &info); err != nil {
		f.t.Fatalf("inspect network %s: %v", name, err)
	}
	return info
}

// device is a network device as `ip -j address` shows it.
type device struct {
	link
	Addresses []struct {
		Local  netip.Addr `json:"local"`
		Bits   int        `json:"prefixlen"`
		Scope  string     `json:"scope"`
		Family string     `json:"family"`
	} `json:"addr_info"`
}

// eth0 is the container's first device.
func (b box) eth0(t *testing.T) device {
	t.Helper()
	var all []device
	if err := json.Unmarshal([]byte(b.must(t, "ip", "-j", "address", "show", "dev", "eth0")), &all); err != nil || len(all) != 1 {
		t.Fatalf("eth0 of %v: %v %v", b, all, err)
	}
	return all[0]
}

// prefixes are its addresses but for link-local ones.
func (d device) prefixes() []netip.Prefix {
	var all []netip.Prefix
	for _, a := range d.Addresses {
		if a.Scope == "global" {
			all = append(all, netip.PrefixFrom(a.Local, a.Bits))
		}
	}
	return all
}

// All that a user asks for when creating a network and running a container comes out in the container, on the host,
// and in what docker shows.
func TestOptions(t *testing.T) {
	f := cluster.open(t)
	f.overlay("exact", "--ipv6", "-o", "com.docker.network.driver.mtu=1400", "-o", "falcon.vni=4242",
		"-o", "com.docker.network.of.a.later.engine=ignored",
		"--subnet", "10.61.0.0/24", "--ip-range", "10.61.0.240/29", "--gateway", "10.61.0.254", "--aux-address", "printer=10.61.0.241",
		"--subnet", "fd61::/64", "--gateway", "fd61::ffff")

	t.Run("inspect", func(t *testing.T) {
		info := f.inspectNetwork(f.h2, "exact")
		want := []ipamInfo{
			{Subnet: "10.61.0.0/24", IPRange: "10.61.0.240/29", Gateway: "10.61.0.254", AuxiliaryAddresses: map[string]string{"printer": "10.61.0.241"}},
			{Subnet: "fd61::/64", Gateway: "fd61::ffff"},
		}
		if !reflect.DeepEqual(info.IPAM.Config, want) {
			t.Errorf("IPAM: got %+v, want %+v", info.IPAM.Config, want)
		}
		options := map[string]string{"falcon.network": "exact", "falcon.vni": "4242", "com.docker.network.driver.mtu": "1400",
			"com.docker.network.of.a.later.engine": "ignored"}
		if !reflect.DeepEqual(info.Options, options) || !info.EnableIPv6 || info.Internal {
			t.Errorf("got %+v, want options %v, with IPv6, not internal", info, options)
		}
	})
	t.Run("host", func(t *testing.T) {
		for _, h := range f.Hosts {
			if out := f.run(h, "ip", "-d", "link", "show", "fvx-4242"); !strings.Contains(out, "vxlan id 4242 ") || !strings.Contains(out, "mtu 1400 ") {
				t.Errorf("%s: %s", h.Name, out)
			}
			f.run(h, "ip", "link", "show", "fbr-4242")
		}
	})
	t.Run("given", func(t *testing.T) {
		const mac = "02:42:12:34:56:78"
		b := f.sub(t).box(f.h1, "exact", "given", "--ip", "10.61.0.7", "--ip6", "fd61::7", "--mac-address", mac)
		eth0 := b.eth0(t)
		want := []netip.Prefix{netip.MustParsePrefix("10.61.0.7/24"), netip.MustParsePrefix("fd61::7/64")}
		if got := eth0.prefixes(); !slices.Equal(got, want) || eth0.MAC != mac || eth0.MTU != 1400 {
			t.Errorf("got %v, MAC %s, MTU %d; want %v, %s, 1400", got, eth0.MAC, eth0.MTU, want, mac)
		}
		shown := attachment{IPAddress: "10.61.0.7", IPPrefixLen: 24, GlobalIPv6Address: "fd61::7", MacAddress: mac}
		if got := b.nets["exact"]; got != shown {
			t.Errorf("docker shows %+v, want %+v", got, shown)
		}
	})
	t.Run("chosen", func(t *testing.T) {
		f := f.sub(t)
		pool, seen := netip.MustParsePrefix("10.61.0.240/29"), map[netip.Addr]string{}
		for i := range 4 {
			b := f.box(f.Hosts[i%2], "exact", fmt.Sprintf("chosen%d", i))
			if !pool.Contains(b.v4) || b.v4 == netip.MustParseAddr("10.61.0.241") || seen[b.v4] != "" {
				t.Errorf("%v has %v: not from %v, auxiliary, or %q's", b, b.v4, pool, seen[b.v4])
			}
			seen[b.v4] = b.Name
			if got := b.eth0(t).prefixes(); len(got) != 2 || got[0] != netip.PrefixFrom(b.v4, 24) || got[1] != netip.PrefixFrom(b.v6, 64) {
				t.Errorf("%v has %v, docker shows %v and %v", b, got, b.v4, b.v6)
			}
		}
	})
}

// Subnets that falcon chooses are none that the hosts use, nor each other's; hosts of one network get the same.
func TestDefaultSubnets(t *testing.T) {
	f := cluster.open(t)
	f.overlay("shared", "--ipv6")
	for _, h := range f.Hosts {
		f.network(h, "own", "-d", "falcon", "--ipam-driver", "falcon")
	}
	first := f.inspectNetwork(f.h1, "shared").subnets(t)
	if second := f.inspectNetwork(f.h2, "shared").subnets(t); !slices.Equal(first, second) || len(first) != 2 || first[0].Addr().Is6() == first[1].Addr().Is6() {
		t.Errorf("subnets of a shared network: %v on %s, %v on %s; want the same, one of each family", first, f.h1.Name, second, f.h2.Name)
	}
	for _, h := range f.Hosts {
		own := f.inspectNetwork(h, "own").subnets(t)
		// With a container in a network there is a docker_gwbridge.
		f.box(h, "shared", "shared-"+h.Name).serve(t)
		f.box(h, "own", "own-"+h.Name)
		all := slices.Concat(f.hostSubnets(h), first, own)
		for i, subnet := range all {
			if at := slices.IndexFunc(all[i+1:], subnet.Overlaps); at >= 0 {
				t.Errorf("%s: subnet %v overlaps %v; the last ones are falcon's choice: %v", h.Name, subnet, all[i+1+at], all)
			}
		}
	}
	one, two := f.look(f.h1, "shared", "shared-h1"), f.look(f.h2, "shared", "shared-h2")
	one.reaches(t, two.v4, two.Name)
	one.reaches(t, two.v6, two.Name)
}

func (i networkInfo) subnets(t *testing.T) []netip.Prefix {
	t.Helper()
	var all []netip.Prefix
	for _, c := range i.IPAM.Config {
		p, err := netip.ParsePrefix(c.Subnet)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// hostSubnets are the destinations that a host has routes to, those of Docker's bridges among them.
func (f *fixture) hostSubnets(h *lab.Host) []netip.Prefix {
	f.t.Helper()
	var all []netip.Prefix
	bridges := map[string]bool{}
	for _, family := range []string{"-4", "-6"} {
		var routes []struct {
			Destination string `json:"dst"`
			Device      string `json:"dev"`
		}
		if err := json.Unmarshal([]byte(f.run(h, "ip", "-j", family, "route")), &routes); err != nil {
			f.t.Fatal(err)
		}
		for _, r := range routes {
			if p, err := netip.ParsePrefix(r.Destination); err == nil && !p.Addr().IsLinkLocalUnicast() {
				all, bridges[r.Device] = append(all, p), true
			}
		}
	}
	if !bridges["docker0"] || !bridges["docker_gwbridge"] || !bridges["eth0"] {
		f.t.Fatalf("routes of %s are not as expected: %v by %v", h.Name, all, bridges)
	}
	return all
}
