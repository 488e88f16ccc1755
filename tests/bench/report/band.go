package report

import (
	"math"
	"slices"
	"sort"
)

// bandPoint is a value with its spread over the rounds, somewhere on a curve.
type bandPoint struct {
	at float64
	Spread
}

// byFraction merges the rounds' distributions: at every fraction the spread of the rounds' quantiles. Fractions go up to so
// many nines, evenly on that scale but for its beginning, where values rise steeply.
func byFraction(ds []Distribution, most float64) []bandPoint {
	const steps = 52
	var points []bandPoint
	places := []float64{0, 0.01, 0.03}
	for i := range steps {
		places = append(places, most*float64(i+1)/steps)
	}
	for _, n := range places {
		var values []float64
		for _, d := range ds {
			values = append(values, d.quantile(1-math.Pow(10, -n)))
		}
		points = append(points, bandPoint{n, spreadOf(values)})
	}
	return points
}

// quantile is the lowest value that at least the fraction of all does not exceed.
func (d *Distribution) quantile(fraction float64) float64 {
	i := sort.Search(len(d.Points), func(i int) bool { return d.Points[i].Fraction >= fraction-1e-9 })
	return d.Points[min(i, len(d.Points)-1)].Value
}

// nines is how far the distribution's tail is known: to the last fraction below 1, four nines at most.
func (d *Distribution) nines() float64 {
	most := 1.0
	for _, q := range d.Points {
		if q.Fraction < 1 {
			most = max(most, min(nines(q.Fraction), 4))
		}
	}
	return most
}

// byTime merges the rounds' series: each round's mean in a slice of time, then the spread of the rounds.
func byTime(ss []Series, slice float64) []bandPoint {
	rounds := make([]map[int]float64, len(ss))
	seen := map[int]bool{}
	for i, s := range ss {
		sums, counts := map[int]float64{}, map[int]float64{}
		for _, q := range s.Points {
			k := int(math.Floor(q.T/slice + 1e-9))
			sums[k] += q.V
			counts[k]++
			seen[k] = true
		}
		rounds[i] = sums
		for k := range sums {
			sums[k] /= counts[k]
		}
	}
	var points []bandPoint
	for k := range seen {
		var values []float64
		for _, means := range rounds {
			if v, ok := means[k]; ok {
				values = append(values, v)
			}
		}
		points = append(points, bandPoint{(float64(k) + 0.5) * slice, spreadOf(values)})
	}
	slices.SortFunc(points, func(a, b bandPoint) int {
		if a.at < b.at {
			return -1
		}
		return 1
	})
	return points
}

// band draws the median as a line on its spread; place maps a point's place and a value to pixels.
func (p *plot) band(class string, points []bandPoint, place func(at, value float64) [2]float64) {
	var line, area, back [][2]float64
	for i, q := range points {
		line = append(line, place(q.at, q.Median))
		if q.N > 1 && (i%2 == 0 || i == len(points)-1) { // a rough edge will do, and takes less of the page
			area, back = append(area, place(q.at, q.Low)), append(back, place(q.at, q.High))
		}
	}
	if len(area) > 1 {
		slices.Reverse(back)
		p.area("band "+class, append(area, back...))
	}
	p.path("curve "+class, line)
}
