package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// report is what a run measured.
type report struct {
	Began   time.Time `json:"began"`
	Kernel  string    `json:"kernel"`
	CPUs    int       `json:"cpus"`
	Go      string    `json:"go"`
	Results []*result `json:"results"`
}

// result is one metric of one subject under one parameter, with every sample.
type result struct {
	Experiment string    `json:"experiment"`
	Subject    string    `json:"subject"`
	Parameter  string    `json:"parameter"`
	Metric     string    `json:"metric"`
	Unit       string    `json:"unit"`
	Samples    []float64 `json:"samples"`
}

func newReport() *report {
	var u unix.Utsname
	kernel := "unknown"
	if err := unix.Uname(&u); err == nil {
		kernel = unix.ByteSliceToString(u.Release[:])
	}
	return &report{Began: time.Now().UTC(), Kernel: kernel, CPUs: runtime.NumCPU(), Go: runtime.Version()}
}

// add notes one sample.
func (r *report) add(key result, sample float64) {
	for _, have := range r.Results {
		if have.Experiment == key.Experiment && have.Subject == key.Subject && have.Parameter == key.Parameter && have.Metric == key.Metric {
			have.Samples = append(have.Samples, sample)
			return
		}
	}
	key.Samples = []float64{sample}
	r.Results = append(r.Results, &key)
}

// write puts report.json and summary.md into a directory and shows the summary.
func (r *report) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	raw, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	summary := r.summary()
	for name, content := range map[string][]byte{"report.json": raw, "summary.md": []byte(summary)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	fmt.Print(summary)
	return nil
}

func (r *report) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, kernel %s, %d CPUs, %s\n\n", r.Began.Format(time.DateTime), r.Kernel, r.CPUs, r.Go)
	b.WriteString("| experiment | subject | parameter | metric | median | 10th | 90th | unit | samples |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, m := range r.Results {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %.4g | %.4g | %.4g | %s | %d |\n", m.Experiment, m.Subject, m.Parameter, m.Metric,
			quantile(m.Samples, 0.5), quantile(m.Samples, 0.1), quantile(m.Samples, 0.9), m.Unit, len(m.Samples))
	}
	return b.String()
}

// quantile is the nearest-rank quantile of at least one sample.
func quantile(samples []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}
