package report

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// bars draws results of one metric, grouped by parameter.
func bars(title string, rs []Result, colours palette, apart float64) chart {
	all, groups := facets(rs, apart), parametersOf(rs)
	size := wide
	if len(rs) <= 20 && len(groups) <= 6 {
		size = narrow
	}
	p := newPlot(size)
	const margin = 56.0
	group := (size - 12 - margin*float64(len(all))) / float64(len(groups))
	lines := 0
	for _, name := range groups {
		lines = max(lines, len(wrap(name, group-4)))
	}
	p.bottom = tall - 10 - 14*float64(lines)
	bar := min(group*0.84/float64(crowd(rs, groups)), 46)
	p.values = fit(rs, bar)
	x := 0.0
	for _, f := range all {
		p.left = x + margin
		p.right = p.left + group*float64(len(f.groups))
		x = p.right
		p.facet(f, rs, colours, bar)
	}
	return p.finish(title)
}

func (p *plot) facet(f facet, rs []Result, colours palette, bar float64) {
	y := linear(f.low, f.high, p.bottom, p.top)
	p.yAxis(y, y.ticks(), rs[0].Unit)
	group := (p.right - p.left) / float64(len(f.groups))
	for i, name := range f.groups {
		middle := p.left + (float64(i)+0.5)*group
		for n, line := range wrap(name, group-4) {
			p.text("", "middle", middle, p.bottom+15+14*float64(n), line)
		}
		var of []*Result
		for j := range rs {
			if rs[j].Parameter == name {
				of = append(of, &rs[j])
			}
		}
		for j, r := range of {
			p.bar(y, middle+(float64(j)-float64(len(of)-1)/2)*bar, bar, r, colours.classes[r.Subject])
		}
	}
}

func (p *plot) bar(y scale, x, size float64, r *Result, class string) {
	s, zero := r.spread(), y.at(0)
	at := y.at(s.Median)
	if strings.HasSuffix(r.Parameter, paperSuffix) {
		class += " paper"
	}
	p.WriteString(pixels(`<rect class="fill `+class+`" x="%s" y="%s" width="%s" height="%s">`,
		x-size*0.46, min(at, zero), size*0.92, math.Abs(zero-at)))
	fmt.Fprintf(p, `<title>%s</title></rect>`, html.EscapeString(r.hint(s)))
	p.whisker("", y, x, min(size*0.2, 4), s)
	if p.values {
		p.text("value", "middle", x, min(y.at(s.High), zero)-4, short(s.Median))
	}
}

// fit tells whether every bar has room for its value above it.
func fit(rs []Result, bar float64) bool {
	for i := range rs {
		if 6.2*float64(len([]rune(short(rs[i].spread().Median)))) > bar {
			return false
		}
	}
	return true
}

// whisker draws a spread; one of nothing is not drawn.
func (p *plot) whisker(class string, y scale, x, half float64, s Spread) {
	low, high := y.at(s.Low), y.at(s.High)
	if low-high < 1 {
		return
	}
	if class != "" {
		class = " " + class
	}
	p.WriteString(pixels(`<path class="whisker`+class+`" d="M%s %sh%sm%s 0v%sm%s 0h%s"/>`,
		x-half, high, 2*half, -half, low-high, -half, 2*half))
}

// hint is what a reader sees who points at a value.
func (r *Result) hint(s Spread) string {
	text := fmt.Sprintf("%s, %s: %s %s", r.Subject, r.Parameter, number(s.Median), r.Unit)
	if s.N > 1 {
		text += fmt.Sprintf(" (%s … %s, n = %d)", number(s.Low), number(s.High), s.N)
	}
	return text
}
