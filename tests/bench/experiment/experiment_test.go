package experiment

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"falcon/tests/bench/report"
)

// ran runs experiments one after the other, as a run of the benchmark does.
func ran(t *testing.T, experiments ...Experiment) *report.Report {
	r, p := report.New(report.Metadata{}), report.NewProgress(io.Discard, len(experiments))
	for _, x := range experiments {
		x.Run(t.Context(), nil, true, r, p)
	}
	return r
}

// An experiment that fails ends the run with an error, but neither the others nor what it has measured itself.
func TestFailureIsReportedAfterTheOthers(t *testing.T) {
	note := func(e *Env) { e.Note("host", Metric{"16 B", "rate", "kpps", true}, 1, 1) }
	cause := errors.New("out of luck")
	r := ran(t,
		Experiment{Name: "fails", run: func(_ context.Context, e *Env) error { note(e); return cause }},
		Experiment{Name: "works", run: func(_ context.Context, e *Env) error { note(e); return nil }})
	if err := r.Err(); !errors.Is(err, cause) || !strings.Contains(err.Error(), "fails") {
		t.Errorf("the run's error is %v", err)
	}
	for _, name := range []string{"fails", "works"} {
		if !strings.Contains(r.Summary(), name) {
			t.Errorf("nothing of %s in the report:\n%s", name, r.Summary())
		}
	}
}

func TestMissingToolIsListed(t *testing.T) {
	r := ran(t, Experiment{Name: "needy", tools: []string{"sh", "no-such-tool"}, run: func(context.Context, *Env) error {
		t.Error("it ran without its tool")
		return nil
	}})
	if err := r.Err(); err != nil {
		t.Error(err)
	}
	if s := r.Summary(); !strings.Contains(s, "no-such-tool is not installed") || !strings.Contains(s, "needy") {
		t.Errorf("the report does not tell:\n%s", s)
	}
}
