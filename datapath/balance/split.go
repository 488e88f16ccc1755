package balance

import "time"

// SplitFlow is what one bucket of TCP flows did in the last interval.
type SplitFlow struct {
	Bucket int
	From   int     // core where the frames come in
	Rate   float64 // frames per second
}

// Splitter decides whose first stage is split: the core where frames come in leaves all but the driver's work to another
// one. What that is worth cannot be told beforehand, so it is tried and measured: TCP sends what it finds room for, so a
// flow that gains from it comes faster. One that does not is taken back and left alone for a while, the longer the
// more often it was tried in vain. Like a Balancer it is pure, and allocates nothing after NewSplitter.
type Splitter struct {
	machine Machine
	allowed []int16
	full    []time.Duration // by core: for how long it has been full
	frames  []float64       // how many of these flows came in while it was
	idle    []time.Duration // and for how long it has had room
	trial   []trial         // by core where frames come in
	bucket  []splitBucket
	want    []int16
}

// trial is a split that has to show its worth.
type trial struct {
	bucket int // -1: none
	age    time.Duration
	before float64 // frames per second of the core, before it
	after  float64 // and summed over the time of judgement, times seconds
}

type splitBucket struct {
	rate   float64       // smoothed
	quiet  time.Duration // without frames
	banned time.Duration
	vain   int // trials
}

const (
	splitFull   = 200 * time.Millisecond // how long a core has to be full before anything is tried
	splitSettle = 50 * time.Millisecond  // what TCP needs to find the new rate, and the flow to migrate
	splitJudge  = 200 * time.Millisecond
	// splitWorth is what a trial has to bring: more than the noise of two measurements of that length.
	splitWorth  = 1.05
	splitBan    = 5 * time.Second // after the first trial in vain
	splitMost   = 5 * time.Minute
	splitReturn = 0.3         // load of the core where frames come in at which a split is no longer needed
	splitCalm   = time.Second // for how long
	smoothSplit = 0.2         // per tick
	leastSplit  = 20_000      // frames per second below which a flow fills no core
	splitPacket = 0.5         // share of a full core's time that must be packets'
	// splitCost is what a frame costs the core that it is handed to, in seconds: a packet is made of it, its checksum summed, and
	// merged, all with data that another core's cache may have. Measured in the lab: 0.7 us for frames of 600 bytes, 1.4 for 1400.
	splitCost = 1e-6
)

// NewSplitter makes one for a machine.
func NewSplitter(m Machine) (*Splitter, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	n := len(m.Cores)
	s := &Splitter{
		machine: m, allowed: m.allowed(), full: make([]time.Duration, n), frames: make([]float64, n), idle: make([]time.Duration, n),
		trial: make([]trial, n), bucket: make([]splitBucket, Buckets), want: make([]int16, Buckets),
	}
	for i := range s.trial {
		s.trial[i].bucket = -1
	}
	for i := range s.want {
		s.want[i] = Inline
	}
	return s, nil
}

// Adopt tells where a bucket's first stage runs already.
func (s *Splitter) Adopt(number int, first int16) {
	s.bucket[number], s.want[number] = splitBucket{}, first
}

// Next decides on a tick's measurement: by bucket, the core for the first stage, or Inline. The result is the Splitter's own and
// valid until the next call.
func (s *Splitter) Next(interval time.Duration, cores []CoreLoad, flows []SplitFlow) []int16 {
	if len(cores) != len(s.machine.Cores) {
		return s.want
	}
	s.observe(interval, cores, flows)
	for core := range cores {
		switch {
		case s.trial[core].bucket >= 0:
			s.judge(core, interval, flows)
		case s.full[core] >= splitFull:
			s.try(core, cores, flows)
		case s.idle[core] >= splitCalm:
			s.giveBack(core, flows)
		}
	}
	return s.want
}

func (s *Splitter) observe(interval time.Duration, cores []CoreLoad, flows []SplitFlow) {
	for i := range s.bucket {
		b := &s.bucket[i]
		b.banned = max(0, b.banned-interval)
		b.quiet += interval
		if b.quiet > splitCalm {
			s.want[i], b.rate = Inline, 0 // whatever comes next is another flow
		}
	}
	for _, f := range flows {
		b := &s.bucket[f.Bucket]
		b.rate += smoothSplit * (f.Rate - b.rate)
		b.quiet = 0
		s.frames[f.From] += f.Rate * interval.Seconds()
	}
	for i, c := range cores {
		s.full[i] += interval
		s.idle[i] += interval
		if c.Drops == 0 && (c.Busy < fullBusy || c.Softirq < splitPacket) {
			s.full[i], s.frames[i] = 0, 0
		}
		if c.Busy > splitReturn {
			s.idle[i] = 0
		}
	}
}

// try splits the largest flow of a core that is not split, if another core has room.
func (s *Splitter) try(core int, cores []CoreLoad, flows []SplitFlow) {
	largest := -1
	for _, f := range flows {
		if f.From != core {
			continue
		}
		b := &s.bucket[f.Bucket]
		if s.want[f.Bucket] == Inline && b.banned == 0 && b.rate >= leastSplit && (largest < 0 || b.rate > s.bucket[largest].rate) {
			largest = f.Bucket
		}
	}
	if largest < 0 {
		return
	}
	to := s.emptiest(core, cores)
	if to == Inline || cores[to].Busy+s.bucket[largest].rate*splitCost > 1 {
		return
	}
	s.want[largest] = to
	s.trial[core] = trial{bucket: largest, before: s.frames[core] / s.full[core].Seconds()}
}

// emptiest is the allowed core with the least load; Inline if there is none.
func (s *Splitter) emptiest(but int, cores []CoreLoad) int16 {
	best := int16(Inline)
	for _, c := range s.allowed {
		if int(c) == but || cores[c].Drops > 0 {
			continue
		}
		if best == Inline || cores[c].Busy < cores[best].Busy {
			best = c
		}
	}
	return best
}

func (s *Splitter) judge(core int, interval time.Duration, flows []SplitFlow) {
	t := &s.trial[core]
	t.age += interval
	if t.age <= splitSettle {
		return
	}
	for _, f := range flows {
		if f.From == core {
			t.after += f.Rate * interval.Seconds()
		}
	}
	if t.age < splitSettle+splitJudge {
		return
	}
	b := &s.bucket[t.bucket]
	if t.after/(t.age-splitSettle).Seconds() < splitWorth*t.before {
		s.want[t.bucket] = Inline
		b.banned = min(splitBan<<b.vain, splitMost)
		b.vain = min(b.vain+1, 8)
	} else {
		b.vain = 0
	}
	t.bucket = -1
	s.full[core], s.frames[core] = 0, 0
}

// giveBack ends the smallest of a core's splits, which it has room for again.
func (s *Splitter) giveBack(core int, flows []SplitFlow) {
	smallest := -1
	for _, f := range flows {
		if f.From == core && s.want[f.Bucket] != Inline && (smallest < 0 || s.bucket[f.Bucket].rate < s.bucket[smallest].rate) {
			smallest = f.Bucket
		}
	}
	if smallest >= 0 {
		s.want[smallest] = Inline
		s.idle[core] = 0
	}
}
