package report

import "math"

// cdf draws distributions of one metric and parameter. Both axes are logarithmic, towards the tail.
func cdf(title string, ds []Distribution, colours palette) chart {
	p := newPlot(narrow)
	p.bottom = tall - 38
	most, by := 0.0, runs(ds, func(d Distribution) string { return d.Subject })
	for i := range ds {
		most = max(most, ds[i].nines())
	}
	var v valueRange
	merged := make([][]bandPoint, len(by))
	for i, rounds := range by {
		merged[i] = byFraction(rounds, most)
		for _, q := range merged[i] {
			v.see(q.Low, q.High)
		}
	}
	if math.IsInf(v.positive, 1) {
		v.positive, v.high = 1, 10
	}
	x, y := logarithmic(v.positive, v.high, p.left, p.right), scale{0, most, p.bottom, p.top, false}
	p.xAxis(x, x.ticks(), ds[0].Metric+", "+ds[0].Unit+" (logarithmic)")
	p.yAxis(y, ninesTicks(most), "")
	for i, points := range merged {
		p.band(colours.classes[by[i][0].Subject], points, func(at, value float64) [2]float64 { return [2]float64{x.at(value), y.at(at)} })
	}
	return p.finish(title)
}

// timeline draws time series of one metric and parameter.
func timeline(title string, ss []Series, colours palette) chart {
	p := newPlot(narrow)
	p.bottom = tall - 38
	var t, v valueRange
	for _, s := range ss {
		for _, q := range s.Points {
			t.see(q.T)
		}
	}
	by := runs(ss, func(s Series) string { return s.Subject })
	merged := make([][]bandPoint, len(by))
	for i, rounds := range by {
		merged[i] = byTime(rounds, slice(rounds, t.high-t.low))
		for _, q := range merged[i] {
			v.see(q.Low, q.High)
		}
	}
	x, y := scale{min(t.low, 0), max(t.high, t.low+1e-9), p.left, p.right, false}, linear(v.low, v.high, p.bottom, p.top)
	p.xAxis(x, x.ticks(), "time, s")
	p.yAxis(y, y.ticks(), ss[0].Unit)
	for i, points := range merged {
		p.band(colours.classes[by[i][0].Subject], points, func(at, value float64) [2]float64 { return [2]float64{x.at(at), y.at(value)} })
	}
	return p.finish(title)
}

// slice is the time that one point of a line stands for: no less than the time between two samples, 150 a line at most.
func slice(rounds []Series, whole float64) float64 {
	between := 0.0
	for _, s := range rounds {
		if n := len(s.Points); n > 1 {
			between = max(between, (s.Points[n-1].T-s.Points[0].T)/float64(n-1))
		}
	}
	return max(between, whole/150, 1e-9)
}

// byCurve is a key without what tells one curve of a chart from another.
func byCurve(k Key) Key {
	k.Subject, k.HigherIsBetter = "", false
	return k
}

func (d *document) timelines(experiment string, colours palette) []chart {
	var all []chart
	for _, ss := range runs(d.Series, func(s Series) Key { return byCurve(s.Key) }) {
		if k := ss[0].Key; k.Experiment == experiment {
			all = append(all, timeline(k.Metric+" over time, "+k.Unit+" "+meaning(k.HigherIsBetter)+": "+k.Parameter, ss, colours))
		}
	}
	return all
}

func (d *document) cdfs(experiment string, colours palette) []chart {
	var all []chart
	for _, ds := range runs(d.Distributions, func(c Distribution) Key { return byCurve(c.Key) }) {
		if k := ds[0].Key; k.Experiment == experiment {
			all = append(all, cdf("distribution of "+k.Metric+" "+meaning(k.HigherIsBetter)+": "+k.Parameter, ds, colours))
		}
	}
	return all
}
