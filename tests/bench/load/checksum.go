package load

import "encoding/binary"

// sum adds the 16-bit words of some bytes to a one's complement sum (RFC 1071).
func sum(start uint32, b []byte) uint32 {
	total := uint64(start)
	for ; len(b) >= 2; b = b[2:] {
		total += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		total += uint64(b[0]) << 8
	}
	for total > 0xffff {
		total = total&0xffff + total>>16
	}
	return uint32(total)
}

// checksum ends a sum.
func checksum(total uint32) uint16 {
	for total > 0xffff {
		total = total&0xffff + total>>16
	}
	return ^uint16(total)
}

// nonzero is how UDP sends a checksum: zero would mean that there is none (RFC 768).
func nonzero(c uint16) uint16 {
	if c == 0 {
		return 0xffff
	}
	return c
}
