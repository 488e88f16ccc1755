package balance

import (
	"encoding/binary"
	"math"
	"testing"
	"time"
)

// source makes values out of the fuzzer's bytes, sensible ones and others.
type source struct{ bytes []byte }

func (s *source) byte() byte {
	if len(s.bytes) == 0 {
		return 0
	}
	b := s.bytes[0]
	s.bytes = s.bytes[1:]
	return b
}

func (s *source) below(n int) int { return int(s.byte()) % n }

// float is mostly a share of most, sometimes any float64.
func (s *source) float(most float64) float64 {
	if s.byte() < 250 {
		return most * float64(s.byte()) / 255
	}
	var b [8]byte
	for i := range b {
		b[i] = s.byte()
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b[:]))
}

// index is mostly below n, sometimes not.
func (s *source) index(n int) int {
	if s.byte() < 250 {
		return s.below(n)
	}
	return int(int8(s.byte())) * 300
}

func (s *source) machine() Machine {
	m := cores(1 + s.below(12))
	for i := range m.Cores {
		c := &m.Cores[i]
		c.Allowed, c.Node = s.byte() < 200, s.below(2)
		if sibling := i ^ 1; s.byte() < 100 && sibling < len(m.Cores) {
			c.Sibling = []int{sibling}
		}
	}
	return m
}

func (s *source) placement(n int) Placement {
	return Placement{int16(s.index(n+1) - 1), int16(s.index(n+1) - 1)}
}

func (s *source) input(n int) Input {
	in := Input{Interval: time.Duration(s.float(float64(20 * time.Millisecond))), Cores: make([]CoreLoad, n)}
	for i := range in.Cores {
		in.Cores[i] = CoreLoad{Busy: s.float(1.1), Softirq: s.float(1), Backlog: s.index(1000), Drops: uint64(s.float(1000))}
	}
	for range s.below(12) {
		f := Flow{Bucket: s.index(40), NIC: s.index(n), Current: s.placement(n), Since: time.Duration(s.float(float64(time.Second))),
			Free: Freedom(s.below(3))}
		for stage := range f.Rate {
			f.Rate[stage] = s.float(800e3)
		}
		in.Flows = append(in.Flows, f)
	}
	return in
}

// FuzzPlan: whatever is measured, the plan can be published, and measurements that make sense are understood afterwards.
func FuzzPlan(f *testing.F) {
	for seed := range 64 {
		bytes := make([]byte, 1000)
		for i := range bytes {
			bytes[i] = byte(mix(seed, i%Stages, i))
		}
		f.Add(bytes)
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		s := &source{bytes}
		m := s.machine()
		h := newHost(t, m, elephant(0, 800e3))
		for range s.below(4) {
			h.balancer.Adopt(s.below(Buckets), s.placement(len(m.Cores)))
		}
		for ticks := 0; ticks < 40 && len(s.bytes) > 0; ticks++ { // more would only be slow
			h.check(h.balancer.Next(s.input(len(m.Cores))))
		}
		for range 20 {
			h.check(h.tick())
		}
	})
}
