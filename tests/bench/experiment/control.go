package experiment

import (
	"context"
	"fmt"
	"os"

	"falcon/tests/bench/report"
)

// control measures the control plane in two ways: through engines, as a user meets it, falcon beside Docker's overlay; and
// falcon's part alone by the plugin's protocol, without an engine, whose part would be most of it. How long does it take to
// add an endpoint with few and many on the host, and until the other host knows it; how long does a start take, and how
// much memory does it all need?
func control(ctx context.Context, e *Env) error {
	for _, why := range []string{
		"CreateEndpoint and Join alone: it is part of its engine, and speaks no plugin protocol",
		"start: a swarm excludes live-restore, so containers end with their engine, and there is nothing to restore",
		fmt.Sprintf("more than %d endpoints: each takes a container", mostContainers),
	} {
		e.Missing(report.Overlay, why)
	}
	if err := controlEngines(ctx, e); err != nil {
		return fmt.Errorf("through engines: %w", err)
	}
	most := Pick(e, 1000, 100)
	for _, store := range []string{"bolt", "etcd"} {
		e.progress.Step(e.name + ", falcon alone on " + store)
		if err := controlProtocol(ctx, store, most, e); err != nil {
			return fmt.Errorf("on %s: %w", store, err)
		}
	}
	return binarySize(e)
}

// controlSteps are those of control: two stores and each number of containers.
func controlSteps(quick bool) int { return 2 + len(containerCounts(&Env{Quick: quick})) }

// noteAt notes a sample that was taken with a number of endpoints on the host.
func (e *Env) noteAt(subject string, endpoints int, metric, unit string, round int, sample float64) {
	e.Note(subject, Metric{Parameter: fmt.Sprintf("%d endpoints", endpoints), Name: metric, Unit: unit}, round, sample)
}

func binarySize(e *Env) error {
	info, err := os.Stat("bin/falcon")
	if err != nil {
		return fmt.Errorf("measure binary: %w", err)
	}
	e.Note("falcon", Metric{Parameter: "binary", Name: "size", Unit: "MB"}, 0, float64(info.Size())/1e6)
	return nil
}
