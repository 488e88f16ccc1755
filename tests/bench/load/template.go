package load

import (
	"encoding/binary"
	"hash/fnv"
	"slices"

	"golang.org/x/sys/unix"
)

// The source ports that the kernel's VXLAN device chooses from (net.ipv4.ip_local_port_range).
const (
	firstSourcePort = 32768
	lastSourcePort  = 60999
)

// acknowledgedByAll is what generated segments acknowledge: the first byte of the receiver, which sends none.
const acknowledgedByAll = 1

// template builds the frames of a generator.
type template struct {
	tunnel   *Tunnel
	protocol Protocol
	checksum bool
	payload  int
	room     int // bytes that a fragment carries; 0: the datagrams are whole
}

// variables are what differs from one packet of a flow to the next.
type variables struct {
	number   stampedNumber
	time     uint64 // nanoseconds of the monotonic clock
	ident    uint32
	sequence uint32
}

func newTemplate(c Config) template {
	t := template{tunnel: c.Tunnel, protocol: c.Protocol, checksum: c.Checksum, payload: c.Payload}
	v6 := !c.Flows[0].Src.Addr().Is4()
	if c.Protocol == UDP && headerSize(v6)+udpSize+c.Payload > c.MTU {
		room := c.MTU - headerSize(v6)
		if v6 {
			room -= fragmentSize
		}
		t.room = room &^ 7 // offsets count in 8 bytes
	}
	return t
}

// fragments is the number of frames that make a packet.
func (t template) fragments() int {
	if t.room == 0 {
		return 1
	}
	return (udpSize + t.payload + t.room - 1) / t.room
}

// frame is one fragment of a packet, complete and valid.
func (t template) frame(f Flow, fragment int, v variables) []byte {
	protocol, segment := t.segment(f, v)
	p := piece{}
	if t.room > 0 {
		from := fragment * t.room
		to := min(from+t.room, len(segment))
		p = piece{offset: from, more: to < len(segment), ident: v.ident}
		segment = segment[from:to]
	}
	inner := ethernet(f.SrcMAC, f.DstMAC, ip(f.Src.Addr(), f.Dst.Addr(), protocol, p, segment))
	if t.tunnel == nil {
		return inner
	}
	return t.tunnel.encapsulate(sourcePort(f), inner)
}

// segment is the payload of the IP packet.
func (t template) segment(f Flow, v variables) (protocol uint8, segment []byte) {
	payload := make([]byte, t.payload)
	if t.protocol == TCP {
		return unix.IPPROTO_TCP, tcp(f.Src, f.Dst, v.sequence, acknowledgedByAll, payload)
	}
	binary.BigEndian.PutUint64(payload, uint64(v.number))
	binary.BigEndian.PutUint64(payload[8:], v.time)
	return unix.IPPROTO_UDP, udp(f.Src, f.Dst, t.checksum, payload)
}

// layout says where in the frames of a flow the program finds what it changes.
func (t template) layout(f Flow) (l genLayout) {
	at := ethernetSize
	outerChecksum := 0
	if t.tunnel != nil {
		outerChecksum = at + headerSize(!t.tunnel.Src.Is4()) + 6
		at = outerChecksum + 2 + vxlanSize + ethernetSize
		if !t.tunnel.Checksum {
			outerChecksum = 0
		}
	}
	l.Reply = uint32(at)
	v6 := !f.Src.Addr().Is4()
	switch {
	case t.room > 0 && v6:
		l.Ident6 = uint32(at + ipv6Size + 4)
		at += fragmentSize
	case t.room > 0:
		l.Ident, l.IdentChecksum = uint32(at+4), uint32(at+10)
	}
	at += headerSize(v6)
	if t.protocol == TCP {
		l.Sequence, l.Checksum = uint32(at+4), uint32(at+16)
		at += tcpSize
	} else {
		if t.checksum {
			l.Checksum = uint32(at + 6)
		}
		at += udpSize
	}
	// A checksum within makes up for the changes that it covers, so the outer one holds (local checksum offload).
	if l.Checksum == 0 || l.Ident6 != 0 {
		l.OuterChecksum = uint32(outerChecksum)
	}
	l.Header = uint32(at)
	l.Length = uint32(len(t.frame(f, 0, variables{})))
	return l
}

// frames are the headers of all fragments of a flow, as the program keeps them.
func (t template) frames(f Flow) []genFrame {
	header := int(t.layout(f).Header)
	var all []genFrame
	for i := range t.fragments() {
		b := t.frame(f, i, variables{})
		g := genFrame{Length: uint32(len(b))}
		if i == 0 {
			g.First = 1
		}
		copy(g.Header[:], b[:min(header, len(b))])
		all = append(all, g)
	}
	return all
}

// sourcePort spreads flows over source ports as the VXLAN device does: by a hash of the inner flow (RFC 7348, section 5;
// kernel, udp_flow_src_port). The kernel's own hash has a secret key.
func sourcePort(f Flow) uint16 {
	h := fnv.New32a()
	key := slices.Concat(f.SrcMAC[:], f.DstMAC[:], f.Src.Addr().AsSlice(), f.Dst.Addr().AsSlice())
	key = binary.BigEndian.AppendUint16(key, f.Src.Port())
	key = binary.BigEndian.AppendUint16(key, f.Dst.Port())
	h.Write(key)
	// FNV's high bits change little with the last bytes, and the range is taken by them.
	mixed := h.Sum32()
	mixed ^= mixed >> 16
	mixed *= 0x85ebca6b
	mixed ^= mixed >> 13
	mixed *= 0xc2b2ae35
	mixed ^= mixed >> 16
	return firstSourcePort + uint16(uint64(mixed)*(lastSourcePort-firstSourcePort)>>32)
}
