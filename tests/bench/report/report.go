package report

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
)

// Report is what a run measured. The zero value is an empty one; it may be used from several goroutines.
type Report struct {
	Metadata // set by the owner before Write

	mu      sync.Mutex // guards what follows
	results resultMap
	curves  []Distribution
	series  []Series
	missing []Absence
	failed  []failure
}

// Result is one measurement with every sample.
type Result struct {
	Key
	Samples []Sample `json:"samples"`
}

// Sample is one value and the round in which it was taken.
type Sample struct {
	Round int     `json:"round"`
	Value float64 `json:"value"`
}

// Absence is a subject that an experiment could not measure, and why.
type Absence struct {
	Experiment string `json:"experiment"`
	Subject    string `json:"subject"`
	Why        string `json:"why"`
}

type failure struct {
	experiment string
	err        error
}

// New starts a report.
func New(m Metadata) *Report { return &Report{Metadata: m} }

// Add notes one sample. A value that is no finite number, or a unit that differs from an earlier sample's, is a failure of
// the experiment instead.
func (r *Report) Add(key Key, round int, sample float64) {
	if !finite(sample) {
		r.Fail(key.Experiment, fmt.Errorf("add %s, %s, %s of round %d: %v is not a finite number", key.Subject, key.Parameter, key.Metric, round, sample))
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	have := r.results[key.id()]
	switch {
	case have == nil:
		if r.results == nil {
			r.results = resultMap{}
		}
		have = &Result{Key: key}
		r.results[key.id()] = have
	case have.Key != key:
		r.failed = append(r.failed, failure{key.Experiment, fmt.Errorf("add %s, %s, %s: unit or direction differs from earlier samples", key.Subject, key.Parameter, key.Metric)})
		return
	}
	have.Samples = append(have.Samples, Sample{round, sample})
}

// Missing lists a subject that cannot be measured: its tool or its mode is not there.
func (r *Report) Missing(experiment, subject, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := (Absence{experiment, subject, why}); !slices.Contains(r.missing, a) {
		r.missing = append(r.missing, a)
	}
}

// Fail notes that an experiment went wrong. What it had measured stays.
func (r *Report) Fail(experiment string, err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = append(r.failed, failure{experiment, err})
}

// Err joins all failures.
func (r *Report) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []error
	for _, f := range r.failed {
		all = append(all, fmt.Errorf("experiment %s: %w", f.experiment, f.err))
	}
	return errors.Join(all...)
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

type resultMap map[id]*Result
