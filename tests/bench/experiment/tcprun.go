package experiment

import (
	"time"

	"falcon/tests/bench/load"
)

// tcpRun is what came of one run of a tcpRig.
type tcpRun struct {
	Sent    load.Sent
	Sinks   []load.SinkCounts
	Elapsed time.Duration
	Usage   load.Usage // of the machine's cores meanwhile
}

// Bytes is what the applications have read.
func (r tcpRun) Bytes() uint64 {
	var all uint64
	for _, s := range r.Sinks {
		all += s.Bytes()
	}
	return all
}

// Gbits is gigabits per second.
func (r tcpRun) Gbits() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Bytes()) * 8 / r.Elapsed.Seconds() / 1e9
}

// Busy is the share of the time, in percent, in which a core worked.
func (r tcpRun) Busy(core int) float64 {
	c := r.Usage.Cores[core]
	if c.Total() <= 0 {
		return 0
	}
	return 100 * c.Busy().Seconds() / c.Total().Seconds()
}
