package report

import (
	"bytes"
	"fmt"
	"html"
	"strings"
)

// posterMost is how many charts a poster has at most.
const posterMost = 4

// poster is one experiment's leading charts as a picture of its own, for where there is no page around them: white, with
// a title and a legend.
func (s section) poster(colours palette) []byte {
	const margin, caption, gap = 16.0, 22.0, 14.0
	var body strings.Builder
	legend, y := s.posterLegend(colours, margin)
	body.WriteString(legend)
	charts := s.posterCharts()
	for i := 0; i < len(charts); {
		row := charts[i : i+1]
		if !charts[i].Wide() && i+1 < len(charts) && !charts[i+1].Wide() {
			row = charts[i : i+2]
		}
		high := 0.0
		for column, c := range row {
			x := margin + float64(column)*(wide-narrow)
			fmt.Fprintf(&body, `<text class="title" x="%g" y="%g">%s</text>`, x, y+14, html.EscapeString(c.Title))
			fmt.Fprintf(&body, `<svg x="%g" y="%g" width="%g" height="%g">%s</svg>`, x, y+caption, c.Width, c.Height, c.body)
			high = max(high, c.Height)
		}
		y += caption + high + gap
		i += len(row)
	}
	size := wide
	if s.small() {
		size = charts[0].Width
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]g" height="%[2]g" viewBox="0 0 %[1]g %[2]g"><style>`, size+2*margin, y)
	b.WriteString(`svg text{font-family:"DejaVu Sans",sans-serif}` + chartCSS("#1d2126", "#68707a", "#dfe3e7") + colours.css(false) +
		`svg .title{font-size:12px;font-weight:600}</style>`)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/>%s</svg>`, body.String())
	return b.Bytes()
}

// posterCharts are the first ones; of more curves than there is room for, they are taken evenly.
func (s section) posterCharts() []chart {
	curves := s.Leading[:s.Curves]
	if len(curves) <= posterMost {
		return s.Leading[:min(len(s.Leading), posterMost)]
	}
	var charts []chart
	for i := range posterMost {
		charts = append(charts, curves[i*len(curves)/posterMost])
	}
	return charts
}

// small tells whether the poster is as wide as one narrow chart.
func (s section) small() bool { return len(s.Leading) == 1 && !s.Leading[0].Wide() }

// posterLegend is the title and the legend, and where what follows begins.
func (s section) posterLegend(colours palette, margin float64) (string, float64) {
	var b strings.Builder
	fmt.Fprintf(&b, `<text class="strong" x="%g" y="24">%s</text>`, margin, html.EscapeString(s.Name))
	x, y, end := margin, 36.0, margin+wide
	if s.small() {
		end = margin + narrow
	}
	for _, subject := range s.Subjects {
		size := 40 + 7*float64(len([]rune(subject))) + 14
		if x+size > end {
			x, y = margin, y+20
		}
		fmt.Fprintf(&b, `<g transform="translate(%g %g)">%s<text x="40" y="10">%s</text></g>`,
			x, y, colours.swatch(subject), html.EscapeString(subject))
		x += size
	}
	return b.String(), y + 26
}
