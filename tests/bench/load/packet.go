package load

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Sizes of headers, in bytes.
const (
	ethernetSize = 14
	ipv4Size     = 20
	ipv6Size     = 40
	fragmentSize = 8
	udpSize      = 8
	tcpSize      = 20
	vxlanSize    = 8
)

const (
	hopLimit       = 64
	dontFragment   = 0x4000
	moreFragments  = 0x2000
	fragmentHeader = 44 // next header of RFC 8200, section 4.5
	tcpAck         = 0x10
	tcpWindow      = 0xffff
)

func headerSize(v6 bool) int {
	if v6 {
		return ipv6Size
	}
	return ipv4Size
}

// ethernet puts a header in front of an IP packet.
func ethernet(src, dst MAC, packet []byte) []byte {
	kind := uint16(unix.ETH_P_IP)
	if packet[0]>>4 == 6 {
		kind = unix.ETH_P_IPV6
	}
	b := append(dst[:len(dst):len(dst)], src[:]...)
	return append(binary.BigEndian.AppendUint16(b, kind), packet...)
}

// piece is the part of an IP packet's payload that one fragment carries.
type piece struct {
	offset int // bytes
	more   bool
	ident  uint32
}

func (p piece) whole() bool { return p.offset == 0 && !p.more }

// ip puts a header in front of a payload. A packet that is whole forbids fragmentation and has identification 0,
// as the kernel's own do (RFC 6864, atomic datagrams).
func ip(src, dst netip.Addr, protocol uint8, p piece, payload []byte) []byte {
	if !src.Is4() {
		return ipv6(src, dst, protocol, p, payload)
	}
	b := make([]byte, ipv4Size, ipv4Size+len(payload))
	b[0], b[8], b[9] = 0x45, hopLimit, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(ipv4Size+len(payload)))
	flags := uint16(p.offset / 8)
	switch {
	case p.whole():
		flags |= dontFragment
	case p.more:
		flags |= moreFragments
	}
	binary.BigEndian.PutUint16(b[4:], uint16(p.ident))
	binary.BigEndian.PutUint16(b[6:], flags)
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	binary.BigEndian.PutUint16(b[10:], checksum(sum(0, b)))
	return append(b, payload...)
}

func ipv6(src, dst netip.Addr, protocol uint8, p piece, payload []byte) []byte {
	if !p.whole() {
		h := make([]byte, fragmentSize, fragmentSize+len(payload))
		h[0] = protocol
		flags := uint16(p.offset)
		if p.more {
			flags |= 1
		}
		binary.BigEndian.PutUint16(h[2:], flags)
		binary.BigEndian.PutUint32(h[4:], p.ident)
		protocol, payload = fragmentHeader, append(h, payload...)
	}
	b := make([]byte, ipv6Size, ipv6Size+len(payload))
	b[0], b[6], b[7] = 0x60, protocol, hopLimit
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	copy(b[8:], src.AsSlice())
	copy(b[24:], dst.AsSlice())
	return append(b, payload...)
}

// transportSum is the checksum of a UDP datagram or TCP segment whose own field is zero.
func transportSum(src, dst netip.Addr, protocol uint8, segment []byte) uint16 {
	s := sum(sum(0, src.AsSlice()), dst.AsSlice())
	return checksum(sum(s+uint32(protocol)+uint32(len(segment))&0xffff+uint32(len(segment))>>16, segment))
}

// udp puts a header in front of a payload.
func udp(src, dst netip.AddrPort, summed bool, payload []byte) []byte {
	b := make([]byte, udpSize, udpSize+len(payload))
	binary.BigEndian.PutUint16(b, src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(udpSize+len(payload)))
	b = append(b, payload...)
	if summed {
		binary.BigEndian.PutUint16(b[6:], nonzero(transportSum(src.Addr(), dst.Addr(), unix.IPPROTO_UDP, b)))
	}
	return b
}

// tcp puts the header of a segment in the middle of a stream in front of a payload.
func tcp(src, dst netip.AddrPort, sequence, acknowledged uint32, payload []byte) []byte {
	b := make([]byte, tcpSize, tcpSize+len(payload))
	binary.BigEndian.PutUint16(b, src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
	binary.BigEndian.PutUint32(b[4:], sequence)
	binary.BigEndian.PutUint32(b[8:], acknowledged)
	b[12], b[13] = tcpSize/4<<4, tcpAck
	binary.BigEndian.PutUint16(b[14:], tcpWindow)
	b = append(b, payload...)
	binary.BigEndian.PutUint16(b[16:], transportSum(src.Addr(), dst.Addr(), unix.IPPROTO_TCP, b))
	return b
}

// encapsulate puts a frame into a VXLAN packet, down to the Ethernet header.
func (t Tunnel) encapsulate(port uint16, frame []byte) []byte {
	b := make([]byte, vxlanSize, vxlanSize+len(frame))
	b[0] = 0x08 // the VNI is valid
	binary.BigEndian.PutUint32(b[4:], t.VNI<<8)
	src, dst := netip.AddrPortFrom(t.Src, port), netip.AddrPortFrom(t.Dst, t.port())
	outer := udp(src, dst, t.Checksum, append(b, frame...))
	return ethernet(t.SrcMAC, t.DstMAC, ip(t.Src, t.Dst, unix.IPPROTO_UDP, piece{}, outer))
}
