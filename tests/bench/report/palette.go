package report

import (
	"fmt"
	"strings"
)

// tint is how a subject looks: its colour on white and on black, and the dashes of its lines, since no eleven colours can be
// told apart by everybody.
type tint struct{ light, dark, dash string }

// tints are Okabe and Ito's colours, made for the colour-blind, then some of Paul Tol's.
var tints = map[string]tint{
	Host:                      {"#7a7a7a", "#a8a8a8", "2 3"},
	Bare:                      {"#b0b0b0", "#6e6e6e", "7 3"},
	Overlay:                   {"#e69f00", "#f0ad1e", ""},
	OverlayRPS:                {"#d55e00", "#e8742a", "7 3"},
	"falcon":                  {"#0072b2", "#3d9fe0", ""},
	"falcon-static":           {"#56b4e9", "#8fd0f7", "7 3"},
	"falcon-dynamic":          {"#009e73", "#1fc197", ""},
	"falcon-shortcut":         {"#cc79a7", "#dd93bd", "7 3"},
	"falcon-shortcut-xdp":     {"#44aa99", "#5fc9b7", ""},
	"falcon-shortcut-dynamic": {"#882255", "#c2568f", ""},
	"falcon-split-dynamic":    {"#999933", "#bcbc55", "7 3"},
	"falcon-all":              {"#332288", "#8a7be0", ""},
}

// spare are for other subjects.
var spare = []tint{{"#117733", "#4faf6f", ""}, {"#aa4499", "#cf6cbf", "7 3"}, {"#661100", "#c06a55", "2 3"}, {"#b5a900", "#d1c62e", "7 3 2 3"}}

// palette gives every subject a class, whose tint is the same in all charts.
type palette struct {
	classes map[string]string
	tints   []tint
}

func newPalette(subjects []string) palette {
	p := palette{classes: map[string]string{}}
	spared := 0
	for i, s := range subjects {
		t, known := tints[s]
		if !known {
			t = spare[spared%len(spare)]
			spared++
		}
		p.classes[s] = fmt.Sprintf("c%d", i)
		p.tints = append(p.tints, t)
	}
	return p
}

// css has no variables, which rsvg-convert does not know.
func (p palette) css(dark bool) string {
	var b strings.Builder
	for i, t := range p.tints {
		colour := t.light
		if dark {
			colour = t.dark
		}
		fmt.Fprintf(&b, ".fill.c%d,.band.c%d{fill:%s}.whisker.c%d{stroke:%s}.curve.c%d{stroke:%s", i, i, colour, i, colour, i, colour)
		if t.dash != "" {
			fmt.Fprintf(&b, ";stroke-dasharray:%s", t.dash)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// chartCSS styles what all charts have, with the colours of text, of what is less important, and of the grid.
func chartCSS(text, dim, grid string) string {
	return fmt.Sprintf(`svg text{fill:%[1]s;font-size:11px}svg .dim{fill:%[2]s}svg .strong{font-size:13px;font-weight:600}svg .value{font-size:10px}
.grid{stroke:%[3]s;stroke-width:1}.axis{stroke:%[2]s;stroke-width:1}.whisker{stroke:%[1]s;stroke-width:1.2;fill:none}
.curve{fill:none;stroke-width:1.8;stroke-linejoin:round}.band{fill-opacity:.13}.paper{fill-opacity:.45}
`, text, dim, grid)
}

// swatch shows a subject's bar and line.
func (p palette) swatch(subject string) string {
	c := p.classes[subject]
	return fmt.Sprintf(`<rect class="fill %s" x="0" y="1" width="10" height="10"/>`+
		`<line class="curve %s" x1="13" y1="6" x2="34" y2="6"/>`, c, c)
}
