package experiment

import (
	"context"
	"os/exec"
	"slices"

	"falcon/tests/bench/report"
	"falcon/tests/bench/subject"
)

// Experiment is one of the benchmark's.
type Experiment struct {
	Name string
	Bed  bool // it needs the bed

	passes int                  // times that all subjects take their turns; 0 where they take none
	steps  func(quick bool) int // of the progress, where passes does not say it; nil: one

	tools []string // programs without which it cannot be

	run func(ctx context.Context, e *Env) error
}

// All are the experiments in the order in which they run.
var All = []Experiment{
	{Name: "udp-single", Bed: true, passes: 1, run: udpSingle},
	{Name: "tcp-single", Bed: true, passes: 1, tools: []string{"iperf3", "ethtool"}, run: tcpSingle},
	{Name: "latency", Bed: true, passes: 1, tools: []string{"iperf3"}, run: latency},
	{Name: "multi-flow", Bed: true, passes: 3, run: multiFlow},
	{Name: "web", Bed: true, passes: 1, tools: []string{"nginx", "wrk"}, run: web},
	{Name: "cache", Bed: true, passes: 1, tools: []string{"memcached"}, run: cache},
	{Name: "hotspot", Bed: true, passes: 1, run: hotspot},
	{Name: "overload", Bed: true, passes: 1, run: overloadSteps},
	{Name: "cost", Bed: true, passes: 1, run: cost},
	{Name: "stages", Bed: true, passes: 1, run: stages},
	{Name: "control", steps: controlSteps, run: control},
	{Name: "instrument", Bed: true, steps: instrumentSteps, run: instrument},
	{Name: "aa", Bed: true, steps: aaSteps, run: aa},
}

// Run runs it. What fails is noted in the report, and so ends neither the run nor the other experiments.
func (x Experiment) Run(ctx context.Context, bed *subject.Bed, quick bool, r *report.Report, p *report.Progress) {
	e := &Env{Bed: bed, Quick: quick, name: x.Name, report: r, progress: p}
	for _, tool := range x.tools {
		if _, err := exec.LookPath(tool); err != nil {
			e.Missing("all", tool+" is not installed: run make deps")
			return
		}
	}
	if err := x.run(ctx, e); err != nil {
		r.Fail(x.Name, err)
	}
}

// Steps is how many steps of the progress it takes.
func (x Experiment) Steps(bed *subject.Bed, quick bool) int {
	switch {
	case x.steps != nil:
		return x.steps(quick)
	case x.passes == 0:
		return 1
	}
	present := 0
	for _, s := range bed.Subjects() {
		if s.Missing == "" {
			present++
		}
	}
	first, last := (&Env{Quick: quick}).rounds()
	return x.passes * present * (last - first + 1)
}

// Names of all experiments.
func Names() []string {
	var names []string
	for _, x := range All {
		names = append(names, x.Name)
	}
	return names
}

// Find returns the experiments of a name, all if it is empty; none if there is no such.
func Find(name string) []Experiment {
	return slices.DeleteFunc(slices.Clone(All), func(x Experiment) bool { return name != "" && x.Name != name })
}
