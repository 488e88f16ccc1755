package balance

import "time"

// longAgo is where ages stop counting.
const longAgo = time.Hour

// state is what a decision needs of the past.
type state struct {
	bucket  [Buckets]bucket
	foreign []float64 // by core: share of what is not packets of ours; negative: not known
	elastic []elastic // by core
	arrives []float64 // by core: packets per second that its NIC receives, when that was seen last; 0: not known
	scale   float64   // what the model's costs have to be multiplied by on this machine
	off     bool
}

// bucket is what is remembered of a bucket.
type bucket struct {
	want    Placement
	rate    [Stages]float64
	age     time.Duration // since want changed
	hold    time.Duration // how long it has to stay where it is
	quiet   time.Duration // since it had packets
	resting time.Duration // until it is worth examining again
}

func newState(cores int) *state {
	s := &state{foreign: make([]float64, cores), elastic: make([]elastic, cores), arrives: make([]float64, cores), scale: 1}
	for i := range s.foreign {
		s.foreign[i] = -1
	}
	for i := range s.bucket {
		s.bucket[i] = bucket{want: stay, age: longAgo}
	}
	return s
}

// set makes s a copy of another state, without allocating.
func (s *state) set(from *state) {
	foreign, elastic, arrives := s.foreign, s.elastic, s.arrives
	*s = *from
	s.foreign, s.elastic, s.arrives = foreign, elastic, arrives
	copy(s.foreign, from.foreign)
	copy(s.elastic, from.elastic)
	copy(s.arrives, from.arrives)
}
