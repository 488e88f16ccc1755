package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
)

// digest is a report to keep: medians and spreads instead of every sample, and no curves.
type digest struct {
	Metadata Metadata       `json:"metadata"`
	Results  []digestResult `json:"results"`
	Missing  []Absence      `json:"missing,omitempty"`
	Failed   []Failure      `json:"failed,omitempty"`
}

// digestResult is a metric and parameter of all subjects.
type digestResult struct {
	Experiment     string                 `json:"experiment"`
	Metric         string                 `json:"metric"`
	Parameter      string                 `json:"parameter"`
	Unit           string                 `json:"unit"`
	HigherIsBetter bool                   `json:"higher_is_better"`
	Subjects       map[string]digestValue `json:"subjects"`
}

// digestValue is a measurement in short. Ratios are formed in each round, and so cannot be had from the medians.
type digestValue struct {
	N         int   `json:"n"`
	Value     span  `json:"value"`
	ToHost    *span `json:"to_host,omitempty"`
	ToOverlay *span `json:"to_docker_overlay,omitempty"`
}

// span is a median, and the lower and the upper end of the spread.
type span [3]float64

func spanOf(s Spread) span { return span{digits(s.Median), digits(s.Low), digits(s.High)} }

// digits rounds to four digits.
func digits(v float64) float64 {
	if v == 0 {
		return 0
	}
	power := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*power) / power
}

func (d *document) digest() ([]byte, error) {
	sum := digest{d.Metadata, []digestResult{}, d.Missing, d.Failed}
	key := func(r Result) Key {
		k := r.Key
		k.Subject = ""
		return k
	}
	for _, rs := range runs(d.Results, key) {
		k := rs[0].Key
		of := digestResult{k.Experiment, k.Metric, k.Parameter, k.Unit, k.HigherIsBetter, map[string]digestValue{}}
		for i := range rs {
			s := rs[i].spread()
			of.Subjects[rs[i].Subject] = digestValue{s.N, spanOf(s), d.ratioSpan(&rs[i], Host), d.ratioSpan(&rs[i], Overlay)}
		}
		sum.Results = append(sum.Results, of)
	}
	raw, err := json.Marshal(sum)
	if err != nil {
		return nil, fmt.Errorf("write digest: %w", err)
	}
	// A line for each result: readable, and a change of one is a change of one line.
	for _, item := range []string{`{"experiment":`, `"results":`, `"missing":`, `"failed":`} {
		raw = bytes.ReplaceAll(raw, []byte(item), []byte("\n"+item))
	}
	return append(raw, '\n'), nil
}

func (d *document) ratioSpan(r *Result, reference string) *span {
	s, ok := d.index.ratio(r.Experiment, r.Subject, reference, r.Parameter, r.Metric)
	if !ok || r.Subject == reference {
		return nil
	}
	of := spanOf(s)
	return &of
}
