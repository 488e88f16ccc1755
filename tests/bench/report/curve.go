package report

import "fmt"

// Quantile is one point of a cumulative distribution: this fraction of all values is at most Value.
type Quantile struct {
	Value    float64 `json:"value"`
	Fraction float64 `json:"fraction"`
}

// Distribution is a cumulative distribution, by ascending value.
type Distribution struct {
	Key
	Points []Quantile `json:"points"`
}

// Point is a value at a time since the beginning of a series.
type Point struct {
	T float64 `json:"t"` // seconds
	V float64 `json:"v"`
}

// Series is a value over time.
type Series struct {
	Key
	Points []Point `json:"points"`
}

// AddDistribution notes a cumulative distribution; one key may have several, one for each round.
func (r *Report) AddDistribution(key Key, points []Quantile) {
	d := Distribution{Key: key}
	for _, p := range points {
		if !finite(p.Value) || !(p.Fraction >= 0 && p.Fraction <= 1) {
			r.Fail(key.Experiment, fmt.Errorf("add distribution of %s, %s, %s: no such point: %v", key.Subject, key.Parameter, key.Metric, p))
			return
		}
		d.Points = append(d.Points, p)
	}
	if len(d.Points) == 0 {
		r.Fail(key.Experiment, fmt.Errorf("add distribution of %s, %s, %s: it is empty", key.Subject, key.Parameter, key.Metric))
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.curves = append(r.curves, d)
}

// AddSeries notes a time series; one key may have several, one for each round.
func (r *Report) AddSeries(key Key, points []Point) {
	s := Series{Key: key}
	for _, p := range points {
		if !finite(p.T) || !finite(p.V) {
			r.Fail(key.Experiment, fmt.Errorf("add series of %s, %s, %s: no such point: %v", key.Subject, key.Parameter, key.Metric, p))
			return
		}
		s.Points = append(s.Points, p)
	}
	if len(s.Points) == 0 {
		r.Fail(key.Experiment, fmt.Errorf("add series of %s, %s, %s: it is empty", key.Subject, key.Parameter, key.Metric))
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.series = append(r.series, s)
}
