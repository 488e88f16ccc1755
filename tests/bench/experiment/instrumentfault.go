package experiment

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"falcon/tests/bench/load"
	"falcon/tests/bench/subject"
)

// fault is a kind of error that is injected, and what a receiver of so many packets of a flow must count then.
type fault struct {
	name   string
	inject load.Faults
	expect func(packets uint64) load.FlowCounts // less Bytes
	of     func(load.FlowCounts) uint64         // the count that it is about
}

// faultPeriod is the period of each fault, in packets.
const faultPeriod = 10

// faults are those that the generator can make.
func faults() []fault {
	return []fault{
		{
			"loss", load.Faults{Drop: faultPeriod},
			// What is left out at the very end has no successor to give it away.
			func(n uint64) load.FlowCounts { return load.FlowCounts{Received: n, Lost: (n - 1) / (faultPeriod - 1)} },
			func(c load.FlowCounts) uint64 { return c.Lost },
		},
		{
			"reordering", load.Faults{Swap: faultPeriod},
			func(n uint64) load.FlowCounts {
				return load.FlowCounts{Received: n, Reordered: n / faultPeriod, Extent: 1}
			},
			func(c load.FlowCounts) uint64 { return c.Reordered },
		},
		{
			"duplicates", load.Faults{Duplicate: faultPeriod},
			func(n uint64) load.FlowCounts {
				twice := n / (faultPeriod + 1)
				return load.FlowCounts{Received: n - twice, Duplicates: twice}
			},
			func(c load.FlowCounts) uint64 { return c.Duplicates },
		},
	}
}

// The receiver must not lose packets by itself. So a run sends no more than each queue on the way holds (the NIC's ring 1024,
// the backlog 1000, the socket's buffer about 1800): then nothing is lost, however long a busy machine lets any of us
// wait. A multiple of the periods plus one, so that the last fault shows.
const (
	faultPackets = 891
	faultRate    = 18000 // packets/s, far below what any receiver takes
	faultLength  = time.Second * faultPackets / faultRate
)

// checkFault sends with errors in several runs, and compares.
func (c *Cell) checkFault(ctx context.Context, path subject.Path, f fault) (failure error) {
	config, err := c.frames([]subject.Path{path})
	if err != nil {
		return err
	}
	config.Faults = f.inject
	rig, err := newUDPRig(ctx, config, c.Bed.Cores.App, udpLoad{Paths: []subject.Path{path}, Payload: shortPayload})
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, rig.Close()) }()
	var injected, counted uint64
	var wrong []error
	for range Pick(c.Env, 20, 5) {
		run, err := rig.run(ctx, faultRate, faultLength)
		if err != nil {
			return err
		}
		want := f.expect(run.Sent.Packets())
		got, err := allArrived(ctx, rig, run.Sent.Packets())
		if err != nil {
			return err
		}
		want.Bytes = want.Received * shortPayload
		injected, counted = injected+f.of(want), counted+f.of(got)
		if want != got {
			wrong = append(wrong, fmt.Errorf("%d packets of %d sent: counted %+v, not %+v",
				run.Sent.Packets(), run.Sent.Offered, got, want))
		}
	}
	parameter := fmt.Sprintf("%s, 1 of %d", f.name, faultPeriod)
	c.Add(Metric{parameter, "injected", "packets", true}, float64(injected))
	c.Add(Metric{parameter, "counted", "packets", true}, float64(counted))
	c.Add(Metric{parameter, "deviation", "%", false}, 100*math.Abs(float64(counted)-float64(injected))/float64(injected))
	return errors.Join(wrong...)
}

// lateLimit is how long packets may wait on a machine that does other things first.
const lateLimit = time.Second

// allArrived is what a rig's only reader counts when it has all packets that were sent, or no more come.
func allArrived(ctx context.Context, rig *udpRig, packets uint64) (load.FlowCounts, error) {
	for began := time.Now(); ; {
		counts, err := rig.readers[0].Counts()
		if err != nil {
			return load.FlowCounts{}, err
		}
		if f := counts.Flows[0]; f.Received+f.Duplicates >= packets || time.Since(began) > lateLimit {
			return f, nil
		}
		if err := rig.readers[0].Drain(ctx, quiet); err != nil {
			return load.FlowCounts{}, err
		}
	}
}
