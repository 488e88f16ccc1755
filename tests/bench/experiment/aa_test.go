package experiment

import (
	"math"
	"testing"

	"falcon/tests/bench/report"
)

func TestDifferenceIsJudgedByTheReportsSpread(t *testing.T) {
	m := Metric{"16 B", "rate", "kpps", true}
	for name, c := range map[string]struct {
		b       []float64 // against 100 each
		percent float64
		within  bool
	}{
		"around 1": {[]float64{99, 102, 103}, 2, true},
		"above 1":  {[]float64{101, 102, 103}, 2, false},
		"below 1":  {[]float64{97, 98, 99}, -2, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := &Env{name: "aa", report: report.New(report.Metadata{})}
			for i, b := range c.b {
				e.Note("A: x", m, i+1, 100)
				e.Note("B: x", m, i+1, b)
			}
			percent, within, err := e.difference("A: x", "B: x", m)
			if err != nil || within != c.within || math.Abs(percent-c.percent) > 1e-9 {
				t.Errorf("%v%%, within the spread: %v, %v", percent, within, err)
			}
		})
	}
	e := &Env{name: "aa", report: report.New(report.Metadata{})}
	if _, _, err := e.difference("A: x", "B: x", m); err == nil {
		t.Error("a difference of nothing")
	}
}
