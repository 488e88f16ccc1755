package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
)

var (
	//go:embed page.html
	pageText string
	//go:embed page.css
	pageCSS string
)

// view is what page.html shows.
type view struct {
	Metadata  Metadata
	Facts     [][2]string
	Overviews []overview
	Pairs     []pair
	Sections  []section
	Gaps      []gap
	Failed    []Failure
	CSS       template.CSS
}

// page is report.html. It asks nothing of the network and has no scripts.
func (d *document) page() ([]byte, error) {
	colours := d.palette()
	v := view{
		Metadata: d.Metadata, Facts: d.Metadata.facts(), Overviews: d.overviews(), Gaps: d.gaps(), Failed: d.Failed, CSS: css(colours),
	}
	for _, e := range d.experiments() {
		s := d.section(e, colours)
		v.Sections, v.Pairs = append(v.Sections, s), append(v.Pairs, s.Pairs...)
	}
	t, err := template.New("page").Funcs(template.FuncMap{
		"anchor": anchor,
		"swatch": func(subject string) template.HTML {
			return template.HTML(`<svg class="key" width="34" height="12">` + colours.swatch(subject) + `</svg>`)
		},
		"colour": func(subject string) template.HTML {
			return template.HTML(`<svg class="key" width="10" height="12"><rect class="fill ` + colours.classes[subject] +
				`" y="1" width="10" height="10"/></svg>`)
		},
		"reported": reported,
	}).Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("parse page: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return nil, fmt.Errorf("fill page: %w", err)
	}
	return b.Bytes(), nil
}

// palette is the same for all charts. The paper's FALCON has a colour, whether or not ours was measured.
func (d *document) palette() palette {
	return newPalette(distinct(append(d.subjects(""), "falcon"), subjectOrder))
}

func css(colours palette) template.CSS {
	return template.CSS(chartCSS("var(--text)", "var(--dim)", "var(--line)") + colours.css(false) + pageCSS +
		"@media(prefers-color-scheme:dark){\n" + colours.css(true) + "}\n")
}

// reported writes a figure of the paper.
func reported(v float64) string {
	if v == 0 {
		return none
	}
	return number(v)
}
