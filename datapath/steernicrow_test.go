package datapath

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// kind is what a packet is to falcon_nic.
type kind int

const (
	foreign kind = iota // left alone
	missed              // ours, but of no flow
	flow
)

// nicRow is a packet and what falcon_nic sees in it.
type nicRow struct {
	name  string
	frame frame
	kind  kind
	vni   VNI
	port  uint16 // of the inner destination
	proto uint8  // looked at
}

func nicRows() []nicRow {
	return slices.Concat(flowRows(), optionRows(), innerRows(), outerRows(), fragmentRows())
}

// insideAddresses are by family.
var insideAddresses = map[string][2]netip.Addr{
	"IPv4": {mustAddr("10.0.0.1"), mustAddr("10.0.0.2")},
	"IPv6": {mustAddr("fd00:a::1"), mustAddr("fd00:a::2")},
}

var outers = map[string][]layer{"IPv4": outerIPv4, "IPv6": outerIPv6}

// inIP is the beginning of most inner packets.
func inIP(family string, edits ...edit) []layer {
	return []layer{vxlanHeader(benchVNI), etherHeader(endpointMAC), ipHeader(insideAddresses[family][0], insideAddresses[family][1], edits...)}
}

// flowRows are the plain ones.
func flowRows() (rows []nicRow) {
	for outer, out := range outers {
		for inner := range insideAddresses {
			in := over(out, inIP(inner)...)
			name := outer + " " + inner + " "
			rows = append(rows,
				nicRow{name + "TCP", frameOf(over(in, enough(4), tcpHeader(40000, 80), payload(0, 1))...), flow, benchVNI, 80, unix.IPPROTO_TCP},
				nicRow{name + "UDP", frameOf(over(in, enough(4), udpHeader(40000, 53), payload(0, 1))...), flow, benchVNI, 53, unix.IPPROTO_UDP},
				nicRow{name + "ESP", frameOf(over(in, enough(0), payload(unix.IPPROTO_ESP, 0, 0, 1, 0, 0, 0, 0, 1))...), flow, benchVNI, 0, unix.IPPROTO_ESP},
			)
			icmp := uint8(unix.IPPROTO_ICMP)
			if inner == "IPv6" {
				icmp = unix.IPPROTO_ICMPV6
			}
			rows = append(rows, nicRow{name + "ICMP", frameOf(over(in, enough(0), payload(icmp, 8, 0, 0, 0, 0, 1, 0, 1))...), flow, benchVNI, 0, icmp})
		}
	}
	return rows
}

// optionRows have headers longer than usual.
func optionRows() (rows []nicRow) {
	ports := []layer{enough(4), udpHeader(40000, 53)}
	for _, bytes := range []int{4, 40} {
		out := []layer{etherHeader(nicMAC), ipHeader(mustAddr("192.0.2.1"), mustAddr("192.0.2.2"), options(bytes)), udpHeader(44444, steerPort)}
		rows = append(rows,
			nicRow{fmt.Sprintf("outer options %d", bytes), frameOf(over(out, over(inIP("IPv4"), ports...)...)...), flow, benchVNI, 53, unix.IPPROTO_UDP},
			nicRow{fmt.Sprintf("inner options %d", bytes), frameOf(over(outerIPv4, over(inIP("IPv4", options(bytes)), ports...)...)...), flow, benchVNI, 53, unix.IPPROTO_UDP},
			nicRow{fmt.Sprintf("both options %d, two tags", bytes), frameOf(over(over(out, tagged(2, options(bytes))...), ports...)...), flow, benchVNI, 53, unix.IPPROTO_UDP})
	}
	for proto, name := range map[uint8]string{
		unix.IPPROTO_HOPOPTS: "hop-by-hop", unix.IPPROTO_ROUTING: "routing", unix.IPPROTO_DSTOPTS: "destination options",
	} {
		f := frameOf(over(outerIPv4, over(inIP("IPv6"), enough(0), extension(proto), udpHeader(40000, 53))...)...)
		rows = append(rows, nicRow{"inner " + name, f, flow, benchVNI, 0, proto})
	}
	return rows
}

