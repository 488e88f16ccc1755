package datapath

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// shortcutBench is the programs by themselves: attached to nothing, with maps of their own. What they are given comes from the
// loopback device, whose MAC is zero.
type shortcutBench struct{ *shortcutting }

const (
	loopback   = 1
	otherPort  = 7
	tcRedirect = 7 // TC_ACT_REDIRECT
	tcShot     = 2 // TC_ACT_SHOT
)

// Endpoints of the bench.
var (
	senderMAC   = MAC{2, 0x42, 10, 0, 0, 1}
	neighborMAC = MAC{2, 0x42, 10, 0, 0, 3}
	otherMAC    = MAC{2, 0x42, 10, 0, 0, 9}
)

func newShortcutBench(t testing.TB) *shortcutBench {
	t.Helper()
	requireRoot(t)
	p, err := openShortcut(ShortcutConfig{Pins: bpffs(t) + "/pins", Port: steerPort}, haveTCX())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	n := Network{VNI: benchVNI, MTU: labMTU, Local: mustAddr("192.0.2.2")}
	local := func(i int, mac MAC, port int) shortcutEndpoint {
		e := endpointN(benchVNI, i)
		e.MAC = mac
		return localEntry(n, e, port)
	}
	want := newShortNetwork()
	want.hosts[mustAddr("192.0.2.1")] = struct{}{}
	want.hosts[mustAddr("2001:db8:99::1")] = struct{}{}
	want.endpoints[senderMAC] = local(1, senderMAC, loopback)
	want.endpoints[neighborMAC] = local(3, neighborMAC, otherPort)
	want.endpoints[otherMAC] = remoteEntry(n, remoteOf(endpointN(benchVNI, 9), mustAddr("192.0.2.1")), path{loopback, false, 1600})
	want.allowed[mustPrefix("10.0.5.0/24")] = struct{}{}
	want.allowed[mustPrefix("fd00:a:5::/64")] = struct{}{}
	want.ports[loopback] = portOf(endpointN(benchVNI, 1))
	if err := p.update(benchVNI, newShortNetwork(), want); err != nil {
		t.Fatal(err)
	}
	if err := p.setLive(benchVNI, true); err != nil {
		t.Fatal(err)
	}
	return &shortcutBench{p}
}

// run passes a packet to a program, and gives what became of it.
func (b *shortcutBench) run(t testing.TB, p *ebpf.Program, packet []byte, in skbContext) (verdict int, out []byte) {
	t.Helper()
	o := ebpf.RunOptions{Data: packet, DataOut: make([]byte, len(packet)+256), Context: &in}
	code, err := p.Run(&o)
	if err != nil {
		t.Fatalf("%d bytes: %v", len(packet), err)
	}
	return int(int32(code)), o.DataOut
}

// counted gives the one way that was counted since before, or nothing.
func (b *shortcutBench) counted(t testing.TB, before map[string]WayCount) string {
	t.Helper()
	var got []string
	now := b.sums(t)
	for _, way := range slices.Sorted(maps.Keys(now)) {
		if now[way].Packets > before[way].Packets {
			got = append(got, way)
		}
	}
	if len(got) > 1 {
		t.Errorf("counted %q", got)
	}
	return fmt.Sprint(got)
}

func (b *shortcutBench) sums(t testing.TB) map[string]WayCount {
	t.Helper()
	sums := map[string]WayCount{}
	for _, vni := range []VNI{benchVNI, noNetwork} {
		of, err := b.count(vni)
		if err != nil {
			t.Fatal(err)
		}
		for way, n := range of {
			sums[way] = WayCount{sums[way].Packets + n.Packets, sums[way].Bytes + n.Bytes}
		}
	}
	return sums
}

// shortcutRow is a packet and what is to become of it.
type shortcutRow struct {
	frame   frame
	context skbContext
	way     string // empty: nobody's business
	crossed bool   // outer and inner packet are of different families
}

