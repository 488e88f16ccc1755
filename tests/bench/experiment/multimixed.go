package experiment

import (
	"context"
	"errors"
	"fmt"
)

// Elephants are few flows that have most packets, mice are many that have few.
const (
	elephants      = 2
	elephantsShare = 9 // of ten packets
)

// mixed measures what becomes of mice beside elephants: at a moderate rate, in packets per second, which is the same for
// all subjects, and when the subject is overloaded.
func (c *Cell) mixed(ctx context.Context, moderate float64) error {
	for _, mice := range Pick(c.Env, []int{10, 40}, []int{10}) {
		if err := c.mice(ctx, mice, moderate); err != nil {
			return fmt.Errorf("%d mice: %w", mice, err)
		}
	}
	return nil
}

func (c *Cell) mice(ctx context.Context, mice int, moderate float64) (failure error) {
	l, err := c.mixedLoad(ctx, mice)
	if err != nil {
		return err
	}
	rig, err := c.openUDP(ctx, l)
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, rig.Close()) }()
	name := fmt.Sprintf("%d elephants, %d mice", elephants, mice)
	length := Pick(c.Env, floodLength, quickFlood)
	run, err := rig.run(ctx, moderate, length)
	if err != nil {
		return err
	}
	c.addMice(name+", moderate", run)
	flooded, err := rig.run(ctx, 0, quickFlood)
	if err != nil {
		return err
	}
	// At a fixed rate the NIC's ring overflows, as that of a real one does; a flood goes as fast as it is taken.
	if run, err = rig.run(ctx, flooded.Sent.Rate()*aboveFlood, length); err != nil {
		return err
	}
	c.addMice(name+", overloaded", run)
	return nil
}

// aboveFlood is how much more is offered than the NIC's core can hand on.
const aboveFlood = 1.2

// mixedLoad has the elephants first. They share a reader, and so do the mice.
func (c *Cell) mixedLoad(ctx context.Context, mice int) (udpLoad, error) {
	l := udpLoad{Payload: 1 << 10}
	for i := range elephants + mice {
		port, weight := uint16(firstPort), uint32(mice*elephantsShare/(10-elephantsShare)/elephants)
		if i >= elephants {
			port, weight = firstPort+1, 1
		}
		path, err := c.path(ctx, 0, port)
		if err != nil {
			return l, err
		}
		path.FromPort = firstPort + uint16(i)
		l.Paths, l.Weights = append(l.Paths, path), append(l.Weights, weight)
	}
	return l, nil
}

// addMice notes what came of a run of a mixed load.
func (c *Cell) addMice(parameter string, run udpRun) {
	var offered, received uint64
	for i := elephants; i < len(run.Sent.Flows); i++ {
		offered += run.Sent.Flows[i].Offered
		received += run.Flow(i).Received
	}
	c.Add(Metric{parameter, "mixed: offered rate, 1 KB", "kpps", true}, run.Rate/1e3)
	c.Add(Metric{parameter, "mixed: rate, 1 KB", "kpps", true}, run.steady()/1e3)
	if offered > 0 {
		c.Add(Metric{parameter, "mixed: mice's packets lost", "%", false}, 100*(1-float64(received)/float64(offered)))
	}
	if latency := run.Readers[1].Latency; latency.Count() > 0 {
		c.Add(Metric{parameter, "mixed: mice's latency, p99", "us", false}, micros(latency.Quantile(0.99)))
	}
}
