package datapath

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math/bits"
	"strconv"
	"strings"
)

// CPUSet is a set of CPU numbers. It is a value that never changes: equal sets are == and may be keys of a map.
type CPUSet struct {
	bits string // CPU n is bit n%8 of byte n/8; the last byte is not 0, so that equal sets are equal strings
}

// maxCPUs is the most that a kernel can be built for (MAXSMP of x86). It bounds what a mistyped range costs.
const maxCPUs = 8192

// NewCPUSet gives the set of these CPUs. Numbers that no CPU can have are left out.
func NewCPUSet(cpus ...int) CPUSet {
	var b cpuBits
	for _, cpu := range cpus {
		if cpu >= 0 && cpu < maxCPUs {
			b.add(cpu)
		}
	}
	return b.set()
}

// cpuBits is a CPUSet in the making.
type cpuBits []byte

func (b *cpuBits) add(cpu int) {
	for cpu/8 >= len(*b) {
		*b = append(*b, 0)
	}
	(*b)[cpu/8] |= 1 << (cpu % 8)
}

func (b cpuBits) set() CPUSet { return CPUSet{strings.TrimRight(string(b), "\x00")} }

// ParseCPUList reads numbers and ranges, as in 0-3,7. An empty list is the empty set. The kernel's list format has
// strides too (0-31:2/4); they are refused, as no file of the kernel has them and hardly a user knows them.
func ParseCPUList(s string) (CPUSet, error) {
	var b cpuBits
	list := strings.TrimSpace(s)
	if list == "" {
		return CPUSet{}, nil
	}
	for item := range strings.SplitSeq(list, ",") {
		first, last, ok := parseCPURange(item)
		if !ok {
			return CPUSet{}, fmt.Errorf("parse CPU list %q: %q is neither a number nor an ascending range; "+
				"allowed are lists such as 2-7,10 of numbers from 0 to %d", list, item, maxCPUs-1)
		}
		for cpu := first; cpu <= last; cpu++ {
			b.add(cpu)
		}
	}
	return b.set(), nil
}

// parseCPURange reads N or N-M.
func parseCPURange(s string) (first, last int, ok bool) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	first, okFirst := parseCPU(from)
	last, okLast := parseCPU(to)
	return first, last, okFirst && okLast && first <= last
}

func parseCPU(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil && n < maxCPUs
}

// parseCPUMask reads the kernel's mask format: hexadecimal groups of 32 bits, the highest CPUs first.
func parseCPUMask(s string) (CPUSet, error) {
	groups := strings.Split(strings.TrimSpace(s), ",")
	if len(groups) > maxCPUs/32 {
		return CPUSet{}, fmt.Errorf("parse CPU mask: %d groups", len(groups))
	}
	b := make(cpuBits, 4*len(groups))
	for i, group := range groups {
		n, err := strconv.ParseUint(group, 16, 32)
		if err != nil {
			return CPUSet{}, fmt.Errorf("parse CPU mask %q: %w", s, err)
		}
		binary.LittleEndian.PutUint32(b[4*(len(groups)-1-i):], uint32(n))
	}
	return b.set(), nil
}

// Mask is the set in the kernel's mask format. It has no more groups than it needs: the kernel refuses groups
// beyond its own number of CPUs (EOVERFLOW), even if they are 0.
func (s CPUSet) Mask() string {
	words := make([]byte, max(4, (len(s.bits)+3)/4*4))
	copy(words, s.bits)
	var b strings.Builder
	for i := len(words) - 4; i >= 0; i -= 4 {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%08x", binary.LittleEndian.Uint32(words[i:]))
	}
	return b.String()
}

// String is the set in the kernel's list format, as ParseCPUList reads it.
func (s CPUSet) String() string {
	var b []byte
	first, last := -1, -1
	flush := func() {
		switch {
		case first < 0:
			return
		case len(b) > 0:
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(first), 10)
		if last > first {
			b = strconv.AppendInt(append(b, '-'), int64(last), 10)
		}
	}
	for cpu := range s.All() {
		if first < 0 || cpu != last+1 {
			flush()
			first = cpu
		}
		last = cpu
	}
	flush()
	return string(b)
}

// All yields the CPUs in ascending order.
func (s CPUSet) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range len(s.bits) {
			for b := s.bits[i]; b != 0; b &= b - 1 {
				if !yield(8*i + bits.TrailingZeros8(b)) {
					return
				}
			}
		}
	}
}

// Len is the number of CPUs.
func (s CPUSet) Len() int {
	n := 0
	for i := range len(s.bits) {
		n += bits.OnesCount8(s.bits[i])
	}
	return n
}

// IsEmpty tells whether there is no CPU in the set.
func (s CPUSet) IsEmpty() bool { return s.bits == "" }

// Contains tells whether cpu is in the set.
func (s CPUSet) Contains(cpu int) bool {
	return cpu >= 0 && cpu/8 < len(s.bits) && s.bits[cpu/8]>>(cpu%8)&1 == 1
}

// Union is what is in either set.
func (s CPUSet) Union(o CPUSet) CPUSet { return s.combine(o, func(a, b byte) byte { return a | b }) }

// Intersect is what is in both sets.
func (s CPUSet) Intersect(o CPUSet) CPUSet {
	return s.combine(o, func(a, b byte) byte { return a & b })
}

// Minus is what is in s and not in o.
func (s CPUSet) Minus(o CPUSet) CPUSet { return s.combine(o, func(a, b byte) byte { return a &^ b }) }

func (s CPUSet) combine(o CPUSet, f func(a, b byte) byte) CPUSet {
	b := make(cpuBits, max(len(s.bits), len(o.bits)))
	copy(b, s.bits)
	for i := range b {
		other := byte(0)
		if i < len(o.bits) {
			other = o.bits[i]
		}
		b[i] = f(b[i], other)
	}
	return b.set()
}