// test runs a table. What goes on must do so unchanged; of what takes the shortcut, changed gives what it is to look like.
func (b *shortcutBench) test(t *testing.T, p *ebpf.Program, rows map[string]shortcutRow, changed func(t *testing.T, in, out []byte)) {
	t.Helper()
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			before := b.sums(t)
			verdict, out := b.run(t, p, r.frame.bytes, r.context)
			want, way := goOn, "["+r.way+"]"
			switch {
			case r.way == "in", r.way == "out", r.way == "local":
				want = tcRedirect
			case len(r.way) > 7 && r.way[:7] == "dropped":
				want = tcShot
			}
			got := b.counted(t, before)
			if r.crossed && got == "[kernel_refused]" && kernelBefore(6, 3) {
				want, way = goOn, got
			}
			if got != way || verdict != want {
				t.Errorf("verdict %d, counted %s, want %d, %s", verdict, got, want, way)
			}
			if want == tcRedirect && r.way != "local" {
				changed(t, r.frame.bytes, out)
			} else if !bytes.Equal(out, r.frame.bytes) {
				t.Errorf("changed from\n% x to\n% x", r.frame.bytes, out)
			}
		})
	}
}

// toNIC makes a frame the loopback device's.
func toNIC(f frame) frame {
	f.bytes = append(make([]byte, 6), f.bytes[6:]...)
	return f
}

