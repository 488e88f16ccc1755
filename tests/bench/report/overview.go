package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// overview compares all subjects with one, by the leading metrics.
type overview struct {
	Reference string
	Subjects  []string
	Lines     []headline
}

type headline struct {
	Experiment, Metric, Over string
	Cells                    []comparison // one for each subject of the overview
}

// leads are the results of all leading metrics.
func (d *document) leads() [][]Result {
	var all [][]Result
	for _, e := range d.experiments() {
		for _, metric := range d.leadingOf(e) {
			for _, rs := range d.metrics(e) {
				if rs[0].Metric == metric {
					all = append(all, rs)
				}
			}
		}
	}
	return all
}

// compareAll compares all subjects of a metric with one; nil if there is nothing to compare.
func (d *document) compareAll(rs []Result, reference string) (of map[string]comparison, over string) {
	for _, s := range subjectsOf(rs) {
		ratio, parameters := d.index.overall(rs, s, reference)
		if s == reference || ratio.N == 0 {
			continue
		}
		if of == nil {
			of = map[string]comparison{}
		}
		of[s], over = compared(ratio, rs[0].HigherIsBetter), extent(parameters)
	}
	return of, over
}

// overviews compare with docker-overlay and with the host. Metrics that share no subject with those before them, as the
// control plane's, get a table of their own, lest there be columns with little in them.
func (d *document) overviews() []overview {
	var all []overview
	for _, reference := range []string{Overlay, Host} {
		var tables []overview
		var cells [][]map[string]comparison
		for _, rs := range d.leads() {
			of, over := d.compareAll(rs, reference)
			if of == nil {
				continue
			}
			h, subjects := headline{Experiment: rs[0].Experiment, Metric: rs[0].label(), Over: over}, slices.Collect(maps.Keys(of))
			at := slices.IndexFunc(tables, func(o overview) bool {
				return slices.ContainsFunc(subjects, func(s string) bool { return slices.Contains(o.Subjects, s) })
			})
			if at < 0 {
				at, tables, cells = len(tables), append(tables, overview{Reference: reference}), append(cells, nil)
			}
			tables[at].Lines, cells[at] = append(tables[at].Lines, h), append(cells[at], of)
			tables[at].Subjects = distinct(append(tables[at].Subjects, subjects...), subjectOrder)
		}
		for i := range tables {
			tables[i].fill(cells[i])
		}
		all = append(all, tables...)
	}
	return all
}

// fill puts each line's comparisons under their subjects.
func (o *overview) fill(cells []map[string]comparison) {
	for i := range o.Lines {
		for _, s := range o.Subjects {
			o.Lines[i].Cells = append(o.Lines[i].Cells, cells[i][s])
		}
	}
}

// extent names parameters in short.
func extent(parameters []string) string {
	if n := len(parameters); n > 2 {
		return fmt.Sprintf("%s … %s (%d)", parameters[0], parameters[n-1], n)
	}
	return strings.Join(parameters, "; ")
}
