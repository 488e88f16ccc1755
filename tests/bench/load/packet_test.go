package load

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// unhex reads bytes that are written in groups.
func unhex(t *testing.T, groups ...string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(groups, ""), " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFramesAreTheseBytes(t *testing.T) {
	v := variables{number: newNumber(2, 3), time: 0x1122334455667788, ident: 7, sequence: 0xfffffff0}
	for name, c := range map[string]struct {
		template template
		inner    [2]netip.Addr
		want     []byte
	}{
		"UDP over IPv4, in VXLAN": {
			template{tunnel: tunnel(t, outer4), payload: 16}, inner4,
			unhex(t, "029900000002 029900000001 0800",
				"45 00 005e 0000 4000 40 11 25c7 0a630001 0a630002",
				"b493 12b5 004a 0000", "08000000 00002a00",
				"02420a000002 02420a000001 0800",
				"45 00 002c 0000 4000 40 11 26bf 0a000001 0a000002", "9c40 1389 0018 0000",
				"0002000000000003 1122334455667788"),
		},
		"UDP over IPv6, plain": {
			template{payload: 16, checksum: true}, inner6,
			unhex(t, "02420a000002 02420a000001 86dd",
				"60000000 0018 11 40 fd100000000000000000000000000001 fd100000000000000000000000000002", "9c40 1389 0018 4476",
				"0002000000000003 1122334455667788"),
		},
		"TCP over IPv4, plain": {
			template{protocol: TCP, payload: 2}, inner4,
			unhex(t, "02420a000002 02420a000001 0800",
				"45 00 002a 0000 4000 40 06 26cc 0a000001 0a000002",
				"9c40 1389 fffffff0 00000001 50 10 ffff ec14 0000", "0000"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.template.frame(flows(t, 1, c.inner)[0], 0, v)
			if string(got) != string(c.want) {
				t.Errorf("got  %x\nwant %x", got, c.want)
			}
		})
	}
}

// parsed is what is in a frame.
type parsed struct {
	src, dst netip.AddrPort
	vni      uint32
	srcPort  uint16 // outer
	protocol uint8
	offset   int
	more     bool
	ident    uint32
	sequence uint32
	payload  []byte // of the IP packet if it is a fragment, else of UDP or TCP
}

// parse reads a frame and checks all lengths and checksums in it.
func parse(b []byte) (p parsed, err error) {
	l3, err := parseIP(b[ethernetSize:], &p)
	if err != nil || p.protocol != unix.IPPROTO_UDP || binary.BigEndian.Uint16(l3[2:]) != vxlanPort {
		return p, errOr(err, func() error { return parseTransport(l3, &p) })
	}
	if err := parseTransport(l3, &p); err != nil {
		return p, fmt.Errorf("outer: %w", err)
	}
	srcPort, vni, inner := p.src.Port(), binary.BigEndian.Uint32(l3[udpSize+4:])>>8, l3[udpSize+vxlanSize:]
	p, err = parse(inner)
	p.srcPort, p.vni = srcPort, vni
	return p, err
}

func errOr(err error, next func() error) error {
	if err != nil {
		return err
	}
	return next()
}

func parseIP(b []byte, p *parsed) (payload []byte, err error) {
	if b[0]>>4 == 4 {
		if sum(0, b[:ipv4Size]) != 0xffff {
			return nil, fmt.Errorf("IPv4 checksum: %x", b[:ipv4Size])
		}
		if int(binary.BigEndian.Uint16(b[2:])) != len(b) {
			return nil, fmt.Errorf("IPv4 length %d of %d bytes", binary.BigEndian.Uint16(b[2:]), len(b))
		}
		flags := binary.BigEndian.Uint16(b[6:])
		p.offset, p.more, p.ident = int(flags&0x1fff)*8, flags&moreFragments != 0, uint32(binary.BigEndian.Uint16(b[4:]))
		p.protocol = b[9]
		p.src, p.dst = addrPort(b[12:16]), addrPort(b[16:20])
		return b[ipv4Size:], nil
	}
	if int(binary.BigEndian.Uint16(b[4:])) != len(b)-ipv6Size {
		return nil, fmt.Errorf("IPv6 length %d of %d bytes", binary.BigEndian.Uint16(b[4:]), len(b)-ipv6Size)
	}
	p.protocol, p.src, p.dst = b[6], addrPort(b[8:24]), addrPort(b[24:40])
	b = b[ipv6Size:]
	if p.protocol == fragmentHeader {
		flags := binary.BigEndian.Uint16(b[2:])
		p.protocol, p.offset, p.more, p.ident = b[0], int(flags&^7), flags&1 != 0, binary.BigEndian.Uint32(b[4:])
		b = b[fragmentSize:]
	}
	return b, nil
}

