package experiment

import (
	"context"
	"errors"
	"fmt"

	"falcon/tests/bench/subject"
)

const (
	// oneWayRate, packets per second, is what all subjects take without a loss. The paper has 400,000, of which the plain
	// overlay takes a third on a core of our kind.
	oneWayRate = 100e3
	// overloadedRate is more than any subject takes, the bare host included, so that all queues are as full as they get.
	overloadedRate = 1000e3
	// oneWayBatch is how many turns the generator hands on together: few, since a frame waits for the others.
	oneWayBatch = 8
)

// oneWay injects packets at a rate that is easy and at one that is far too high.
func (c *Cell) oneWay(ctx context.Context, p subject.Path) (failure error) {
	rig, err := c.openUDP(ctx, udpLoad{Paths: []subject.Path{p}, Payload: shortPayload, Batch: oneWayBatch})
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, rig.Close()) }()
	for _, at := range []struct {
		parameter string
		rate      float64
	}{
		{fmt.Sprintf("UDP 16 B at %.0f kpps", oneWayRate/1e3), oneWayRate},
		{fmt.Sprintf("UDP overloaded, 16 B at %.0f kpps", overloadedRate/1e3), overloadedRate},
	} {
		run, err := rig.run(ctx, at.rate, c.latencyLength())
		if err != nil {
			return fmt.Errorf("at %.0f packets/s: %w", at.rate, err)
		}
		if run.Total().Received == 0 {
			return errNothing
		}
		c.addLatency(at.parameter, "one way", run.Latency())
		c.Add(Metric{at.parameter, "loss", "%", false}, 100*run.Outcome().Loss())
	}
	return nil
}
