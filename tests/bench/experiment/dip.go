package experiment

import (
	"slices"
	"time"

	"falcon/tests/bench/load"
	"falcon/tests/bench/report"
)

// dip is what a time series shows before, during and after a disturbance.
type dip struct {
	before, during, after phase
	recovery              time.Duration // from the end of the disturbance until the rate is back; the whole rest if it never was
	points                []report.Point
}

// phase is the mean of a piece of a series.
type phase struct {
	rate    float64       // packets received per second
	loss    float64       // share that was lost, by the gaps that showed
	latency time.Duration // mean of those received
}

// recovered is the share of the rate before at which a rate is held to be back.
const recovered = 0.95

// newDip judges a series whose load lasted from 0 to end, with a disturbance from one time to another. Intervals in which
// one of these falls belong to no phase.
func newDip(series []load.Interval, interval, from, to, end time.Duration) dip {
	last := int(end / interval)
	// A series ends with the last packet.
	series = append(slices.Clone(series), make([]load.Interval, max(0, last-len(series)))...)
	start, stop := min(int(from/interval), last), min(int(to/interval), last)
	d := dip{
		before: phaseOf(series[min(1, start):start], interval),
		during: phaseOf(series[min(start+1, stop):stop], interval),
		after:  phaseOf(series[min(stop+1, last):last], interval),
	}
	d.recovery = end - to
	for i := stop; i < last; i++ {
		if rateOf(series[i], interval) >= recovered*d.before.rate {
			d.recovery = max(0, time.Duration(i)*interval-to)
			break
		}
	}
	for i, s := range series[:last] {
		d.points = append(d.points, report.Point{T: (time.Duration(i) * interval).Seconds(), V: rateOf(s, interval) / 1e3})
	}
	return d
}

func rateOf(i load.Interval, interval time.Duration) float64 {
	return float64(i.Packets) / interval.Seconds()
}

func phaseOf(series []load.Interval, interval time.Duration) (p phase) {
	if len(series) == 0 {
		return p
	}
	var received, lost, latency float64
	for _, s := range series {
		received += float64(s.Packets)
		lost += float64(s.Lost)
		latency += float64(s.Packets) * float64(s.Latency)
	}
	p.rate = received / (time.Duration(len(series)) * interval).Seconds()
	if received == 0 {
		p.loss = 1 // no gap shows until something comes
		return p
	}
	// Packets that fill gaps of an earlier interval make it less than none.
	p.loss = max(0, lost) / (max(0, lost) + received)
	p.latency = time.Duration(latency / received)
	return p
}