// inRows are packets from the underlay, most of them to the bench's first endpoint.
func inRows() map[string]shortcutRow {
	addresses := insideAddresses
	ports := []layer{udpHeader(40000, 53), payload(0, 1, 2, 3, 4)}
	to := func(mac MAC, family string, edits ...edit) []layer {
		return []layer{vxlanHeader(benchVNI), etherHeader(mac), ipHeader(addresses[family][1], addresses[family][0], edits...)}
	}
	from := func(src string) []layer {
		return []layer{etherHeader(nicMAC), ipHeader(mustAddr(src), mustAddr("192.0.2.2")), udpHeader(44444, steerPort)}
	}
	make := func(layers ...layer) frame { return toNIC(frameOf(layers...)) }
	row := func(way string, out []layer, in ...layer) shortcutRow {
		return shortcutRow{frame: make(over(out, in...)...), way: way}
	}
	crossing := func(outer, family string, in ...layer) shortcutRow {
		r := row("in", outers[outer], over(to(senderMAC, family), in...)...)
		r.crossed = outer != family
		return r
	}
	with := func(edits ...edit) []layer {
		return []layer{etherHeader(nicMAC), ipHeader(mustAddr("192.0.2.1"), mustAddr("192.0.2.2"), edits...), udpHeader(44444, steerPort)}
	}
	crossed := func(r shortcutRow) shortcutRow { r.crossed = true; return r }
	rows := map[string]shortcutRow{
		"stranger":                  row("dropped_host", from("192.0.2.7"), over(to(senderMAC, "IPv4"), ports...)...),
		"stranger in fragments":     {frame: make(over([]layer{etherHeader(nicMAC), ipHeader(mustAddr("192.0.2.7"), mustAddr("192.0.2.2"), piece(0, true)), udpHeader(44444, steerPort)}, over(to(senderMAC, "IPv4"), ports...)...)...), way: "dropped_host"},
		"fragment without VXLAN":    {frame: make(etherHeader(nicMAC), ipHeader(mustAddr("192.0.2.7"), mustAddr("192.0.2.2"), piece(0, true)), udpHeader(44444, steerPort)), way: "dropped_host"},
		"host of another family":    row("dropped_host", []layer{etherHeader(nicMAC), ipHeader(mustAddr("::ffff:192.0.2.7"), mustAddr("2001:db8:99::2")), udpHeader(44444, steerPort)}, over(to(senderMAC, "IPv4"), ports...)...),
		"another network":           row("", outerIPv4, over([]layer{vxlanHeader(benchVNI + 1), etherHeader(senderMAC), ipHeader(addresses["IPv4"][1], addresses["IPv4"][0])}, ports...)...),
		"another port":              row("", []layer{etherHeader(nicMAC), ipHeader(mustAddr("192.0.2.1"), mustAddr("192.0.2.2")), udpHeader(44444, steerPort+1)}, over(to(senderMAC, "IPv4"), ports...)...),
		"stranger behind headers":   row("dropped_host", []layer{etherHeader(nicMAC), ipHeader(mustAddr("2001:db8:99::7"), mustAddr("2001:db8:99::2")), extension(unix.IPPROTO_HOPOPTS), extension(unix.IPPROTO_DSTOPTS), udpHeader(44444, steerPort)}, over(to(senderMAC, "IPv4"), ports...)...),
		"stranger behind many":      row("dropped_host", []layer{etherHeader(nicMAC), ipHeader(mustAddr("2001:db8:99::7"), mustAddr("2001:db8:99::2")), extension(unix.IPPROTO_HOPOPTS), extension(unix.IPPROTO_DSTOPTS), extension(unix.IPPROTO_DSTOPTS), extension(unix.IPPROTO_DSTOPTS), extension(unix.IPPROTO_DSTOPTS), extension(unix.IPPROTO_DSTOPTS), extension(unix.IPPROTO_DSTOPTS), extension(unix.IPPROTO_DSTOPTS), udpHeader(44444, steerPort)}, over(to(senderMAC, "IPv4"), ports...)...),
		"host behind headers":       row("kernel_header", []layer{etherHeader(nicMAC), ipHeader(mustAddr("2001:db8:99::1"), mustAddr("2001:db8:99::2")), extension(unix.IPPROTO_HOPOPTS), udpHeader(44444, steerPort)}, over(to(senderMAC, "IPv4"), ports...)...),
		"others behind headers":     row("", []layer{etherHeader(nicMAC), ipHeader(mustAddr("2001:db8:99::7"), mustAddr("2001:db8:99::2")), extension(unix.IPPROTO_HOPOPTS), udpHeader(44444, 53)}, payload(0, 1, 2, 3)),
		"host in fragments":         row("kernel_header", with(piece(0, true)), over(to(senderMAC, "IPv4"), ports...)...),
		"outer options":             row("kernel_header", with(options(4)), over(to(senderMAC, "IPv4"), ports...)...),
		"reserved flag":             row("kernel_header", outerIPv4, over([]layer{oddVXLAN(hasVNI|1<<31, benchVNI<<8), etherHeader(senderMAC), ipHeader(addresses["IPv4"][1], addresses["IPv4"][0])}, ports...)...),
		"reserved byte":             row("kernel_header", outerIPv4, over([]layer{oddVXLAN(hasVNI, benchVNI<<8|1), etherHeader(senderMAC), ipHeader(addresses["IPv4"][1], addresses["IPv4"][0])}, ports...)...),
		"no VNI":                    row("", outerIPv4, over([]layer{oddVXLAN(0, benchVNI<<8), etherHeader(senderMAC), ipHeader(addresses["IPv4"][1], addresses["IPv4"][0])}, ports...)...),
		"unknown MAC":               row("kernel_unknown", outerIPv4, over(to(MAC{2, 1, 1, 1, 1, 1}, "IPv4"), ports...)...),
		"another host's endpoint":   row("kernel_unknown", outerIPv4, over(to(otherMAC, "IPv4"), ports...)...),
		"another endpoint's IPv4":   row("kernel_unknown", outerIPv4, over(to(neighborMAC, "IPv4"), ports...)...),
		"another endpoint's IPv6":   row("kernel_unknown", outerIPv4, over(to(neighborMAC, "IPv6"), ports...)...),
		"broadcast":                 row("kernel_group", outerIPv4, over(to(MAC{255, 255, 255, 255, 255, 255}, "IPv4"), ports...)...),
		"multicast":                 row("kernel_group", outerIPv4, over(to(MAC{1, 0, 0x5e, 0, 0, 1}, "IPv4"), ports...)...),
		"inner options":             row("kernel_kind", outerIPv4, over(to(senderMAC, "IPv4", options(4)), ports...)...),
		"inner first fragment":      row("in", outerIPv4, over(to(senderMAC, "IPv4", piece(0, true)), ports...)...),
		"inner last fragment":       row("in", outerIPv4, over(to(senderMAC, "IPv4", piece(5, false)), ports...)...),
		"inner header too short":    row("kernel_malformed", outerIPv4, over(to(senderMAC, "IPv4", headerLength(4)), ports...)...),
		"inner length too long":     {frame: lengthened(make(over(outerIPv4, over(to(senderMAC, "IPv4"), ports...)...)...), 50+14+2), way: "kernel_malformed"},
		"inner IPv6 fragment":       crossed(row("in", outerIPv4, over(to(senderMAC, "IPv6"), over([]layer{piece6(0, true)}, ports...)...)...)),
		"inner IPv6 last fragment":  crossed(row("in", outerIPv4, over(to(senderMAC, "IPv6"), over([]layer{piece6(5, false)}, ports...)...)...)),
		"discovery in a fragment":   row("kernel_kind", outerIPv4, over(to(senderMAC, "IPv6"), piece6(0, true), payload(unix.IPPROTO_ICMPV6, 135, 0, 0, 0))...),
		"inner IPv6 extension":      row("kernel_kind", outerIPv4, over(to(senderMAC, "IPv6"), over([]layer{extension(unix.IPPROTO_HOPOPTS)}, ports...)...)...),
		"neighbour discovery":       row("kernel_kind", outerIPv4, over(to(senderMAC, "IPv6"), payload(unix.IPPROTO_ICMPV6, 135, 0, 0, 0))...),
		"ARP":                       row("kernel_kind", outerIPv4, vxlanHeader(benchVNI), etherHeader(senderMAC), notIP(unix.ETH_P_ARP)),
		"inner VLAN tag":            row("kernel_kind", outerIPv4, over([]layer{vxlanHeader(benchVNI), etherHeader(senderMAC), vlanHeader(unix.ETH_P_8021Q, 5), ipHeader(addresses["IPv4"][1], addresses["IPv4"][0])}, ports...)...),
		"VXLAN in VXLAN":            row("in", outerIPv4, over(to(senderMAC, "IPv4"), over([]layer{udpHeader(44444, steerPort)}, over(to(senderMAC, "IPv4"), ports...)...)...)...),
		"merged datagrams":          {frame: make(over(outerIPv4, over(to(senderMAC, "IPv4"), ports...)...)...), context: skbContext{GSOSegs: 2, GSOSize: 4}, way: "kernel_kind"},
		"not Ethernet inside":       row("kernel_malformed", outerIPv4, vxlanHeader(benchVNI), payload(0, 1, 2, 3)),
		"congested, not capable":    row("kernel_header", with(trafficClass(3)), over(to(senderMAC, "IPv4"), ports...)...),
		"for another device's MAC":  {frame: frameOf(over(outerIPv4, over(to(senderMAC, "IPv4"), ports...)...)...), way: "kernel_header"},
		"UDP that is no VXLAN":      row("", []layer{etherHeader(nicMAC), ipHeader(mustAddr("192.0.2.7"), mustAddr("192.0.2.2")), udpHeader(44444, 53)}, payload(0, 1)),
		"too short to be a network": {frame: make(etherHeader(nicMAC), ipHeader(mustAddr("192.0.2.1"), mustAddr("192.0.2.2")), udpHeader(44444, steerPort), payload(0, 8, 0, 0)), way: "kernel_malformed"},
	}
	for outer := range outers {
		for family := range addresses {
			rows[outer+" "+family+" UDP"] = crossing(outer, family, ports...)
			rows[outer+" "+family+" TCP"] = crossing(outer, family, tcpHeader(40000, 80), payload(0, 1))
		}
		rows[outer+" ICMP"] = crossing(outer, "IPv4", payload(unix.IPPROTO_ICMP, 8, 0, 0, 0, 0, 1, 0, 1))
	}
	return rows
}

