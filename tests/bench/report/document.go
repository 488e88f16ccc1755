package report

import (
	"cmp"
	"slices"
)

// document is a report at rest, everything in its final order. It is what report.json holds, and what the summary and the
// page are made of.
type document struct {
	Metadata      Metadata       `json:"metadata"`
	Results       []Result       `json:"results"`
	Distributions []Distribution `json:"distributions,omitempty"`
	Series        []Series       `json:"series,omitempty"`
	Missing       []Absence      `json:"missing,omitempty"`
	Failed        []Failure      `json:"failed,omitempty"`

	index resultMap
}

// Failure is an experiment that went wrong, and how.
type Failure struct {
	Experiment string `json:"experiment"`
	Error      string `json:"error"`
}

func (r *Report) document() *document {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := &document{
		Metadata: r.Metadata, Results: []Result{}, Distributions: slices.Clone(r.curves), Series: slices.Clone(r.series),
		Missing: slices.Clone(r.missing), index: resultMap{},
	}
	for _, have := range r.results {
		d.Results = append(d.Results, Result{have.Key, slices.Clone(have.Samples)})
	}
	for _, f := range r.failed {
		d.Failed = append(d.Failed, Failure{f.experiment, f.err.Error()})
	}
	d.sort()
	for i := range d.Results {
		d.index[d.Results[i].id()] = &d.Results[i]
	}
	return d
}

// sort leaves nothing to the order in which things were added. Several curves of one key are ordered by their points.
func (d *document) sort() {
	for _, have := range d.Results {
		slices.SortFunc(have.Samples, func(a, b Sample) int { return cmp.Or(cmp.Compare(a.Round, b.Round), cmp.Compare(a.Value, b.Value)) })
	}
	slices.SortFunc(d.Results, func(a, b Result) int { return compareKeys(a.Key, b.Key) })
	slices.SortFunc(d.Distributions, func(a, b Distribution) int {
		return cmp.Or(compareKeys(a.Key, b.Key), slices.CompareFunc(a.Points, b.Points, func(a, b Quantile) int {
			return cmp.Or(cmp.Compare(a.Value, b.Value), cmp.Compare(a.Fraction, b.Fraction))
		}))
	})
	slices.SortFunc(d.Series, func(a, b Series) int {
		return cmp.Or(compareKeys(a.Key, b.Key), slices.CompareFunc(a.Points, b.Points, func(a, b Point) int {
			return cmp.Or(cmp.Compare(a.T, b.T), cmp.Compare(a.V, b.V))
		}))
	})
	slices.SortFunc(d.Missing, func(a, b Absence) int {
		return cmp.Or(compareListed(experimentOrder, a.Experiment, b.Experiment), compareListed(subjectOrder, a.Subject, b.Subject), cmp.Compare(a.Why, b.Why))
	})
	slices.SortFunc(d.Failed, func(a, b Failure) int {
		return cmp.Or(compareListed(experimentOrder, a.Experiment, b.Experiment), cmp.Compare(a.Error, b.Error))
	})
}

// experiments names all of which anything is known.
func (d *document) experiments() []string {
	var names []string
	for _, r := range d.Results {
		names = append(names, r.Experiment)
	}
	for _, c := range d.Distributions {
		names = append(names, c.Experiment)
	}
	for _, s := range d.Series {
		names = append(names, s.Experiment)
	}
	for _, m := range d.Missing {
		names = append(names, m.Experiment)
	}
	for _, f := range d.Failed {
		names = append(names, f.Experiment)
	}
	return distinct(names, experimentOrder)
}

// subjects are those of an experiment, of all if it is empty.
func (d *document) subjects(experiment string) []string {
	var names []string
	see := func(k Key) {
		if experiment == "" || k.Experiment == experiment {
			names = append(names, k.Subject)
		}
	}
	for _, r := range d.Results {
		see(r.Key)
	}
	for _, c := range d.Distributions {
		see(c.Key)
	}
	for _, s := range d.Series {
		see(s.Key)
	}
	return distinct(names, subjectOrder)
}

func distinct(names, order []string) []string {
	slices.SortFunc(names, func(a, b string) int { return compareListed(order, a, b) })
	return slices.Compact(names)
}