// tagged are inner layers up to IPv4 with VLAN tags: at most the outermost is 802.1ad.
func tagged(tags int, edits ...edit) []layer {
	in := []layer{vxlanHeader(benchVNI), etherHeader(endpointMAC)}
	for i := range tags {
		ether := uint16(unix.ETH_P_8021Q)
		if i == 0 && tags > 1 {
			ether = unix.ETH_P_8021AD
		}
		in = append(in, vlanHeader(ether, uint16(100+i)))
	}
	return append(in, ipHeader(insideAddresses["IPv4"][0], insideAddresses["IPv4"][1], edits...))
}

// innerRows are about what is behind the VXLAN header, and the header itself.
func innerRows() []nicRow {
	udp := []layer{enough(4), udpHeader(40000, 53)}
	ip := inIP("IPv4")[2]
	to := func(mac MAC) frame {
		return frameOf(over(outerIPv4, vxlanHeader(benchVNI), etherHeader(mac), enough(0), ip, udp[1])...)
	}
	header := func(flags, vni uint32) frame {
		return frameOf(over(outerIPv4, append([]layer{oddVXLAN(flags, vni), etherHeader(endpointMAC), ip}, udp...)...)...)
	}
	third := over(tagged(3)[:4], enough(0))
	return []nicRow{
		{"one inner tag", frameOf(over(outerIPv4, over(tagged(1), udp...)...)...), flow, benchVNI, 53, unix.IPPROTO_UDP},
		{"two inner tags", frameOf(over(outerIPv4, over(tagged(2), udp...)...)...), flow, benchVNI, 53, unix.IPPROTO_UDP},
		{"three inner tags", frameOf(over(outerIPv4, append(third, tagged(3)[4:]...)...)...), missed, benchVNI, 0, 0},
		{"inner broadcast", to(MAC{255, 255, 255, 255, 255, 255}), missed, benchVNI, 0, 0},
		{"inner multicast", to(MAC{1, 0, 0x5e, 0, 0, 1}), missed, benchVNI, 0, 0},
		{"inner ARP", frameOf(over(outerIPv4, vxlanHeader(benchVNI), etherHeader(endpointMAC), enough(0), notIP(unix.ETH_P_ARP))...), missed, benchVNI, 0, 0},
		{"inner header too short", frameOf(over(outerIPv4, vxlanHeader(benchVNI), etherHeader(endpointMAC), enough(20),
			ipHeader(insideAddresses["IPv4"][0], insideAddresses["IPv4"][1], headerLength(4)), udp[1])...), missed, benchVNI, 0, 0},
		{"no VNI", header(0, benchVNI<<8), foreign, 0, 0, 0},
		{"no VNI, all other flags", header(^uint32(hasVNI), benchVNI<<8), foreign, 0, 0, 0},
		{"reserved bits", header(^uint32(0), benchVNI<<8|0xff), flow, benchVNI, 53, unix.IPPROTO_UDP},
		{"unknown VNI", header(hasVNI, (benchVNI+1)<<8), foreign, 0, 0, 0},
		{"VNI in the wrong place", header(hasVNI, benchVNI), flow, leastVNI, 53, unix.IPPROTO_UDP},
		{"least VNI", header(hasVNI, leastVNI), flow, leastVNI, 53, unix.IPPROTO_UDP},
		{"most VNI", header(hasVNI, mostVNI<<8), flow, mostVNI, 53, unix.IPPROTO_UDP},
	}
}