// trafficClass is the byte that has DSCP and ECN.
func trafficClass(bits byte) edit {
	return func(h []byte) []byte {
		h[1] = bits
		return h
	}
}

// lengthened lies about the length in an IPv4 header, which is at an offset.
func lengthened(f frame, at int) frame {
	f.bytes = slices.Clone(f.bytes)
	f.bytes[at+1] += 40
	return f
}

func TestShortcutIn(t *testing.T) {
	b := newShortcutBench(t)
	b.test(t, b.objects.FalconIn, inRows(), func(t *testing.T, in, out []byte) {
		at := 14 + 20 + 8 + 8
		if in[12] == 0x86 {
			at += 20
		}
		if !bytes.Equal(out, in[at:]) {
			t.Errorf("became\n% x, want\n% x", out, in[at:])
		}
	})
}

// etherFrom is an Ethernet header with a source.
func etherFrom(src, dst MAC) layer {
	return layer{head: func(next layer, _ []byte) []byte {
		return append(append(dst[:], src[:]...), byte(next.ether>>8), byte(next.ether))
	}}
}

// arpFrom is an ARP request.
func arpFrom(mac MAC, ip string) layer {
	return layer{ether: unix.ETH_P_ARP, head: func(layer, []byte) []byte {
		h := append([]byte{0, 1, 8, 0, 6, 4, 0, 1}, mac[:]...)
		h = append(h, mustAddr(ip).AsSlice()...)
		return append(append(h, make([]byte, 6)...), 10, 0, 0, 9)
	}}
}

