package load

import "time"

// Interval is what arrived in one piece of time.
type Interval struct {
	Packets, Bytes uint64
	Lost           int64 // gaps that showed in it, less late packets that filled one: may be negative
	Reordered      uint64
	Latency        time.Duration // mean
	Worst          time.Duration // greatest latency
}

// series cuts time into intervals.
type series struct {
	start, length uint64 // ns of the monotonic clock; length 0: there is no series
	all           []Interval
	sum, timed    uint64 // latency in the last interval
}

// longestSeries ends a series that nobody stops.
const longestSeries = 1 << 17

// at is the interval of a time.
func (s *series) at(now uint64) *Interval {
	if s.length == 0 {
		return nil
	}
	index := (now - s.start) / s.length
	if index >= longestSeries {
		return nil
	}
	for uint64(len(s.all)) <= index {
		s.all = append(s.all, Interval{})
		s.sum, s.timed = 0, 0
	}
	return &s.all[len(s.all)-1]
}

// note adds a latency to the last interval.
func (s *series) note(latency uint64) {
	s.sum += latency
	s.timed++
	last := &s.all[len(s.all)-1]
	last.Worst = max(last.Worst, time.Duration(latency))
	last.Latency = time.Duration(s.sum / s.timed)
}
