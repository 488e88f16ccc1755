package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
)

//go:embed page.html
var pageText string

type legend struct{ Subject, Colour string }

type figure struct {
	Title string
	SVG   template.HTML
	Rows  []row
}

type section struct {
	Name    string
	Figures []figure
	Paper   []Figure
}

type headline struct{ Experiment, Metric, Subject, Colour, ToHost, ToOverlay string }

// palette is how many colours page.html has: first Okabe and Ito's, fit for the colour-blind, then four that are less so.
const palette = 12

// page is report.html.
func (d *document) page() ([]byte, error) {
	var legends []legend
	colours := map[string]string{}
	for i, s := range d.subjects() {
		colours[s] = fmt.Sprintf("c%d", i%palette)
		legends = append(legends, legend{s, colours[s]})
	}
	var sections []section
	for _, e := range d.experiments() {
		sections = append(sections, section{e, d.figures(e, colours), paperOf(e)})
	}
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("parse page: %w", err)
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{"Facts": d.Metadata.facts(), "Legend": legends, "Headlines": d.headlines(colours), "Sections": sections, "Missing": d.Missing, "Failed": d.Failed})
	return b.Bytes(), err
}

func (d *document) figures(experiment string, colours map[string]string) []figure {
	var all []figure
	for _, rs := range runs(d.Results, func(r Result) Key { return Key{Experiment: r.Experiment, Metric: r.Metric, Unit: r.Unit} }) {
		if rs[0].Experiment != experiment {
			continue
		}
		f := figure{Title: rs[0].Metric + ", " + rs[0].Unit + " " + arrow(rs[0].HigherIsBetter), SVG: template.HTML(bars(rs, colours))}
		for i := range rs {
			w := d.row(&rs[i])
			w.Colour = colours[w.Subject]
			f.Rows = append(f.Rows, w)
		}
		all = append(all, f)
	}
	plain := func(k Key) Key { k.Subject, k.HigherIsBetter = "", false; return k }
	for _, ds := range runs(d.Distributions, func(c Distribution) Key { return plain(c.Key) }) {
		if ds[0].Experiment == experiment {
			all = append(all, figure{Title: ds[0].Metric + ", distribution, " + ds[0].Parameter, SVG: template.HTML(cdf(ds, colours))})
		}
	}
	for _, ss := range runs(d.Series, func(s Series) Key { return plain(s.Key) }) {
		if ss[0].Experiment == experiment {
			all = append(all, figure{Title: ss[0].Metric + " over time, " + ss[0].Parameter, SVG: template.HTML(lines(ss, colours))})
		}
	}
	return all
}

// runs cuts a sorted list where the key changes.
func runs[T any](all []T, key func(T) Key) [][]T {
	var out [][]T
	for i, v := range all {
		if i == 0 || key(all[i-1]) != key(v) {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], v)
	}
	return out
}

// headlines are each metric's gains, the geometric mean over its parameters.
func (d *document) headlines(colours map[string]string) []headline {
	var all []headline
	for _, rs := range runs(d.Results, func(r Result) Key { return Key{Experiment: r.Experiment, Metric: r.Metric} }) {
		for _, s := range d.subjects() {
			h := headline{rs[0].Experiment, rs[0].Metric, s, colours[s], d.gains(rs, s, Host), d.gains(rs, s, Overlay)}
			if s != Host && h.ToHost+h.ToOverlay != none+none {
				all = append(all, h)
			}
		}
	}
	return all
}

func (d *document) gains(rs []Result, subject, reference string) string {
	var gains []float64
	for _, r := range rs {
		ratio, ok := d.index.ratio(r.Experiment, subject, reference, r.Parameter, r.Metric)
		if g, positive := ratio.gain(r.HigherIsBetter); ok && positive && r.Subject == subject {
			gains = append(gains, g.Median)
		}
	}
	if len(gains) == 0 {
		return none
	}
	return factor(geometricMean(gains))
}
