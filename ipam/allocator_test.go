package ipam

import (
	"errors"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func TestHosts(t *testing.T) {
	for _, tt := range []struct {
		pool, part, first, last string // first "" where no address is left
	}{
		{"10.1.0.0/24", "10.1.0.0/24", "10.1.0.1", "10.1.0.254"},
		{"10.1.0.0/24", "10.1.0.0/25", "10.1.0.1", "10.1.0.127"},
		{"10.1.0.0/24", "10.1.0.128/25", "10.1.0.128", "10.1.0.254"},
		{"10.1.0.0/24", "10.1.0.64/26", "10.1.0.64", "10.1.0.127"},
		{"10.1.0.0/24", "10.1.0.0/32", "", ""},
		{"10.1.0.0/24", "10.1.0.255/32", "", ""},
		{"10.1.0.0/24", "10.1.0.254/31", "10.1.0.254", "10.1.0.254"},
		{"10.1.0.0/30", "10.1.0.0/30", "10.1.0.1", "10.1.0.2"},
		{"10.1.0.0/31", "10.1.0.0/31", "10.1.0.0", "10.1.0.1"},
		{"10.1.0.0/32", "10.1.0.0/32", "10.1.0.0", "10.1.0.0"},
		{"10.0.0.0/8", "10.0.0.0/8", "10.0.0.1", "10.255.255.254"},
		{"fd00::/64", "fd00::/64", "fd00::1", "fd00::ffff:ffff:ffff:ffff"},
		{"fd00::/64", "fd00::8000:0/97", "fd00::8000:0", "fd00::ffff:ffff"},
		{"fd00::/126", "fd00::/126", "fd00::1", "fd00::3"},
		{"fd00::/127", "fd00::/127", "fd00::", "fd00::1"},
		{"fd00::/128", "fd00::/128", "fd00::", "fd00::"},
		{"8000::/1", "8000::/1", "8000::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	} {
		b, ok := hosts(prefix(tt.pool), prefix(tt.part))
		switch {
		case ok != (tt.first != ""):
			t.Errorf("hosts(%s, %s): ok is %v", tt.pool, tt.part, ok)
		case ok && b != block{addr(tt.first), addr(tt.last)}:
			t.Errorf("hosts(%s, %s) = %v, want %s to %s", tt.pool, tt.part, b, tt.first, tt.last)
		}
	}
}

func TestNextFree(t *testing.T) {
	set := func(addresses ...string) addressSet {
		s := addressSet{}
		for _, a := range addresses {
			s[addr(a)] = struct{}{}
		}
		return s
	}
	for _, tt := range []struct {
		name string
		used addressSet
		last string
		want string // "" for ErrExhausted
	}{
		{"first of all", set(), "", "10.1.0.1"},
		{"next", set("10.1.0.1"), "10.1.0.1", "10.1.0.2"},
		{"just released", set(), "10.1.0.1", "10.1.0.2"},
		{"over the used", set("10.1.0.2", "10.1.0.3"), "10.1.0.1", "10.1.0.4"},
		{"round the end", set("10.1.0.1", "10.1.0.6"), "10.1.0.5", "10.1.0.2"},
		{"last of the block", set(), "10.1.0.6", "10.1.0.1"},
		{"last is outside", set(), "10.9.0.6", "10.1.0.1"},
		{"last is of the other family", set(), "fd00::6", "10.1.0.1"},
		{"only the last given is free", set("10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.5", "10.1.0.6"), "10.1.0.4", "10.1.0.4"},
		{"full", set("10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6"), "10.1.0.4", ""},
	} {
		b, _ := hosts(prefix("10.1.0.0/29"), prefix("10.1.0.0/29"))
		var last netip.Addr
		if tt.last != "" {
			last = addr(tt.last)
		}
		got, err := nextFree(b, tt.used, last)
		switch {
		case tt.want == "" && !errors.Is(err, ErrExhausted):
			t.Errorf("%s: got %v, %v, want ErrExhausted", tt.name, got, err)
		case tt.want != "" && (err != nil || got != addr(tt.want)):
			t.Errorf("%s: got %v, %v, want %s", tt.name, got, err, tt.want)
		}
	}
}

// drawPool draws a pool of at most 2^6 addresses, or a huge one, and a part of it.
func drawPool(t *rapid.T) (pool, part netip.Prefix) {
	var base netip.Addr
	if rapid.Bool().Draw(t, "v6") {
		base = netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "base")))
	} else {
		base = netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "base")))
	}
	size := rapid.OneOf(rapid.IntRange(0, 6), rapid.IntRange(7, base.BitLen()-1)).Draw(t, "size")
	pool = netip.PrefixFrom(base, base.BitLen()-size).Masked()
	part = netip.PrefixFrom(base, rapid.IntRange(pool.Bits(), base.BitLen()).Draw(t, "bits")).Masked()
	return pool, part
}

// isReserved is a second opinion on which addresses of a pool no host may have.
func isReserved(pool netip.Prefix, a netip.Addr) bool {
	hostBits := pool.Addr().BitLen() - pool.Bits()
	if hostBits <= 1 {
		return false
	}
	network := a == pool.Addr()
	broadcast := a.Is4() && !pool.Contains(a.Next())
	return network || broadcast
}

func TestNextFreeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool, part := drawPool(t)
		used := addressSet{}
		a := part.Addr()
		for range rapid.IntRange(0, 70).Draw(t, "run") { // a run of used ones at the start, with gaps
			if part.Contains(a) && rapid.IntRange(0, 9).Draw(t, "gap") > 0 {
				used[a] = struct{}{}
			}
			a = a.Next()
		}
		last := rapid.SampledFrom([]netip.Addr{{}, part.Addr(), a, lastOf(part), lastOf(pool)}).Draw(t, "last")

		b, ok := hosts(pool, part)
		var got netip.Addr
		err := ErrExhausted
		if ok {
			got, err = nextFree(b, used, last)
		}
		if err != nil {
			for a, n := part.Addr(), 0; part.Contains(a); a, n = a.Next(), n+1 {
				if _, taken := used[a]; !taken && !isReserved(pool, a) {
					t.Fatalf("pool %s part %s: %v, but %s is free", pool, part, err, a)
				}
				if n > len(used)+2 {
					t.Fatalf("pool %s part %s: %v with %d used", pool, part, err, len(used))
				}
			}
			return
		}
		if _, taken := used[got]; taken || !part.Contains(got) || isReserved(pool, got) {
			t.Fatalf("pool %s part %s: got %s", pool, part, got)
		}
		for skipped := b.after(last); skipped != got; skipped = b.after(skipped) {
			if _, taken := used[skipped]; !taken {
				t.Fatalf("pool %s part %s last %s: got %s, but %s comes first", pool, part, last, got, skipped)
			}
		}
	})
}

func BenchmarkNextFree(b *testing.B) {
	pool := prefix("fd00::/64")
	hostsOf, _ := hosts(pool, pool)
	used := addressSet{}
	var last netip.Addr
	for range 1000 {
		last, _ = nextFree(hostsOf, used, last)
		used[last] = struct{}{}
	}
	for b.Loop() {
		if _, err := nextFree(hostsOf, used, last); err != nil {
			b.Fatal(err)
		}
	}
}