// neighbour is a solicitation (135) or an advertisement (136).
func neighbour(kind byte, target string, mac MAC) layer {
	h := append([]byte{kind, 0, 0, 0, 0, 0, 0, 0}, mustAddr(target).AsSlice()...)
	return payload(unix.IPPROTO_ICMPV6, append(append(h, kind-134, 1), mac[:]...)...)
}

// outRows are frames of the bench's first endpoint.
func outRows() map[string]shortcutRow {
	const linkLocal = "fe80::42:aff:fe00:1"
	ports := []layer{udpHeader(40000, 53), payload(0, 1, 2, 3, 4)}
	ip := func(src, dst string, edits ...edit) layer { return ipHeader(mustAddr(src), mustAddr(dst), edits...) }
	row := func(way string, layers ...layer) shortcutRow { return shortcutRow{frame: frameOf(layers...), way: way} }
	far, near := etherFrom(senderMAC, otherMAC), etherFrom(senderMAC, neighborMAC)
	return map[string]shortcutRow{
		"UDP IPv4":                 row("out", far, ip("10.0.0.1", "10.0.0.9"), ports[0], ports[1]),
		"UDP IPv6":                 row("out", far, ip("fd00:a::1", "fd00:a::9"), ports[0], ports[1]),
		"TCP IPv4":                 row("out", far, ip("10.0.0.1", "10.0.0.9"), tcpHeader(40000, 80), payload(0, 1)),
		"ICMP":                     row("out", far, ip("10.0.0.1", "10.0.0.9"), payload(unix.IPPROTO_ICMP, 8, 0, 0, 0, 0, 1, 0, 1)),
		"ECT(0)":                   row("out", far, ip("10.0.0.1", "10.0.0.9", trafficClass(0xb8|2)), ports[0], ports[1]),
		"CE":                       row("out", far, ip("10.0.0.1", "10.0.0.9", trafficClass(3)), ports[0], ports[1]),
		"largest":                  row("out", far, ip("10.0.0.1", "10.0.0.9"), udpHeader(1, 2), payload(0, make([]byte, labMTU-28)...)),
		"too large":                row("kernel_size", far, ip("10.0.0.1", "10.0.0.9"), udpHeader(1, 2), payload(0, make([]byte, labMTU-27)...)),
		"segments too large":       {frame: frameOf(far, ip("10.0.0.1", "10.0.0.9"), tcpHeader(1, 2), payload(0, make([]byte, 3000)...)), context: skbContext{GSOSegs: 3, GSOSize: labMTU - 39}, way: "kernel_size"},
		"neighbour IPv4":           row("local", near, ip("10.0.0.1", "10.0.0.3"), ports[0], ports[1]),
		"neighbour IPv6":           row("local", near, ip("fd00:a::1", "fd00:a::3"), ports[0], ports[1]),
		"virtual address":          row("out", far, ip("10.0.5.1", "10.0.0.9"), ports[0], ports[1]),
		"virtual address IPv6":     row("out", far, ip("fd00:a:5::1", "fd00:a::9"), ports[0], ports[1]),
		"to another address":       row("kernel_unknown", far, ip("10.0.0.1", "10.0.0.3"), ports[0], ports[1]),
		"to an unknown MAC":        row("kernel_unknown", etherFrom(senderMAC, MAC{2, 1, 1, 1, 1, 1}), ip("10.0.0.1", "10.0.0.9"), ports[0], ports[1]),
		"broadcast":                row("kernel_group", etherFrom(senderMAC, MAC{255, 255, 255, 255, 255, 255}), ip("10.0.0.1", "10.0.255.255"), ports[0], ports[1]),
		"fragment":                 row("out", far, ip("10.0.0.1", "10.0.0.9", piece(0, true)), ports[0], ports[1]),
		"last fragment":            row("out", far, ip("10.0.0.1", "10.0.0.9", piece(5, false)), ports[0], ports[1]),
		"IPv6 fragment":            row("out", far, ip("fd00:a::1", "fd00:a::9"), piece6(0, true), ports[0], ports[1]),
		"IPv6 last fragment":       row("out", far, ip("fd00:a::1", "fd00:a::9"), piece6(5, false), ports[0], ports[1]),
		"IPv6 fragment behind":     row("kernel_kind", far, ip("fd00:a::1", "fd00:a::9"), extension(unix.IPPROTO_HOPOPTS), piece6(5, false), ports[0], ports[1]),
		"advertisement in pieces":  row("kernel_kind", far, ip("fd00:a::1", "ff02::1"), piece6(0, true), neighbour(136, "fd00:a::3", senderMAC)),
		"options":                  row("kernel_kind", far, ip("10.0.0.1", "10.0.0.9", options(8)), ports[0], ports[1]),
		"hop-by-hop":               row("kernel_kind", far, ip("fd00:a::1", "fd00:a::9"), extension(unix.IPPROTO_HOPOPTS), ports[0], ports[1]),
		"not IP":                   row("kernel_kind", far, notIP(0x88cc)),
		"ARP":                      row("kernel_kind", far, arpFrom(senderMAC, "10.0.0.1")),
		"ARP probe":                row("kernel_kind", far, arpFrom(senderMAC, "0.0.0.0")),
		"ARP of a virtual address": row("kernel_kind", far, arpFrom(senderMAC, "10.0.5.7")),
		"solicitation":             row("kernel_kind", far, ip("fd00:a::1", "ff02::1:ff00:9"), neighbour(135, "fd00:a::9", senderMAC)),
		"solicitation of nobody":   row("kernel_kind", far, ip("::", "ff02::1:ff00:1"), payload(unix.IPPROTO_ICMPV6, append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, mustAddr("fd00:a::1").AsSlice()...)...)),
		"from link-local":          row("kernel_kind", far, ip(linkLocal, "fe80::1"), neighbour(136, linkLocal, senderMAC)),
		"advertisement":            row("kernel_kind", far, ip("fd00:a::1", "ff02::1"), neighbour(136, "fd00:a::1", senderMAC)),

		"another MAC":                    row("dropped_mac", etherFrom(neighborMAC, otherMAC), ip("10.0.0.1", "10.0.0.9"), ports[0], ports[1]),
		"another IPv4":                   row("dropped_address", far, ip("10.0.0.3", "10.0.0.9"), ports[0], ports[1]),
		"another IPv4 to a neighbour":    row("dropped_address", near, ip("10.0.0.9", "10.0.0.3"), ports[0], ports[1]),
		"another IPv4 to a group":        row("dropped_address", etherFrom(senderMAC, MAC{1, 0, 0x5e, 0, 0, 1}), ip("10.0.0.3", "224.0.0.1"), ports[0], ports[1]),
		"another IPv4 in a fragment":     row("dropped_address", far, ip("10.0.0.3", "10.0.0.9", piece(8, false)), ports[0], ports[1]),
		"no IPv4":                        row("dropped_address", far, ip("0.0.0.0", "10.0.0.9"), ports[0], ports[1]),
		"another IPv6":                   row("dropped_address", far, ip("fd00:a::3", "fd00:a::9"), ports[0], ports[1]),
		"another link-local":             row("dropped_address", far, ip("fe80::42:aff:fe00:3", "fe80::1"), ports[0], ports[1]),
		"another IPv6 in a fragment":     row("dropped_address", far, ip("fd00:a::3", "fd00:a::9"), piece6(5, false), ports[0], ports[1]),
		"no IPv6 in a fragment":          row("dropped_address", far, ip("::", "fd00:a::9"), piece6(5, false), ports[0], ports[1]),
		"no IPv6":                        row("dropped_address", far, ip("::", "fd00:a::9"), ports[0], ports[1]),
		"another IPv4 mapped":            row("dropped_address", far, ip("::ffff:10.0.0.3", "fd00:a::9"), ports[0], ports[1]),
		"ARP from another MAC":           row("dropped_mac", far, arpFrom(neighborMAC, "10.0.0.1")),
		"ARP for another address":        row("dropped_address", far, arpFrom(senderMAC, "10.0.0.3")),
		"advertisement of another":       row("dropped_address", far, ip("fd00:a::1", "ff02::1"), neighbour(136, "fd00:a::3", senderMAC)),
		"advertisement of another MAC":   row("dropped_mac", far, ip("fd00:a::1", "ff02::1"), neighbour(136, "fd00:a::1", neighborMAC)),
		"solicitation with another MAC":  row("dropped_mac", far, ip("fd00:a::1", "ff02::1:ff00:9"), neighbour(135, "fd00:a::9", neighborMAC)),
		"advertisement behind a header":  row("dropped_address", far, ip("fd00:a::1", "ff02::1"), extension(unix.IPPROTO_HOPOPTS), neighbour(136, "fd00:a::3", senderMAC)),
		"advertisement behind too many":  row("dropped_address", far, ip("fd00:a::1", "ff02::1"), extension(unix.IPPROTO_HOPOPTS), extension(unix.IPPROTO_DSTOPTS), extension(unix.IPPROTO_DSTOPTS), extension(unix.IPPROTO_DSTOPTS), neighbour(136, "fd00:a::3", senderMAC)),
		"router":                         row("dropped_router", far, ip(linkLocal, "ff02::1"), payload(unix.IPPROTO_ICMPV6, 134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0)),
		"redirect":                       row("dropped_router", far, ip(linkLocal, "ff02::1"), payload(unix.IPPROTO_ICMPV6, 137, 0, 0, 0, 0, 0, 0, 0)),
		"tagged":                         row("dropped_tagged", far, vlanHeader(unix.ETH_P_8021Q, 5), ip("10.0.0.1", "10.0.0.9"), ports[0], ports[1]),
		"priority tag":                   row("dropped_tagged", far, vlanHeader(unix.ETH_P_8021AD, 0), ip("10.0.0.3", "10.0.0.9"), ports[0], ports[1]),
		"header that is longer than all": row("kernel_malformed", far, ip("10.0.0.1", "10.0.0.9", headerLength(15))),
	}
}

