package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Write puts report.json, summary.md and report.html into a directory. It does not return the failures that the report
// holds; Err does.
func (r *Report) Write(dir string) error {
	d := r.document()
	raw, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	// The samples first: whatever is wrong with how they are shown, they are kept.
	if err := put(dir, "report.json", append(raw, '\n')); err != nil {
		return err
	}
	page, err := d.page()
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return errors.Join(put(dir, "summary.md", []byte(d.summary())), put(dir, "report.html", page))
}

// put writes a file whole or not at all.
func put(dir, name string, content []byte) error {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path+".new", content, 0o644); err != nil {
		return errors.Join(fmt.Errorf("write report: %w", err), os.RemoveAll(path+".new"))
	}
	if err := os.Rename(path+".new", path); err != nil {
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

// Brief is the summary without the table of all numbers: what a terminal has room for.
func (r *Report) Brief() string {
	var b strings.Builder
	r.document().brief(&b)
	return b.String()
}
