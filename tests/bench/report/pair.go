package report

import "strings"

// Prefixes of the two subjects of an A/A check, which are one and the same: what differs is the instrument's error.
const (
	prefixA = "A: "
	prefixB = "B: "
)

// pair is one metric of an A/A check.
type pair struct {
	Subject, Metric, Parameter string
	A, B                       string // medians
	Ratio                      string // B to A
	Holds                      bool   // the ratio's spread contains 1
	N                          int
}

// Verdict says it in words.
func (p pair) Verdict() string {
	switch {
	case p.Holds:
		return "yes"
	case p.N == 0:
		return none
	case p.N == 1:
		return "one round only"
	}
	return "no"
}

// pairs are all of an experiment.
func (d *document) pairs(experiment string) []pair {
	var all []pair
	for i := range d.Results {
		b := &d.Results[i]
		name, ok := strings.CutPrefix(b.Subject, prefixB)
		a := d.index[id{experiment, prefixA + name, b.Parameter, b.Metric}]
		if !ok || a == nil || b.Experiment != experiment {
			continue
		}
		p := pair{
			Subject: name, Metric: b.label(), Parameter: b.Parameter, Ratio: none,
			A: number(a.spread().Median), B: number(b.spread().Median),
		}
		if s, ok := d.index.ratio(experiment, b.Subject, a.Subject, b.Parameter, b.Metric); ok {
			p.Ratio, p.Holds, p.N = compared(s, b.HigherIsBetter).Text, s.verdict(b.HigherIsBetter) == same, s.N
		}
		all = append(all, p)
	}
	return all
}