func addrPort(b []byte) netip.AddrPort {
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a, 0)
}

func parseTransport(b []byte, p *parsed) error {
	p.payload = b
	if p.offset > 0 || p.more {
		return nil
	}
	p.src = netip.AddrPortFrom(p.src.Addr(), binary.BigEndian.Uint16(b))
	p.dst = netip.AddrPortFrom(p.dst.Addr(), binary.BigEndian.Uint16(b[2:]))
	header, summed := tcpSize, true
	if p.protocol == unix.IPPROTO_UDP {
		header, summed = udpSize, binary.BigEndian.Uint16(b[6:]) != 0
		if int(binary.BigEndian.Uint16(b[4:])) != len(b) {
			return fmt.Errorf("UDP length %d of %d bytes", binary.BigEndian.Uint16(b[4:]), len(b))
		}
		if !summed && !p.src.Addr().Is4() {
			return fmt.Errorf("no UDP checksum over IPv6")
		}
	} else {
		p.sequence = binary.BigEndian.Uint32(b[4:])
	}
	p.payload = b[header:]
	if summed && transportSum(p.src.Addr(), p.dst.Addr(), p.protocol, b) != 0 {
		return fmt.Errorf("checksum of protocol %d: %x", p.protocol, b)
	}
	return nil
}

// each calls fn with every kind of template.
func each(t *testing.T, fn func(t *testing.T, c Config)) {
	for name, tun := range map[string]*Tunnel{"plain": nil, "outer4": tunnel(t, outer4), "outer6": tunnel(t, outer6)} {
		for inner, addrs := range map[string][2]netip.Addr{"inner4": inner4, "inner6": inner6} {
			for kind, c := range map[string]Config{
				"UDP":             {Payload: 16},
				"UDP odd":         {Payload: 1001},
				"UDP summed":      {Payload: 16, Checksum: true},
				"fragments":       {Payload: 5000},
				"fragments 64 KB": {Payload: 65000, Checksum: true},
				"TCP":             {Protocol: TCP, Payload: 1400, Sequence: 0xfffffff0, Replies: &Device{}},
			} {
				c.At, c.Tunnel, c.Flows = Device{Name: "eth0"}, tun, flows(t, 3, addrs)
				if kind != "TCP" && !addrs[0].Is4() {
					c.Checksum = true
				}
				t.Run(strings.Join([]string{name, inner, kind}, "/"), func(t *testing.T) { fn(t, c.withDefaults()) })
			}
		}
	}
}

func TestFramesAreValid(t *testing.T) {
	each(t, func(t *testing.T, c Config) {
		if err := c.validate(); err != nil {
			t.Fatal(err)
		}
		tp := newTemplate(c)
		v := variables{number: newNumber(1, 5), time: 99, ident: 77, sequence: 1234}
		var whole []byte
		for i := range tp.fragments() {
			p, err := parse(tp.frame(c.Flows[1], i, v))
			if err != nil {
				t.Fatalf("fragment %d: %v", i, err)
			}
			if c.Tunnel != nil && (p.vni != vni || p.srcPort < firstSourcePort || p.srcPort > lastSourcePort) {
				t.Errorf("VNI %d, source port %d", p.vni, p.srcPort)
			}
			if p.offset != len(whole) && tp.fragments() > 1 || p.more != (i < tp.fragments()-1) {
				t.Errorf("fragment %d: offset %d, more %v", i, p.offset, p.more)
			}
			whole = append(whole, p.payload...)
		}
		if tp.fragments() > 1 {
			p := parsed{src: netip.AddrPortFrom(c.Flows[1].Src.Addr(), 0), dst: netip.AddrPortFrom(c.Flows[1].Dst.Addr(), 0), protocol: unix.IPPROTO_UDP}
			if err := parseTransport(whole, &p); err != nil {
				t.Fatal(err)
			}
			whole = p.payload
		}
		if len(whole) != c.Payload {
			t.Errorf("payload of %d bytes, want %d", len(whole), c.Payload)
		}
		if c.Protocol == UDP {
			if number, time := readStamp(whole); number != v.number || time != v.time {
				t.Errorf("stamp %v %v", number, time)
			}
		}
	})
}

func TestSourcePortsSpread(t *testing.T) {
	ports := map[uint16]bool{}
	for _, f := range flows(t, 100, inner4) {
		ports[sourcePort(f)] = true
	}
	if len(ports) < 95 {
		t.Errorf("100 flows have %d source ports", len(ports))
	}
}
