package report

import (
	"math"
	"slices"
)

// manySamples is from how many samples on the spread leaves out the outermost tenths.
const manySamples = 10

// Spread is a median with a range around it: the lowest and the highest of fewer than ten samples, the 10th and the 90th
// percentile of more.
type Spread struct {
	Median, Low, High float64
	N                 int

	common int // of a ratio: rounds that both have, of which those in which only the reference is zero give none
}

func spreadOf(samples []float64) Spread {
	n := len(samples)
	if n == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(samples))
	s := Spread{Median: median(sorted), Low: sorted[0], High: sorted[n-1], N: n}
	if n >= manySamples {
		s.Low, s.High = rankOf(sorted, 0.1), rankOf(sorted, 0.9)
	}
	return s
}

// median is the middle of sorted samples, the mean of the two middle ones if their number is even.
func median(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return sorted[n/2-1]/2 + sorted[n/2]/2
}

// rankOf is the nearest-rank quantile of sorted samples.
func rankOf(sorted []float64, q float64) float64 {
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

func (r *Result) spread() Spread {
	var values []float64
	for _, s := range r.Samples {
		values = append(values, s.Value)
	}
	return spreadOf(values)
}
