package ipam

import (
	"errors"
	"net/netip"
)

// ErrExhausted says that no address of a range is free.
var ErrExhausted = errors.New("no free address")

// addressSet is a set of addresses.
type addressSet map[netip.Addr]struct{}

// block is a run of addresses of one family, both ends included.
type block struct{ first, last netip.Addr }

// hosts returns the addresses of part that a host may have, part being pool or a prefix within it. An IPv4
// subnet's first and last addresses are its network and its broadcast address, except in a /31 (RFC 3021)
// and a /32; an IPv6 subnet's first address is the anycast address of its routers (RFC 4291, section 2.6.1),
// except in a /127 (RFC 6164) and a /128. It returns false if nothing is left.
func hosts(pool, part netip.Prefix) (block, bool) {
	b := block{part.Addr(), lastOf(part)}
	if pool.Addr().BitLen()-pool.Bits() < 2 {
		return b, true
	}
	if b.first == pool.Addr() {
		b.first = b.first.Next()
	}
	if b.last.Is4() && b.last == lastOf(pool) {
		b.last = b.last.Prev()
	}
	return b, b.first.Compare(b.last) <= 0
}

// isHost tells whether address is one that a host of the pool may have.
func isHost(pool netip.Prefix, address netip.Addr) bool {
	b, ok := hosts(pool, pool)
	return ok && b.contains(address)
}

// lastOf returns the address of a prefix whose host bits are all ones.
func lastOf(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}

func (b block) contains(a netip.Addr) bool {
	return a.BitLen() == b.first.BitLen() && b.first.Compare(a) <= 0 && a.Compare(b.last) <= 0
}

// after returns the address that follows a in the block, seen as a ring. Of an address outside, or none at
// all, it returns the first.
func (b block) after(a netip.Addr) netip.Addr {
	if a == b.last || !b.contains(a) {
		return b.first
	}
	return a.Next()
}

// nextFree returns the first address after last that is not used, going round at the end of the block: an
// address that was just released is the last to be given again. Its cost grows with the number of addresses
// used, never with the size of the block. It returns ErrExhausted when all are used.
func nextFree(b block, used addressSet, last netip.Addr) (netip.Addr, error) {
	start := b.after(last)
	for a := start; ; {
		if _, taken := used[a]; !taken {
			return a, nil
		}
		if a = b.after(a); a == start {
			return netip.Addr{}, ErrExhausted
		}
	}
}
