package datapath

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// layer is one header of a packet, or what is behind them all. Checksums are left out: the programs look at none.
type layer struct {
	ether uint16 // the EtherType that announces it
	proto uint8  // the IP protocol that announces it
	head  func(next layer, rest []byte) []byte
}

// frame is a packet as a device hands it up.
type frame struct {
	bytes []byte
	// enough is how many of the bytes a program must see to know all about it.
	enough int
}

// frameOf puts layers together, each announcing the one behind it.
func frameOf(layers ...layer) frame {
	var f frame
	var next layer
	behind := 0 // bytes from the mark on
	for i := len(layers) - 1; i >= 0; i-- {
		l := layers[i]
		if l.head == nil { // enough
			behind = len(f.bytes) - int(l.ether)
			continue
		}
		f.bytes = append(l.head(next, f.bytes), f.bytes...)
		next = l
	}
	f.enough = len(f.bytes) - behind
	return f
}

// over puts layers behind others.
func over(outer []layer, inner ...layer) []layer {
	return append(outer[:len(outer):len(outer)], inner...)
}

// enough marks how far a program has to look: so many bytes into the next layer.
func enough(bytes int) layer { return layer{ether: uint16(bytes)} }

func etherHeader(dst MAC) layer {
	return layer{head: func(next layer, _ []byte) []byte {
		h := append(dst[:], 2, 0, 0, 0, 0, 9)
		return binary.BigEndian.AppendUint16(h, next.ether)
	}}
}

func vlanHeader(ether, id uint16) layer {
	return layer{ether: ether, head: func(next layer, _ []byte) []byte {
		const priority = 3 << 13
		return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, priority|id), next.ether)
	}}
}

// edit changes an IPv4 header, whose length is set afterwards.
type edit func(h []byte) []byte

// ipHeader is of the family of its addresses. Only an IPv4 header is edited.
func ipHeader(src, dst netip.Addr, edits ...edit) layer {
	if src.Is4() {
		return layer{ether: unix.ETH_P_IP, proto: unix.IPPROTO_IPIP, head: func(next layer, rest []byte) []byte {
			h := append(make([]byte, 12, 60), append(src.AsSlice(), dst.AsSlice()...)...)
			h[0], h[8], h[9] = 0x45, 64, next.proto
			for _, e := range edits {
				h = e(h)
			}
			binary.BigEndian.PutUint16(h[2:], uint16(len(h)+len(rest)))
			return h
		}}
	}
	return layer{ether: unix.ETH_P_IPV6, proto: unix.IPPROTO_IPV6, head: func(next layer, rest []byte) []byte {
		h := append(make([]byte, 8, 40), append(src.AsSlice(), dst.AsSlice()...)...)
		h[0], h[6], h[7] = 0x60, next.proto, 64
		binary.BigEndian.PutUint16(h[4:], uint16(len(rest)))
		return h
	}}
}

// options makes room for so many bytes of them, a multiple of four.
func options(bytes int) edit {
	return func(h []byte) []byte {
		for range bytes {
			h = append(h, 1) // no operation
		}
		h[0] = 0x40 | byte(len(h)/4)
		return h
	}
}

// headerLength lies about it.
func headerLength(words byte) edit {
	return func(h []byte) []byte {
		h[0] = 0x40 | words
		return h
	}
}

func hopLimit(left byte) edit {
	return func(h []byte) []byte {
		h[8] = left
		return h
	}
}

// piece is a fragment at an offset in units of 8 bytes.
func piece(offset uint16, more bool) edit {
	return func(h []byte) []byte {
		if more {
			offset |= 0x2000
		}
		binary.BigEndian.PutUint16(h[6:], offset)
		return h
	}
}

// piece6 is the same as a header of IPv6.
func piece6(offset uint16, more bool) layer {
	return layer{proto: unix.IPPROTO_FRAGMENT, head: func(next layer, _ []byte) []byte {
		h := []byte{next.proto, 0, 0, 0, 0, 0, 0, 7}
		flags := offset << 3
		if more {
			flags |= 1
		}
		binary.BigEndian.PutUint16(h[2:], flags)
		return h
	}}
}

// extension is an IPv6 extension header with nothing but padding.
func extension(proto uint8) layer {
	return layer{proto: proto, head: func(next layer, _ []byte) []byte {
		return []byte{next.proto, 0, 1, 4, 0, 0, 0, 0}
	}}
}

func udpHeader(src, dst uint16) layer {
	return layer{proto: unix.IPPROTO_UDP, head: func(_ layer, rest []byte) []byte {
		h := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, src), dst)
		return append(binary.BigEndian.AppendUint16(h, uint16(8+len(rest))), 0, 0)
	}}
}

func tcpHeader(src, dst uint16) layer {
	return layer{proto: unix.IPPROTO_TCP, head: func(layer, []byte) []byte {
		h := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, src), dst)
		return append(h, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0)
	}}
}

// portsHeader is TCP's or UDP's.
func portsHeader(proto uint8, src, dst uint16) layer {
	if proto == unix.IPPROTO_TCP {
		return tcpHeader(src, dst)
	}
	return udpHeader(src, dst)
}

// payload is what a protocol carries: its header, if it has one, is in there.
func payload(proto uint8, bytes ...byte) layer {
	return layer{proto: proto, head: func(layer, []byte) []byte { return bytes }}
}

// notIP is a payload of Ethernet.
func notIP(ether uint16) layer {
	return layer{ether: ether, head: func(layer, []byte) []byte { return make([]byte, 28) }}
}

const hasVNI = 0x08000000

// vxlanHeader is as RFC 7348 would have it; oddVXLAN is not.
func vxlanHeader(vni VNI) layer { return oddVXLAN(hasVNI, uint32(vni)<<8) }

func oddVXLAN(flags, vni uint32) layer {
	return layer{head: func(layer, []byte) []byte {
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, flags), vni)
	}}
}

// conversation is what packets of one flow have in common.
type conversation struct {
	vni      VNI
	proto    uint8
	src, dst netip.AddrPort
}

// reversed is the other direction.
func (c conversation) reversed() conversation {
	c.src, c.dst = c.dst, c.src
	return c
}

// inside gives the inner layers.
func (c conversation) inside() []layer {
	return []layer{vxlanHeader(c.vni), etherHeader(endpointMAC), ipHeader(c.src.Addr(), c.dst.Addr()), enough(4),
		portsHeader(c.proto, c.src.Port(), c.dst.Port()), payload(0, 1, 2, 3, 4)}
}

func (c conversation) frame() frame { return frameOf(over(outerIPv4, c.inside()...)...) }

const steerPort = 4789

var (
	nicMAC      = MAC{2, 0, 0, 0, 0, 1}
	endpointMAC = MAC{2, 0x42, 10, 0, 0, 2}

	outerIPv4 = []layer{etherHeader(nicMAC), ipHeader(mustAddr("192.0.2.1"), mustAddr("192.0.2.2")), udpHeader(44444, steerPort)}
	outerIPv6 = []layer{etherHeader(nicMAC), ipHeader(mustAddr("2001:db8:99::1"), mustAddr("2001:db8:99::2")), udpHeader(44444, steerPort)}
)
