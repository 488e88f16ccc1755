package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
)

// Sizes of charts in pixels: two narrow ones stand side by side.
const (
	wide   = 1080.0
	narrow = 530.0
	tall   = 270.0
)

// letter is about how wide one is at the size of charts' text.
const letter = 6.2

// chart is a finished picture with its heading.
type chart struct {
	Title         string
	Width, Height float64
	body          string
}

// SVG is the picture for the page.
func (c chart) SVG() template.HTML {
	return template.HTML(fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="%s">%s</svg>`,
		c.Width, c.Height, html.EscapeString(c.Title), c.body))
}

// Wide tells whether it takes a row of its own.
func (c chart) Wide() bool { return c.Width > narrow }

// plot is an SVG picture in the making, with the edges of the area in which values are drawn.
type plot struct {
	strings.Builder
	width                    float64
	left, right, top, bottom float64
	values                   bool // bars have their values above them
}

func newPlot(width float64) *plot {
	return &plot{width: width, left: 60, right: width - 12, top: 22, bottom: tall - 24}
}

func (p *plot) finish(title string) chart { return chart{title, p.width, tall, p.String()} }

func (p *plot) line(class string, x1, y1, x2, y2 float64) {
	p.WriteString(pixels(`<line class="`+class+`" x1="%s" y1="%s" x2="%s" y2="%s"/>`, x1, y1, x2, y2))
}

func (p *plot) text(class, anchor string, x, y float64, s string) {
	fmt.Fprintf(p, `<text class="%s" text-anchor="%s" x="%s" y="%s">%s</text>`, class, anchor, pixel(x), pixel(y), html.EscapeString(s))
}

// yAxis draws the grid and its labels, left of the area, and what they count above it.
func (p *plot) yAxis(s scale, ticks []tick, unit string) {
	for _, t := range ticks {
		class := "grid"
		if t.at == 0 {
			class = "axis"
		}
		p.line(class, p.left, s.at(t.at), p.right, s.at(t.at))
		p.text("dim", "end", p.left-6, s.at(t.at)+4, t.label)
	}
	if unit != "" {
		p.text("dim", "start", p.left-6-letter*float64(min(len([]rune(unit)), 6)), 11, unit)
	}
}

// xAxis draws ticks and, under them, what they count. A label that would touch the one before is left out.
func (p *plot) xAxis(s scale, ticks []tick, name string) {
	end := math.Inf(-1)
	for _, t := range ticks {
		x, half := s.at(t.at), letter*float64(len([]rune(t.label)))/2
		p.line("grid", x, p.top, x, p.bottom)
		if x-half > end+4 {
			p.text("dim", "middle", min(x, p.width-half), p.bottom+15, t.label)
			end = x + half
		}
	}
	p.text("dim", "middle", (p.left+p.right)/2, p.bottom+30, name)
}

// path draws a line through points.
func (p *plot) path(class string, points [][2]float64) {
	fmt.Fprintf(p, `<polyline class="%s" points="%s"/>`, class, coordinates(points))
}

// area fills what points surround.
func (p *plot) area(class string, points [][2]float64) {
	fmt.Fprintf(p, `<polygon class="%s" points="%s"/>`, class, coordinates(points))
}

func coordinates(points [][2]float64) string {
	var b strings.Builder
	for i, at := range points {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(pixel(at[0]) + "," + pixel(at[1]))
	}
	return b.String()
}

// wrap breaks a text into lines at most so wide, at its spaces.
func wrap(s string, width float64) []string {
	var lines []string
	for _, word := range strings.Fields(s) {
		last := len(lines) - 1
		if last >= 0 && letter*float64(len([]rune(lines[last]+" "+word))) <= width {
			lines[last] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	return lines
}
