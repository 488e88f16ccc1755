package experiment

import (
	"testing"
	"time"

	"falcon/tests/bench/load"
)

// seriesOf has intervals with so many packets each, at as many ns; what is missing to 100 was lost.
func seriesOf(packets ...uint64) []load.Interval {
	var all []load.Interval
	for _, n := range packets {
		all = append(all, load.Interval{Packets: n, Lost: int64(100 - n), Latency: time.Duration(n)})
	}
	return all
}

func TestDip(t *testing.T) {
	const interval = 100 * time.Millisecond
	for name, c := range map[string]struct {
		series                []load.Interval
		before, during, after float64
		loss                  float64
		recovery              time.Duration
	}{
		// The disturbance lasts from 310 to 610 ms: the fourth and the seventh interval belong to no phase.
		"none":       {seriesOf(100, 100, 100, 100, 100, 100, 100, 100, 100), 1000, 1000, 1000, 0, 0},
		"dip":        {seriesOf(100, 100, 100, 80, 50, 50, 60, 100, 100), 1000, 500, 1000, 0.5, 90 * time.Millisecond},
		"slow":       {seriesOf(100, 100, 100, 80, 50, 50, 60, 90, 100), 1000, 500, 950, 0.5, 190 * time.Millisecond},
		"for good":   {seriesOf(100, 100, 100, 80, 50, 50, 60, 60, 60), 1000, 500, 600, 0.5, 290 * time.Millisecond},
		"nothing":    {seriesOf(100, 100, 100, 0, 0, 0, 0, 0, 100), 1000, 0, 500, 1, 190 * time.Millisecond},
		"cut short":  {seriesOf(100, 100, 100), 1000, 0, 0, 1, 290 * time.Millisecond},
		"no packets": {nil, 0, 0, 0, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDip(c.series, interval, 310*time.Millisecond, 610*time.Millisecond, 900*time.Millisecond)
			if d.before.rate != c.before || d.during.rate != c.during || d.after.rate != c.after {
				t.Errorf("rates %v, %v, %v, want %v, %v, %v", d.before.rate, d.during.rate, d.after.rate, c.before, c.during, c.after)
			}
			if d.during.loss != c.loss || d.recovery != c.recovery {
				t.Errorf("loss %v, recovery %v, want %v, %v", d.during.loss, d.recovery, c.loss, c.recovery)
			}
		})
	}
}

func TestPhaseWeighsLatencyByPackets(t *testing.T) {
	if got := phaseOf(seriesOf(100, 0, 50), time.Second).latency; got != 83 {
		t.Errorf("latency %v, want (100*100 + 50*50) / 150 ns", got)
	}
}
