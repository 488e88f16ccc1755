package report

import (
	"fmt"
	"html"
	"math"
	"slices"
)

// logFrom is from which ratio of the greatest to the least value on an axis is logarithmic; values are dots then, since a
// bar's length would mean nothing.
const logFrom = 100

// bars draws results of one metric, grouped by parameter.
func bars(rs []Result, colours map[string]string) string {
	var groups, subjects []string
	low, high, least := 0.0, 0.0, math.Inf(1)
	for i := range rs {
		s := rs[i].spread()
		groups, subjects = append(groups, rs[i].Parameter), append(subjects, rs[i].Subject)
		low, high, least = min(low, s.Low), max(high, s.High), min(least, s.Low)
	}
	groups, subjects = distinct(groups, nil), distinct(subjects, subjectOrder)
	y := linear(low, high, bottom, top)
	if least > 0 && high/least > logFrom {
		y = logarithmic(least, high, bottom, top)
	}
	p := newPlot(rs[0].Experiment + ": " + rs[0].Metric)
	p.yAxis(y, rs[0].Metric+", "+rs[0].Unit)
	group := (right - left) / float64(len(groups))
	bar := min(group*0.8/float64(len(subjects)), 60)
	for i, name := range groups {
		p.text("middle", left+(float64(i)+0.5)*group, bottom+18+16*float64(i%2)*min(1, math.Floor(float64(len(groups))/8)), name)
	}
	for i := range rs {
		x := left + (float64(slices.Index(groups, rs[i].Parameter))+0.5)*group + (float64(slices.Index(subjects, rs[i].Subject))-float64(len(subjects)-1)/2)*bar
		p.bar(y, x, bar*0.9, rs[i].spread(), colours[rs[i].Subject], rs[i].Subject)
	}
	return p.end()
}

func (p *plot) bar(y scale, x, wide float64, s Spread, colour, subject string) {
	at := y.at(s.Median)
	hint := html.EscapeString(fmt.Sprintf("%s: %s (%s … %s)", subject, number(s.Median), number(s.Low), number(s.High)))
	if y.log {
		fmt.Fprintf(p, `<circle class="fill %s" cx="%.1f" cy="%.1f" r="5"><title>%s</title></circle>`, colour, x, at, hint)
	} else {
		zero := y.at(0)
		fmt.Fprintf(p, `<rect class="fill %s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s</title></rect>`, colour, x-wide/2, min(at, zero), wide, math.Abs(zero-at), hint)
	}
	p.line("whisker", x, y.at(s.Low), x, y.at(s.High))
}

// cdf draws distributions of one metric and parameter over a logarithmic axis.
func cdf(ds []Distribution, colours map[string]string) string {
	low, high := math.Inf(1), 0.0
	for _, d := range ds {
		for _, q := range d.Points {
			if q.Value > 0 {
				low, high = min(low, q.Value), max(high, q.Value)
			}
		}
	}
	if high == 0 {
		low, high = 1, 10
	}
	x, y := logarithmic(low, high, left, right), linear(0, 1, bottom, top)
	p := newPlot(ds[0].Experiment + ": distribution of " + ds[0].Metric)
	p.xAxis(x, ds[0].Metric+", "+ds[0].Unit+" (logarithmic)")
	p.yAxis(y, "fraction at most")
	for _, d := range ds {
		var at [][2]float64
		for _, q := range thin(d.Points, 300) {
			at = append(at, [2]float64{x.at(q.Value), y.at(q.Fraction)})
		}
		p.path(colours[d.Subject], at)
	}
	return p.end()
}

// lines draws time series of one metric and parameter.
func lines(ss []Series, colours map[string]string) string {
	var lowT, highT, lowV, highV float64
	for _, s := range ss {
		for _, q := range s.Points {
			lowT, highT, lowV, highV = min(lowT, q.T), max(highT, q.T), min(lowV, q.V), max(highV, q.V)
		}
	}
	x, y := linear(lowT, highT, left, right), linear(lowV, highV, bottom, top)
	p := newPlot(ss[0].Experiment + ": " + ss[0].Metric + " over time")
	p.xAxis(x, "time, s")
	p.yAxis(y, ss[0].Metric+", "+ss[0].Unit)
	for _, s := range ss {
		var at [][2]float64
		for _, q := range thin(s.Points, 600) {
			at = append(at, [2]float64{x.at(q.T), y.at(q.V)})
		}
		p.path(colours[s.Subject], at)
	}
	return p.end()
}
