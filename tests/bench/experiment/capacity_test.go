package experiment

import (
	"context"
	"math"
	"testing"
	"time"

	"falcon/tests/bench/load"
)

// receiver gets all packets up to its capacity, and of more than that only so many as of a flood.
func receiver(capacity float64) load.Trial {
	return func(_ context.Context, rate float64) (load.Outcome, error) {
		o := load.Outcome{Sent: uint64(rate), Received: uint64(min(rate, capacity)), Elapsed: time.Second}
		return o, nil
	}
}

// floodOf is a flood of which so many packets a second were handed on, and so many of these arrived.
func floodOf(handed, received uint64) udpRun {
	const length = 30 * time.Millisecond
	series := make([]load.Interval, 30)
	for i := range series {
		series[i].Packets = received / 1000
	}
	return udpRun{
		Sent:    load.Sent{Flows: []load.FlowSent{{Packets: handed * 30 / 1000}}, Elapsed: length},
		Readers: []load.Counts{{Series: series}},
		rig:     &udpRig{load: udpLoad{Interval: time.Millisecond}}, wanted: length, begins: []time.Duration{0},
	}
}

func TestLossFreeFindsCapacity(t *testing.T) {
	for name, c := range map[string]struct {
		handed, received uint64
		capacity         float64
	}{
		"the NIC's core is the bottleneck":      {300000, 300000, 290000},
		"a flood leaves the application none":   {900000, 0, 200000},
		"a flood leaves the application little": {900000, 70000, 200000},
		"more than a flood":                     {300000, 300000, 400000},
		"far less than a flood":                 {900000, 900000, 250000},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := lossFree(t.Context(), receiver(c.capacity), floodOf(c.handed, c.received), load.Search{Resolution: 0.02})
			if err != nil || math.Abs(found.Rate/c.capacity-1) > 0.03 {
				t.Errorf("found %.0f, %v, want %.0f", found.Rate, err, c.capacity)
			}
		})
	}
}

func TestLossFreeFailsWhereAllIsLost(t *testing.T) {
	if found, err := lossFree(t.Context(), receiver(0), floodOf(900000, 0), load.Search{}); err == nil {
		t.Errorf("found %.0f", found.Rate)
	}
}

func TestSteadyRateLeavesOutTheBeginning(t *testing.T) {
	run := floodOf(900000, 60000)
	for i := range 10 {
		run.Readers[0].Series[i].Packets = 1000
	}
	if got := run.steady(); got != 60000 {
		t.Errorf("got %.0f, want 60000", got)
	}
}

func TestLeastFlowRateIsOfTheSlowestSubject(t *testing.T) {
	if got, ok := (flowRates{"a": {5, 1, 9}, "b": {4, 4, 4}}).least(); !ok || got != 4 {
		t.Errorf("got %v, %v", got, ok)
	}
	if _, ok := (flowRates{}).least(); ok {
		t.Error("there is a rate of nothing")
	}
}
