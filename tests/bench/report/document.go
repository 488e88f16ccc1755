package report

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

func (d *document) subjects() []string {
	var names []string
	for _, r := range d.Results {
		names = append(names, r.Subject)
	}
	for _, c := range d.Distributions {
		names = append(names, c.Subject)
	}
	for _, s := range d.Series {
		names = append(names, s.Subject)
	}
	return distinct(names, subjectOrder)
}

func distinct(names, order []string) []string {
	slices.SortFunc(names, func(a, b string) int { return compareListed(order, a, b) })
	return slices.Compact(names)
}

// Write puts report.json, summary.md and report.html into a directory. It does not return the failures that the report
// holds; Err does.
func (r *Report) Write(dir string) error {
	d := r.document()
	raw, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	page, err := d.page()
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return errors.Join(
		put(dir, "report.json", append(raw, '\n')), put(dir, "summary.md", []byte(d.summary())), put(dir, "report.html", page),
	)
}

func put(dir, name string, content []byte) error {
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// Read restores a report from its report.json.
func Read(path string) (*Report, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	var d document
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("read report %s: %w", path, err)
	}
	r := New(d.Metadata)
	for _, have := range d.Results {
		for _, s := range have.Samples {
			r.Add(have.Key, s.Round, s.Value)
		}
	}
	r.curves, r.series, r.missing = d.Distributions, d.Series, d.Missing
	for _, f := range d.Failed {
		r.failed = append(r.failed, failure{f.Experiment, errors.New(f.Error)})
	}
	return r, nil
}

// Summary is the text of summary.md.
func (r *Report) Summary() string { return r.document().summary() }
