package experiment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"falcon/tests/bench/subject"
)

// multiFlow measures many flows: into one container, into a container each, and few that have most of the packets beside
// many that have few.
func multiFlow(ctx context.Context, e *Env) error {
	rates := flowRates{}
	if err := e.Rounds(ctx, func(ctx context.Context, c *Cell) error {
		return c.flowsToOne(ctx, rates)
	}); err != nil {
		return err
	}
	if err := e.Rounds(ctx, func(ctx context.Context, c *Cell) error { return c.flowsToEach(ctx) }); err != nil {
		return err
	}
	least, ok := rates.least()
	if !ok {
		return errors.New("no subject told how much is much")
	}
	return e.Rounds(ctx, func(ctx context.Context, c *Cell) error { return c.mixed(ctx, least/2) })
}

// flowRates are the rates, in packets per second, that subjects reached in each round.
type flowRates map[string][]float64

// least is that of the slowest subject: its median.
func (r flowRates) least() (rate float64, ok bool) {
	for _, all := range r {
		all = slices.Sorted(slices.Values(all))
		if middle := all[len(all)/2]; !ok || middle < rate {
			rate, ok = middle, true
		}
	}
	return rate, ok
}

// typicalFlows is the number of flows whose rate stands for a subject.
const typicalFlows = 10

// flowsToOne measures some flows to one application.
func (c *Cell) flowsToOne(ctx context.Context, rates flowRates) error {
	for _, n := range c.numbers(typicalFlows) {
		paths, err := c.pathsToOne(ctx, n)
		if err != nil {
			return err
		}
		parameter := plural(n, "flow")
		rate, err := c.udpMany(ctx, paths, parameter)
		if err != nil {
			return fmt.Errorf("%s of UDP: %w", parameter, err)
		}
		if n == typicalFlows && !c.Warmup() {
			rates[c.Subject.Name] = append(rates[c.Subject.Name], rate)
		}
		if err := c.tcpMany(ctx, paths, parameter); err != nil {
			return fmt.Errorf("%s of TCP: %w", parameter, err)
		}
	}
	return nil
}

// flowsToEach measures one flow to each of some containers, of the subject host to each of some applications.
func (c *Cell) flowsToEach(ctx context.Context) error {
	for _, n := range c.numbers(5) {
		paths, err := c.pathsToEach(ctx, n)
		if err != nil {
			return err
		}
		parameter := plural(n, "container")
		if _, err := c.udpMany(ctx, paths, parameter); err != nil {
			return fmt.Errorf("UDP to %s: %w", parameter, err)
		}
		if err := c.tcpMany(ctx, paths, parameter); err != nil {
			return fmt.Errorf("TCP to %s: %w", parameter, err)
		}
	}
	return nil
}

// numbers of flows or containers: one and some in the short form.
func (c *Cell) numbers(some int) []int {
	full := []int{1, 2, 5, 10, 20, 40}
	if c.Warmup() {
		return full[len(full)-1:]
	}
	return Pick(c.Env, full, []int{1, some})
}

// pathsToOne lead from different ports to one.
func (c *Cell) pathsToOne(ctx context.Context, n int) ([]subject.Path, error) {
	path, err := c.path(ctx, 0, firstPort)
	if err != nil {
		return nil, err
	}
	var all []subject.Path
	for i := range n {
		all = append(all, path)
		all[i].FromPort += uint16(i)
	}
	return all, nil
}

// pathsToEach lead to a place each, and there to different ports, since those of a host are one. They come from one place:
// frames that are injected need no senders.
func (c *Cell) pathsToEach(ctx context.Context, n int) ([]subject.Path, error) {
	first, err := c.path(ctx, 0, firstPort)
	if err != nil {
		return nil, err
	}
	places, err := c.Bed.Places(ctx, c.Subject, c.Bed.Receiver, n)
	if err != nil {
		return nil, fmt.Errorf("make %d places of the receiver: %w", n, err)
	}
	var all []subject.Path
	for i, to := range places {
		port := firstPort + uint16(i)
		all = append(all, subject.Path{From: first.From, To: to, FromPort: port, ToPort: port})
	}
	return all, nil
}

// udpMany measures the rate, in packets per second of all flows together, of short packets when too many are offered.
func (c *Cell) udpMany(ctx context.Context, paths []subject.Path, parameter string) (rate float64, failure error) {
	rig, err := c.openUDP(ctx, udpLoad{Paths: paths, Payload: shortPayload})
	if err != nil {
		return 0, err
	}
	defer func() { failure = errors.Join(failure, rig.Close()) }()
	run, err := rig.run(ctx, 0, Pick(c.Env, floodLength, quickFlood))
	if err != nil {
		return 0, err
	}
	if run.Total().Received == 0 {
		return 0, errNothing
	}
	rate = run.steady()
	c.Add(Metric{parameter, "UDP rate, 16 B, overloaded", "kpps", true}, rate/1e3)
	return rate, nil
}

// tcpMany measures the throughput of all flows together, whose segments come in turns. That is hard on GRO, which finds
// only so many of a flow in one poll of the NIC: senders with segmentation offload would send some of each in a row.
func (c *Cell) tcpMany(ctx context.Context, paths []subject.Path, parameter string) (failure error) {
	rig, err := c.openTCP(ctx, tcpLoad{Paths: paths})
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, rig.Close()) }()
	run, err := rig.settle(ctx, Pick(c.Env, 300*time.Millisecond, 150*time.Millisecond))
	if err != nil {
		return err
	}
	c.Add(Metric{parameter, "TCP throughput, injected, segments in turns", "Gbit/s", true}, run.Gbits())
	return nil
}
