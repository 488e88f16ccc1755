package report

import (
	"fmt"
	"html"
	"strings"
)

// A plot's area within its picture, in pixels.
const (
	width, height            = 900.0, 320.0
	left, right, top, bottom = 80.0, 880.0, 20.0, 260.0
)

// plot is an SVG picture in the making. Colours come from the page's classes.
type plot struct {
	strings.Builder
}

func newPlot(title string) *plot {
	p := &plot{}
	fmt.Fprintf(p, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img"><title>%s</title>`, width, height, html.EscapeString(title))
	return p
}

func (p *plot) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(p, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, class, x1, y1, x2, y2)
}

func (p *plot) text(anchor string, x, y float64, s string) {
	fmt.Fprintf(p, `<text text-anchor="%s" x="%.1f" y="%.1f">%s</text>`, anchor, x, y, html.EscapeString(s))
}

func (p *plot) yAxis(s scale, name string) {
	for _, v := range s.ticks() {
		p.line("grid", left, s.at(v), right, s.at(v))
		p.text("end", left-6, s.at(v)+4, number(v))
	}
	p.text("start", 4, 12, name)
}

func (p *plot) xAxis(s scale, name string) {
	for _, v := range s.ticks() {
		p.line("grid", s.at(v), top, s.at(v), bottom)
		p.text("middle", s.at(v), bottom+18, number(v))
	}
	p.text("middle", (left+right)/2, bottom+42, name)
}

func (p *plot) path(colour string, points [][2]float64) {
	fmt.Fprintf(p, `<polyline class="curve %s" points="`, colour)
	for _, at := range points {
		fmt.Fprintf(p, "%.1f,%.1f ", at[0], at[1])
	}
	p.WriteString(`"/>`)
}

func (p *plot) end() string { return p.String() + "</svg>" }
