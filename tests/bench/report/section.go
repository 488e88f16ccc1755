package report

import (
	"cmp"
	"slices"
	"strings"
)

// about says what an experiment does, for a reader who has not seen its code.
var about = map[string]string{
	"udp-single": "One UDP flow by payload, frames injected at the receiver's NIC, a real socket reader in the container.",
	"tcp-single": "One TCP flow by message size, with segmentation offload on and off.",
	"latency":    "Request and response over UDP and TCP, idle and beside a fixed background load.",
	"multi-flow": "1 to 40 flows and 1 to 40 containers at once; elephants and mice mixed.",
	"web":        "nginx, requested by wrk.",
	"cache":      "memcached, 1 and 10 clients.",
	"hotspot":    "Steady load, then one core is loaded by something else.",
	"overload":   "Load from nothing to 130% of capacity.",
	"cost":       "CPU time for a packet, at a fixed rate, and for a byte, by core, kernel and user apart.",
	"stages":     "Cumulative cost of the receive path up to each point, where packets are dropped.",
	"control":    "The control plane: how long endpoints and starts take, and how much memory.",
	"instrument": "The instrument itself: faults that it injects against those that it counts, rates set against rates kept.",
	"aa":         "One subject against itself, as if it were two: what differs is the error of the instrument.",
}

// section is what the report says about one experiment.
type section struct {
	Name, About string
	Subjects    []string
	Pairs       []pair
	Failed      bool
	Leading     []chart // what stands for the experiment: curves, then metrics
	Curves      int     // how many curves there are
	Others      []chart
	Given       []string // what was measured once and of one subject, such as a rate that is the same for all
	Zero        []string // metrics of which nothing but zeros was measured, and so no charts are drawn
	Tables      []*table
	Paper       []Figure
}

func (d *document) section(experiment string, colours palette) section {
	s := section{
		Name: experiment, About: about[experiment], Subjects: d.subjects(experiment), Pairs: d.pairs(experiment), Paper: paperOf(experiment),
		Leading: append(d.timelines(experiment, colours), d.cdfs(experiment, colours)...),
	}
	s.Curves = len(s.Leading)
	s.Failed = slices.ContainsFunc(d.Failed, func(f Failure) bool { return f.Experiment == experiment })
	leads := d.leadingOf(experiment)
	first, others := s.take(d.metrics(experiment), leads)
	for _, all := range swap(slices.Concat(first, others)) {
		if all.has(leads) {
			s.Leading = append(s.Leading, all.charts(colours)...)
		} else {
			s.Others = append(s.Others, all.charts(colours)...)
		}
	}
	s.Leading, s.Others = append(s.Leading, d.beside(first, colours)...), append(s.Others, d.beside(others, colours)...)
	for _, rs := range d.metrics(experiment) {
		s.Tables = append(s.Tables, d.table(rs))
	}
	return s
}

// take tells of each metric what is to be drawn of it: the leading ones in their order, and the others.
func (s *section) take(metrics [][]Result, leads []string) (first, others [][]Result) {
	for _, rs := range metrics {
		rs, s.Given = given(rs, s.Given)
		switch {
		case len(rs) == 0:
		case zero(rs):
			s.Zero = append(s.Zero, rs[0].named())
		case slices.Contains(leads, rs[0].Metric):
			first = append(first, rs)
		default:
			others = append(others, rs)
		}
	}
	slices.SortStableFunc(first, func(a, b []Result) int {
		return cmp.Compare(slices.Index(leads, a[0].Metric), slices.Index(leads, b[0].Metric))
	})
	return first, others
}

// metrics are an experiment's results, by metric and unit.
func (d *document) metrics(experiment string) [][]Result {
	var of []Result
	for i := range d.Results {
		if d.Results[i].Experiment == experiment {
			of = append(of, d.Results[i])
		}
	}
	return runs(of, func(r Result) Key { return Key{Metric: r.Metric, Unit: r.Unit, HigherIsBetter: r.HigherIsBetter} })
}

// runs cuts a sorted list where the key changes.
func runs[T any, K comparable](all []T, key func(T) K) [][]T {
	var out [][]T
	for i, v := range all {
		if i == 0 || key(all[i-1]) != key(v) {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], v)
	}
	return out
}

// anchor is a name for a place in the page.
func anchor(s string) string { return strings.Join(strings.Fields(s), "-") }
