package datapath

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
)

func endpointKey(vni VNI, m MAC) shortcutEndpointKey {
	return shortcutEndpointKey{Vni: uint32(vni), Mac: m}
}

// toKernel is an address as IPv6 writes it, in network order.
func toKernel(a netip.Addr) (k shortcutAddress) {
	raw := a.As16()
	for i := range k.Word {
		k.Word[i] = binary.NativeEndian.Uint32(raw[4*i:])
	}
	return k
}

func fromKernel(k shortcutAddress) netip.Addr {
	var raw [16]byte
	for i, w := range k.Word {
		binary.NativeEndian.PutUint32(raw[4*i:], w)
	}
	return netip.AddrFrom16(raw).Unmap()
}

// ip4ToKernel is an IPv4 address in network order; 0 for any other.
func ip4ToKernel(a netip.Addr) uint32 {
	if a = a.Unmap(); !a.Is4() {
		return 0
	}
	raw := a.As4()
	return binary.NativeEndian.Uint32(raw[:])
}

func networkOrder(n uint32) uint32 {
	return binary.NativeEndian.Uint32(binary.BigEndian.AppendUint32(nil, n))
}

func hostOrder(n uint32) uint32 {
	return binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, n))
}

func hostOrder16(n uint16) uint16 {
	return binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, n))
}

// mappedBits is how far an IPv4 prefix is shifted where IPv6 writes it.
const mappedBits = 96

// allowedKey is a prefix in the trie: the VNI comes before its bits.
func allowedKey(vni VNI, p netip.Prefix) shortcutAllowedKey {
	p = p.Masked()
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += mappedBits
	}
	key := shortcutAllowedKey{Vni: networkOrder(uint32(vni)), Prefix: toKernel(p.Addr())}
	key.Bits = uint32(8*unsafe.Sizeof(key.Vni)) + uint32(bits)
	return key
}

func allowedPrefix(k shortcutAllowedKey) netip.Prefix {
	a, bits := fromKernel(k.Prefix), int(k.Bits)-int(8*unsafe.Sizeof(k.Vni))
	if a.Is4() {
		bits -= mappedBits
	}
	return netip.PrefixFrom(a, bits)
}

// oneOfEach gives an endpoint's address in each family. One that has several is known to the programs by the first.
func oneOfEach(addresses []netip.Addr) (ip4 uint32, ip6 shortcutAddress) {
	for _, a := range addresses {
		switch a = a.Unmap(); {
		case a.Is4() && ip4 == 0:
			ip4 = ip4ToKernel(a)
		case a.Is6() && ip6 == shortcutAddress{}:
			ip6 = toKernel(a)
		}
	}
	return ip4, ip6
}

func addrsOf(prefixes []netip.Prefix) []netip.Addr {
	list := make([]netip.Addr, 0, len(prefixes))
	for _, p := range prefixes {
		list = append(list, p.Addr())
	}
	return list
}

// defaultTTL is that of packets that this host sends, as its VXLAN devices have it.
func defaultTTL() (uint8, error) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_default_ttl")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 8)
	if err != nil {
		return 0, fmt.Errorf("read default TTL: %w", err)
	}
	return uint8(n), nil
}

// pinAll has all maps of a collection pinned, but for the compiler's, of which each version has its own.
func pinAll(spec *ebpf.CollectionSpec) {
	for name, m := range spec.Maps {
		if !strings.HasPrefix(name, ".") {
			m.Pinning = ebpf.PinByName
		}
	}
}
