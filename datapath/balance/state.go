package balance

import "time"

// longAgo is where ages stop counting.
const longAgo = time.Hour

// state is what a decision needs of the past.
type state struct {
	bucket  [Buckets]bucket
	foreign []float64 // by core: share of what is not packets of ours
	elastic []elastic // by core
	full    []bool    // by core: packets are waiting
	scale   float64   // what the model's costs have to be multiplied by on this machine
	off     bool
}

// bucket is what is remembered of a bucket.
type bucket struct {
	want    Placement
	rate    [Stages]float64
	age     time.Duration // since want changed
	quiet   time.Duration // since it had packets
	resting time.Duration // until it is worth examining again
}

func newState(cores int) *state {
	s := &state{foreign: make([]float64, cores), elastic: make([]elastic, cores), full: make([]bool, cores), scale: 1}
	for i := range s.bucket {
		s.bucket[i].want, s.bucket[i].age = stay, longAgo
	}
	return s
}

// set makes s a copy of another state, without allocating.
func (s *state) set(from *state) {
	foreign, elastic, full := s.foreign, s.elastic, s.full
	*s = *from
	s.foreign, s.elastic, s.full = foreign, elastic, full
	copy(s.foreign, from.foreign)
	copy(s.elastic, from.elastic)
	copy(s.full, from.full)
}
