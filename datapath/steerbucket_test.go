package datapath

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func someConversation() conversation {
	return conversation{benchVNI, unix.IPPROTO_UDP, netip.MustParseAddrPort("10.0.0.1:40000"), netip.MustParseAddrPort("10.0.0.2:53")}
}

// All packets of a flow are in one bucket, whatever else is different about them.
func TestSteerKeepsFlowsTogether(t *testing.T) {
	b := newSteerBench(t, 3)
	c := someConversation()
	bucket := b.bucketOf(t, c.frame())
	ip := func(edits ...edit) layer { return ipHeader(c.src.Addr(), c.dst.Addr(), edits...) }
	udp, ether := udpHeader(c.src.Port(), c.dst.Port()), etherHeader(endpointMAC)
	for name, f := range map[string]frame{
		"longer":                 frameOf(over(outerIPv4, vxlanHeader(c.vni), ether, ip(), udp, payload(0, make([]byte, 1000)...))...),
		"other tunnel port":      frameOf(over([]layer{outerIPv4[0], outerIPv4[1], udpHeader(55555, steerPort)}, c.inside()...)...),
		"other tunnel family":    frameOf(over(outerIPv6, c.inside()...)...),
		"other hop limit":        frameOf(over(outerIPv4, vxlanHeader(c.vni), ether, ip(hopLimit(3)), udp)...),
		"options":                frameOf(over(outerIPv4, vxlanHeader(c.vni), ether, ip(options(8)), udp)...),
		"other destination MAC":  frameOf(over(outerIPv4, vxlanHeader(c.vni), etherHeader(nicMAC), ip(), udp)...),
		"tag":                    frameOf(over(outerIPv4, vxlanHeader(c.vni), ether, vlanHeader(unix.ETH_P_8021Q, 5), ip(), udp)...),
		"reserved bits of VXLAN": frameOf(over(outerIPv4, oddVXLAN(^uint32(0), uint32(c.vni)<<8|0xff), ether, ip(), udp)...),
	} {
		if got := b.bucketOf(t, f); got != bucket {
			t.Errorf("%s: bucket %d, want %d", name, got, bucket)
		}
	}
}

// Only the first fragment has ports, so they decide nothing.
func TestSteerKeepsFragmentsTogether(t *testing.T) {
	b := newSteerBench(t, 3)
	buckets := map[string]int{}
	for _, r := range fragmentRows() {
		if r.kind != flow || r.port != 0 {
			continue
		}
		family := r.name[len(r.name)-4:]
		got := b.bucketOf(t, r.frame)
		if want, ok := buckets[family]; ok && got != want {
			t.Errorf("%s: bucket %d, want %d", r.name, got, want)
		}
		buckets[family] = got
	}
	if len(buckets) != len(insideAddresses) {
		t.Errorf("fragments of %v", buckets)
	}
}

// Each field of a flow decides about its bucket.
func TestSteerTellsFlowsApart(t *testing.T) {
	b := newSteerBench(t, 3)
	port := func(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), a.Port()^1) }
	addr := func(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Next(), a.Port()) }
	for name, change := range map[string]func(c *conversation){
		"network":             func(c *conversation) { c.vni = mostVNI },
		"source address":      func(c *conversation) { c.src = addr(c.src) },
		"destination address": func(c *conversation) { c.dst = addr(c.dst) },
		"source port":         func(c *conversation) { c.src = port(c.src) },
		"destination port":    func(c *conversation) { c.dst = port(c.dst) },
		"protocol":            func(c *conversation) { c.proto = unix.IPPROTO_TCP },
		"direction":           func(c *conversation) { *c = c.reversed() },
		"addresses swapped": func(c *conversation) {
			c.src, c.dst = netip.AddrPortFrom(c.dst.Addr(), c.src.Port()), netip.AddrPortFrom(c.src.Addr(), c.dst.Port())
		},
		"ports swapped": func(c *conversation) {
			c.src, c.dst = netip.AddrPortFrom(c.src.Addr(), c.dst.Port()), netip.AddrPortFrom(c.dst.Addr(), c.src.Port())
		},
	} {
		t.Run(name, func(t *testing.T) {
			const tries = 64
			same, random := 0, rand.New(rand.NewPCG(1, 2))
			for i := range tries {
				c := randomConversation(random, i%2 == 0)
				before := b.bucketOf(t, c.frame())
				change(&c)
				if b.bucketOf(t, c.frame()) == before {
					same++
				}
			}
			// Chance makes one in as many the same as there are buckets of a core: 32 of them at the very least.
			if same > tries/8 {
				t.Errorf("%d of %d flows stayed in their buckets", same, tries)
			}
		})
	}
}

