package report

import (
	"cmp"
	"fmt"
	"html"
	"maps"
	"slices"
)

// trend draws the results of a family over its numbers.
func trend(title string, rs []Result, colours palette) chart {
	p := newPlot(narrow)
	p.bottom = tall - 38
	var xs, ys valueRange
	at := map[float64]bool{}
	for i := range rs {
		n, s := rs[i].step(), rs[i].spread()
		xs.see(n)
		ys.see(s.Low, s.High)
		at[n] = true
	}
	numbers := slices.Sorted(maps.Keys(at))
	x := scale{min(xs.low, 0), xs.high, p.left, p.right, false}
	if crowded(numbers) {
		x = scale{xs.low, xs.high, p.left + 8, p.right - 8, true}
	}
	y, unit := linear(ys.low, ys.high, p.bottom, p.top), rs[0].Unit
	if ys.spans(50) {
		y, unit = logarithmic(ys.low, ys.high, p.bottom, p.top), unit+" (logarithmic)"
	}
	p.yAxis(y, y.ticks(), unit)
	var ticks []tick
	for _, n := range numbers {
		ticks = append(ticks, tick{n, number(n)})
	}
	s, _ := stepOf(rs[0].Parameter)
	p.xAxis(x, ticks, s.family)
	p.subjects(x, y, rs, colours)
	return p.finish(title + ": " + s.family)
}

// crowded tells whether most of some ascending numbers are in the lower half, as 1, 2, 4, 8 are.
func crowded(numbers []float64) bool {
	upper, most := 0, numbers[len(numbers)-1]
	for _, n := range numbers {
		if n >= most/2 {
			upper++
		}
	}
	return numbers[0] > 0 && 2*upper < len(numbers)
}

// subjects draws one line for each, with a dot and the spread at each number.
func (p *plot) subjects(x, y scale, rs []Result, colours palette) {
	for _, subject := range subjectsOf(rs) {
		var of []*Result
		for i := range rs {
			if rs[i].Subject == subject {
				of = append(of, &rs[i])
			}
		}
		slices.SortFunc(of, func(a, b *Result) int { return cmp.Compare(a.step(), b.step()) })
		class := colours.classes[subject]
		var line [][2]float64
		for _, r := range of {
			s := r.spread()
			px := x.at(r.step())
			line = append(line, [2]float64{px, y.at(s.Median)})
			p.whisker(class, y, px, 2.5, s)
		}
		p.path("curve "+class, line)
		for i, r := range of {
			p.WriteString(pixels(`<circle class="fill `+class+`" r="3" cx="%s" cy="%s">`, line[i][0], line[i][1]))
			fmt.Fprintf(p, `<title>%s</title></circle>`, html.EscapeString(r.hint(r.spread())))
		}
	}
}

func subjectsOf(rs []Result) []string {
	var all []string
	for i := range rs {
		all = append(all, rs[i].Subject)
	}
	return distinct(all, subjectOrder)
}
