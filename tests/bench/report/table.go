package report

import (
	"fmt"
	"slices"
	"strings"
)

// table has the numbers of one metric: a line for each parameter, a column for each subject.
type table struct {
	Metric   string
	Subjects []string
	Lines    []tableLine
	N        string // how many samples a number is made of
}

type tableLine struct {
	Parameter string
	Cells     []tableCell
}

// tableCell is empty where a subject was not measured.
type tableCell struct {
	Median, Spread    string
	ToHost, ToOverlay comparison
}

func (d *document) table(rs []Result) *table {
	t := &table{Metric: rs[0].label(), Subjects: subjectsOf(rs)}
	least, most := 0, 0
	for _, of := range runs(rs, func(r Result) string { return r.Parameter }) {
		l := tableLine{of[0].Parameter, make([]tableCell, len(t.Subjects))}
		for i := range of {
			n := len(of[i].Samples)
			if least == 0 || n < least {
				least = n
			}
			most = max(most, n)
			l.Cells[slices.Index(t.Subjects, of[i].Subject)] = d.tableCell(&of[i])
		}
		t.Lines = append(t.Lines, l)
	}
	t.N = fmt.Sprint(most)
	if least != most {
		t.N = fmt.Sprintf("%d to %d", least, most)
	}
	return t
}

func (d *document) tableCell(r *Result) tableCell {
	s := r.spread()
	c := tableCell{Median: number(s.Median), ToHost: d.compare(r, Host), ToOverlay: d.compare(r, Overlay)}
	if s.N > 1 {
		c.Spread = number(s.Low) + " … " + number(s.High)
	}
	return c
}

// compare is empty for the reference itself, and where there is no ratio.
func (d *document) compare(r *Result, reference string) comparison {
	s, ok := d.index.ratio(r.Experiment, r.Subject, reference, r.Parameter, r.Metric)
	if !ok || r.Subject == reference {
		return comparison{}
	}
	c := compared(s, r.HigherIsBetter)
	c.To = strings.TrimPrefix(reference, "docker-")
	return c
}