// outerRows are packets of others, each as like ours as can be.
func outerRows() (rows []nicRow) {
	inside := over(inIP("IPv4"), udpHeader(40000, 53))
	add := func(name string, outer ...layer) {
		rows = append(rows, nicRow{name: name, frame: frameOf(over(outer, inside...)...)})
	}
	for name, out := range outers {
		ether, ip := out[0], out[1]
		add("other port "+name, ether, ip, udpHeader(44444, steerPort+1))
		add("port as source "+name, ether, ip, udpHeader(steerPort, 44444))
		add("swapped port "+name, ether, ip, udpHeader(44444, 0xb512))
		add("TCP "+name, ether, ip, tcpHeader(44444, steerPort))
		add("no UDP "+name, ether, ip, payload(unix.IPPROTO_UDPLITE, 0xad, 0x9c, 0x12, 0xb5, 0, 0, 0, 0))
	}
	add("outer header too short", etherHeader(nicMAC),
		ipHeader(mustAddr("192.0.2.1"), mustAddr("192.0.2.2"), headerLength(4)), udpHeader(44444, steerPort))
	many := over(outerIPv6[:2], slices.Repeat([]layer{extension(unix.IPPROTO_DSTOPTS)}, 7)...)
	add("many outer extension headers", over(many, outerIPv6[2])...)
	// A device takes the tag off before programs see the packet; here it stays, as that of a second, inner VLAN would.
	add("VLAN", etherHeader(nicMAC), vlanHeader(unix.ETH_P_8021Q, 7), outerIPv4[1], outerIPv4[2])
	return append(rows,
		nicRow{name: "ARP", frame: frameOf(etherHeader(nicMAC), notIP(unix.ETH_P_ARP))},
		nicRow{name: "LLC", frame: frameOf(etherHeader(nicMAC), payload(0, make([]byte, 60)...))})
}

// fragmentRows have pieces of datagrams, outside and inside.
func fragmentRows() []nicRow {
	inside := over(inIP("IPv4"), enough(4), udpHeader(40000, 53))
	outer4 := func(e edit) frame {
		return frameOf(over([]layer{etherHeader(nicMAC), ipHeader(mustAddr("192.0.2.1"), mustAddr("192.0.2.2"), e), outerIPv4[2]}, inside...)...)
	}
	outer6 := func(l layer) frame {
		return frameOf(over([]layer{outerIPv6[0], outerIPv6[1], l, outerIPv6[2]}, inside...)...)
	}
	in4 := func(l layer, e edit) frame {
		return frameOf(over(outerIPv4, over(inIP("IPv4", e), enough(0), l)...)...)
	}
	in6 := func(l, p layer) frame { return frameOf(over(outerIPv6, over(inIP("IPv6"), enough(0), p, l)...)...) }
	data := payload(unix.IPPROTO_UDP, 9, 9, 9, 9, 9, 9, 9, 9)
	udp := udpHeader(40000, 53)
	return []nicRow{
		{"outer first fragment IPv4", outer4(piece(0, true)), missed, benchVNI, 0, 0},
		{"outer middle fragment IPv4", outer4(piece(100, true)), foreign, 0, 0, 0},
		{"outer last fragment IPv4", outer4(piece(200, false)), foreign, 0, 0, 0},
		{"outer first fragment IPv6", outer6(piece6(0, true)), missed, benchVNI, 0, 0},
		{"outer middle fragment IPv6", outer6(piece6(100, true)), foreign, 0, 0, 0},
		{"outer last fragment IPv6", outer6(piece6(200, false)), foreign, 0, 0, 0},
		{"outer whole in a fragment IPv6", outer6(piece6(0, false)), flow, benchVNI, 53, unix.IPPROTO_UDP},
		{"outer extension header", outer6(extension(unix.IPPROTO_DSTOPTS)), flow, benchVNI, 53, unix.IPPROTO_UDP},
		{"inner first fragment IPv4", in4(udp, piece(0, true)), flow, benchVNI, 0, 0},
		{"inner middle fragment IPv4", in4(data, piece(1, true)), flow, benchVNI, 0, 0},
		{"inner last fragment IPv4", in4(data, piece(2, false)), flow, benchVNI, 0, 0},
		{"inner first fragment IPv6", in6(udp, piece6(0, true)), flow, benchVNI, 0, unix.IPPROTO_FRAGMENT},
		{"inner middle fragment IPv6", in6(data, piece6(1, true)), flow, benchVNI, 0, unix.IPPROTO_FRAGMENT},
		{"inner last fragment IPv6", in6(data, piece6(2, false)), flow, benchVNI, 0, unix.IPPROTO_FRAGMENT},
	}
}