func TestShortcutOut(t *testing.T) {
	b := newShortcutBench(t)
	b.test(t, b.objects.FalconOut, outRows(), func(t *testing.T, in, out []byte) {
		const outer = 50
		if len(out) != len(in)+outer || !bytes.Equal(out[outer:], in) {
			t.Fatalf("became\n% x, want outer headers and\n% x", out, in)
		}
		ecn := in[15] & 3
		if in[12] == 0x86 {
			ecn = in[15] >> 4 & 3
		}
		if ecn == 3 {
			ecn = 2 // RFC 6040, section 4.1
		}
		id, sum, source := out[18:20], out[24:26], out[34:36]
		length := len(out) - 14
		want := slices.Concat([]byte{0x45, ecn, byte(length >> 8), byte(length)}, id, []byte{0, 0, 64, 17}, sum, []byte{192, 0, 2, 2, 192, 0, 2, 1},
			source, []byte{steerPort >> 8, steerPort & 0xff, byte((length - 20) >> 8), byte(length - 20), 0, 0, 8, 0, 0, 0, 0, 0, benchVNI, 0})
		if got := out[14:outer]; !bytes.Equal(got, want) {
			t.Errorf("outer headers\n% x, want\n% x", got, want)
		}
		if sumOf(out[14:34]) != 0xffff {
			t.Errorf("checksum of % x", out[14:34])
		}
		if port := int(source[0])<<8 | int(source[1]); port < 32768 || port > 60999 {
			t.Errorf("source port %d", port)
		}
	})
}