// With another seed, flows have other companions in their buckets.
func TestSteerSeedDecides(t *testing.T) {
	b := newSteerBench(t, 3)
	const tries = 64
	buckets := func() (all [tries]int) {
		random := rand.New(rand.NewPCG(1, 2))
		for i := range all {
			all[i] = b.bucketOf(t, randomConversation(random, i%2 == 0).frame())
		}
		return all
	}
	before := buckets()
	b.control.values[0].Seed++
	same := 0
	for i, bucket := range buckets() {
		if bucket == before[i] {
			same++
		}
	}
	if same > tries/8 {
		t.Errorf("%d of %d flows stayed in their buckets", same, tries)
	}
}

func randomConversation(r *rand.Rand, four bool) conversation {
	end := func() netip.AddrPort {
		a := insideAddresses["IPv6"][0].As16()
		for i := range 8 {
			a[8+i] = byte(r.Uint32())
		}
		addr := netip.AddrFrom16(a)
		if four {
			addr = netip.AddrFrom4([4]byte(a[12:]))
		}
		return netip.AddrPortFrom(addr, uint16(r.Uint32()))
	}
	return conversation{benchVNI, unix.IPPROTO_UDP, end(), end()}
}

// Flows spread evenly, at random as well as those that differ in little.
func TestSteerSpreadsFlows(t *testing.T) {
	b := newSteerBench(t, 3)
	random := rand.New(rand.NewPCG(1, 2))
	base := someConversation()
	for name, nth := range map[string]func(i int) conversation{
		"random": func(i int) conversation { return randomConversation(random, i%2 == 0) },
		"source ports": func(i int) conversation {
			c := base
			c.src = netip.AddrPortFrom(c.src.Addr(), uint16(32768+i))
			return c
		},
		"destination ports": func(i int) conversation {
			c := base
			c.dst = netip.AddrPortFrom(c.dst.Addr(), uint16(2*i))
			return c
		},
		"IPv4 addresses": func(i int) conversation {
			c := base
			c.src = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), c.src.Port())
			return c
		},
		"IPv6 addresses": func(i int) conversation {
			c := base
			a := insideAddresses["IPv6"][0].As16()
			a[14], a[15] = byte(i>>8), byte(i)
			c.src = netip.AddrPortFrom(netip.AddrFrom16(a), c.src.Port())
			c.dst = netip.AddrPortFrom(insideAddresses["IPv6"][1], c.dst.Port())
			return c
		},
	} {
		t.Run(name, func(t *testing.T) { b.checkSpread(t, nth) })
	}
}

// checkSpread wants Pearson's chi-square of the buckets' loads where chance leaves it: around the degrees of freedom, with a
// standard deviation of the root of twice as many. The flows are the same in each run, so this passes always or never.
func (b *steerBench) checkSpread(t *testing.T, nth func(i int) conversation) {
	t.Helper()
	const flows = 4096
	b.wipe()
	for i := range flows {
		b.run(t, b.objects.FalconNic, nth(i).frame().bytes, skbContext{})
	}
	first, n := b.bucketsOf(b.cpu)
	expected, chi, most := float64(flows)/float64(n), 0.0, uint64(0)
	for _, f := range b.flows.values[first : first+n] {
		d := float64(f.Skbs) - expected
		chi += d * d / expected
		most = max(most, f.Skbs)
	}
	freedom := float64(n - 1)
	deviations := (chi - freedom) * (chi - freedom) / (2 * freedom)
	t.Logf("%d flows in %d buckets: chi-square %.0f, most loaded %d", flows, n, chi, most)
	if deviations > 5*5 {
		t.Errorf("chi-square %.0f of %.0f degrees of freedom", chi, freedom)
	}
	if float64(most) > 5*expected+10 {
		t.Errorf("%d flows in one bucket, %.1f expected", most, expected)
	}
}
