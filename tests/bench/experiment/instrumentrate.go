package experiment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"falcon/tests/bench/load"
	"falcon/tests/bench/subject"
)

// A rate that is set has to be kept within rateTolerance. On a machine that others share one try may fail.
const (
	rateTolerance = 0.02
	rateAttempts  = 5
)

// checkRates lets the generator keep rates and measures them from outside.
func (c *Cell) checkRates(ctx context.Context, path subject.Path) (failure error) {
	rig, err := c.openUDP(ctx, udpLoad{Paths: []subject.Path{path}, Payload: shortPayload})
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, rig.Close()) }()
	var wrong []error
	for _, rate := range []float64{1e3, 20e3, 100e3} {
		if err := c.checkRate(ctx, rig, rate); err != nil {
			wrong = append(wrong, fmt.Errorf("%.0f packets/s: %w", rate, err))
		}
	}
	return errors.Join(wrong...)
}

func (c *Cell) checkRate(ctx context.Context, rig *udpRig, rate float64) error {
	length := Pick(c.Env, 2*time.Second, 500*time.Millisecond)
	all, err := load.Accuracy(ctx, rig.generator, rate, length, rateAttempts, rateTolerance)
	if err != nil {
		return err
	}
	last := all[len(all)-1]
	parameter := fmt.Sprintf("%.0f kpps", rate/1e3)
	c.Add(Metric{parameter, "rate set", "packets/s", true}, rate)
	c.Add(Metric{parameter, "rate kept", "packets/s", true}, last.Got)
	c.Add(Metric{parameter, "deviation", "%", false}, 100*last.Error())
	if last.Error() > rateTolerance {
		return fmt.Errorf("not kept in %d attempts: %.0f packets/s in the last, in which %d frames found the NIC's ring full",
			len(all), last.Got, last.Missed)
	}
	return nil
}