// sumOf is the Internet checksum, not inverted.
func sumOf(header []byte) uint32 {
	var sum uint32
	for i := 0; i < len(header); i += 2 {
		sum += uint32(header[i])<<8 | uint32(header[i+1])
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return sum
}

// Whatever comes, the programs do not fail, and what they send on they have counted.
func FuzzShortcut(f *testing.F) {
	b := newShortcutBench(f)
	for _, rows := range []map[string]shortcutRow{inRows(), outRows()} {
		for _, r := range rows {
			f.Add(r.frame.bytes)
		}
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) < 54 || len(packet) > 3000 { // a test run takes no less than the headers that are announced
			return
		}
		for _, p := range []*ebpf.Program{b.objects.FalconIn, b.objects.FalconOut} {
			before := b.sums(t)
			verdict, out := b.run(t, p, packet, skbContext{})
			way := b.counted(t, before)
			switch {
			case verdict == tcRedirect && (way == "[in]" || way == "[out]" || way == "[local]"):
			case verdict == tcShot && len(way) > 9 && way[:9] == "[dropped_":
			case verdict == goOn && (way == "[]" || way[:8] == "[kernel_") && bytes.Equal(out, packet):
			default:
				t.Errorf("% x: verdict %d, counted %s, became % x", packet, verdict, way, out)
			}
		}
	})
}
