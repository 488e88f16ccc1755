package experiment

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"falcon/tests/bench/load"
	"falcon/tests/bench/report"
)

// overloadSteps offers the same rates to all subjects, from little to more than they can take, to show who is worse at
// what load. 100% is the capacity of the plain falcon, of the overlay where that is missing, measured first. Several
// flows, so that whoever spreads them over cores has something to spread; one socket, whose reader is as fast for all.
func overloadSteps(ctx context.Context, e *Env) error {
	base, err := e.measureReference(ctx, flowsOf(overloadFlows), plainFalcon, report.Overlay)
	if err != nil {
		return err
	}
	e.Note(base.subject, Metric{"100%", "capacity", "kpps", true}, 0, base.rate/1e3)
	for _, rate := range overloadRates(base) {
		e.Note(base.subject, Metric{overloadParameter(base, rate), "offered rate", "kpps", true}, 0, rate/1e3)
	}
	return e.Rounds(ctx, func(ctx context.Context, c *Cell) error { return c.offerSteps(ctx, base) })
}

const (
	plainFalcon   = "falcon"
	overloadFlows = 8
)

// overloadRates are those that are offered, in packets per second.
func overloadRates(base reference) []float64 { return load.Fractions(base.rate, 0.1, 1.3, 7) }

func overloadParameter(base reference, rate float64) string {
	return fmt.Sprintf("%.0f%% of %s's capacity", math.Round(100*rate/base.rate), base.subject)
}

func (c *Cell) offerSteps(ctx context.Context, base reference) (failure error) {
	l, err := flowsOf(overloadFlows)(ctx, c)
	if err != nil {
		return err
	}
	rig, err := c.openUDP(ctx, l)
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, rig.Close()) }()
	length := Pick(c.Env, 500*time.Millisecond, 200*time.Millisecond)
	if c.Warmup() {
		length = 50 * time.Millisecond
	}
	for _, rate := range overloadRates(base) {
		run, err := rig.run(ctx, rate, length)
		if err != nil {
			return fmt.Errorf("offer %.0f packets/s: %w", rate, err)
		}
		c.addStep(overloadParameter(base, rate), run)
	}
	return nil
}

func (c *Cell) addStep(parameter string, run udpRun) {
	o := run.Outcome()
	c.Add(Metric{parameter, "received rate", "kpps", true}, o.Rate()/1e3)
	c.Add(Metric{parameter, "loss", "%", false}, 100*o.Loss())
	c.Add(Metric{parameter, "p99 latency", "us", false}, micros(run.Latency().Quantile(0.99)))
	c.Add(Metric{parameter, "reordered packets", "ppm", false}, 1e6*share(run.Total().Reordered, run.Total().Received))
}

// share of a whole; that of nothing is 0.
func share(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
