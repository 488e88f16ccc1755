package experiment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"falcon/tests/bench/load"
	"falcon/tests/bench/subject"
)

// udpSize is a payload and what the report calls it.
type udpSize struct {
	name    string
	payload int
}

// greatestDatagram is the longest payload of UDP over IPv4, which comes in fragments.
const greatestDatagram = 1<<16 - 1 - ipv4Header - udpHeader

// udpSingle measures how many packets of one flow an application receives, by payload: at most without loss, and when more
// are offered than can be received.
func udpSingle(ctx context.Context, e *Env) error {
	mtu, err := e.leastMTU(ctx)
	if err != nil {
		return err
	}
	// The same for all subjects, and whole in each.
	whole := udpSize{"MTU", mtu - ipv4Header - udpHeader}
	sizes := Pick(e,
		[]udpSize{{"16 B", 16}, {"256 B", 256}, {"1 KB", 1 << 10}, whole, {"64 KB", greatestDatagram}},
		[]udpSize{{"16 B", 16}, whole})
	return e.Rounds(ctx, func(ctx context.Context, c *Cell) error {
		for _, size := range sizes {
			if err := c.udpRates(ctx, size); err != nil {
				return fmt.Errorf("payload %s: %w", size.name, err)
			}
		}
		return nil
	})
}

// udpRates measures one payload.
func (c *Cell) udpRates(ctx context.Context, size udpSize) error {
	path, err := c.path(ctx, 0, firstPort)
	if err != nil {
		return err
	}
	if size.payload != greatestDatagram {
		return c.udpRatesOn(ctx, path, size)
	}
	return withReassembly(ctx, c.reassemblers(path.To), func() error { return c.udpRatesOn(ctx, path, size) })
}

func (c *Cell) udpRatesOn(ctx context.Context, path subject.Path, size udpSize) (failure error) {
	rig, err := c.openUDP(ctx, udpLoad{Paths: []subject.Path{path}, Payload: size.payload})
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, rig.Close()) }()
	s := &udpSamples{rig: rig, length: Pick(c.Env, 120*time.Millisecond, 80*time.Millisecond)}
	flooded, err := s.run(ctx, 0, Pick(c.Env, floodLength, quickFlood))
	if err != nil || c.Warmup() {
		return err
	}
	rate := flooded.steady()
	c.Add(Metric{size.name, "overload rate", "kpps", true}, rate/1e3)
	if size.payload >= 1<<10 {
		c.Add(Metric{size.name, "overload goodput", "Gbit/s", true}, rate*float64(size.payload)*8/1e9)
	}
	// A pause of a few milliseconds, which is nothing unusual on a machine that others share, overflows the NIC's ring. So
	// a trial that lost is repeated rather than that losses of some percent, which a long pause means, are tolerated.
	found, err := lossFree(ctx, s.trial, flooded, load.Search{Resolution: Pick(c.Env, 0.04, 0.05), Tolerance: 0.001, Repeats: 1})
	if err != nil {
		return err
	}
	c.Add(Metric{size.name, "loss-free rate", "kpps", true}, found.Rate/1e3)
	if err := c.udpLosses(ctx, size, s, found.Rate); err != nil {
		return err
	}
	c.Add(Metric{size.name, "reordered packets", "ppm", false}, s.reordered())
	return nil
}

// udpLosses notes where packets are lost when more are offered than the loss-free rate.
func (c *Cell) udpLosses(ctx context.Context, size udpSize, s *udpSamples, lossFree float64) error {
	run, err := s.run(ctx, lossFree*1.4, s.length)
	if err != nil {
		return err
	}
	lost := run.losses()
	c.Add(Metric{size.name, "lost at 140% of the loss-free rate, by the NIC's ring", "%", false}, 100*lost.ring)
	c.Add(Metric{size.name, "lost at 140% of the loss-free rate, on the way", "%", false}, 100*lost.stack)
	c.Add(Metric{size.name, "lost at 140% of the loss-free rate, by the socket", "%", false}, 100*lost.socket)
	return nil
}

// Lengths of a flood, a third of which is not counted.
const (
	floodLength = 600 * time.Millisecond
	quickFlood  = 300 * time.Millisecond
)

// udpSamples makes runs with a rig and counts what the search for rates does not want to know.
type udpSamples struct {
	rig    *udpRig
	length time.Duration // of a trial

	received, late uint64
}

func (s *udpSamples) run(ctx context.Context, rate float64, d time.Duration) (udpRun, error) {
	run, err := s.rig.run(ctx, rate, d)
	if err != nil {
		return run, err
	}
	total := run.Total()
	s.received += total.Received
	s.late += total.Reordered
	return run, nil
}

func (s *udpSamples) trial(ctx context.Context, rate float64) (load.Outcome, error) {
	run, err := s.run(ctx, rate, s.length)
	if err != nil {
		return load.Outcome{}, err
	}
	return run.Outcome(), nil
}

// reordered packets of a million, in all runs.
func (s *udpSamples) reordered() float64 {
	if s.received == 0 {
		return 0
	}
	return float64(s.late) / float64(s.received) * 1e6
}
