package experiment

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"falcon/tests/bench/load"
	"falcon/tests/bench/report"
	"falcon/tests/bench/subject"
)

// latency measures round trips between a real client and a real server, and how long injected packets take one way, from
// when they come due at the NIC to when the application has them.
//
// A round trip is the whole of it (sockperf reports half). On two cores the client shares the NIC's core, as ever, and
// most of an idle round trip is waking two sleeping processes, which costs all subjects the same.
func latency(ctx context.Context, e *Env) error {
	return e.Rounds(ctx, func(ctx context.Context, c *Cell) error {
		p, err := c.path(ctx, 0, firstPort)
		if err != nil {
			return err
		}
		if err := c.roundTrips(ctx, p, "idle"); err != nil {
			return fmt.Errorf("idle: %w", err)
		}
		if err := c.roundTripsBeside(ctx, p); err != nil {
			return fmt.Errorf("with background: %w", err)
		}
		if err := c.oneWay(ctx, p); err != nil {
			return fmt.Errorf("one way: %w", err)
		}
		return nil
	})
}

// message is what goes to and fro.
type message struct {
	protocol load.Protocol
	size     int
}

// messages of the full and of the short form. On a path of 1500 bytes, 4 KB of UDP are fragments.
func messages(e *Env) []message {
	return Pick(e,
		[]message{{load.UDP, 16}, {load.TCP, 16}, {load.UDP, 4096}, {load.TCP, 4096}},
		[]message{{load.UDP, 16}, {load.TCP, 16}})
}

func (m message) String() string {
	if m.size%1024 == 0 {
		return fmt.Sprintf("%v %d KB", m.protocol, m.size/1024)
	}
	return fmt.Sprintf("%v %d B", m.protocol, m.size)
}

// latencyLength is for how long latencies of a kind are sampled.
func (c *Cell) latencyLength() time.Duration {
	if c.Warmup() {
		return 100 * time.Millisecond
	}
	return Pick(c.Env, time.Second, 250*time.Millisecond)
}

// pingWarmup is what is not counted of a conversation: the first packets fill caches and neighbour tables.
const pingWarmup = 30 * time.Millisecond

func (c *Cell) roundTrips(ctx context.Context, p subject.Path, load string) error {
	for _, m := range messages(c.Env) {
		if err := c.roundTrip(ctx, p, m, fmt.Sprintf("%v, %s", m, load)); err != nil {
			return fmt.Errorf("%v: %w", m, err)
		}
	}
	return nil
}

func (c *Cell) roundTrip(ctx context.Context, p subject.Path, m message, parameter string) (failure error) {
	end := func(at subject.Place, cpu int, local, remote netip.AddrPort) load.PingConfig {
		return load.PingConfig{
			Namespace: at.Device.Namespace, CPU: cpu, Protocol: m.protocol, Local: local, Remote: remote, Size: m.size,
		}
	}
	server, err := load.StartEchoServer(end(p.To, c.Bed.Cores.App, local(p), remote(p)))
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, server.Close()) }()
	client, err := load.StartPinger(end(p.From, c.Bed.Cores.Client, remote(p), local(p)))
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, client.Close()) }()
	if err := sleep(ctx, pingWarmup); err != nil {
		return err
	}
	counts, err := client.Measure(ctx, c.latencyLength())
	if err != nil {
		return err
	}
	c.addLatency(parameter, "round trip", counts.Latency)
	if m.protocol == load.UDP {
		c.Add(Metric{parameter, "lost round trips", "1", false}, float64(counts.Lost))
	}
	return nil
}

// latencyQuantiles are those that are reported.
var latencyQuantiles = []struct {
	name string
	q    float64
}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}}

// addLatency notes quantiles, and of the last round the whole distribution: one curve tells the shape.
func (c *Cell) addLatency(parameter, name string, h *load.Histogram) {
	for _, q := range latencyQuantiles {
		c.Add(Metric{parameter, name + ", " + q.name, "us", false}, micros(h.Quantile(q.q)))
	}
	if _, last := c.rounds(); c.round == last {
		c.AddDistribution(Metric{parameter, name, "us", false}, thinned(h.CDF()))
	}
}

// thinned leaves points of a distribution out until they are 1% apart, but not in the last percent: that is the tail.
func thinned(points []load.Point) []report.Quantile {
	const apart, tail, apartInTail = 0.01, 0.99, 0.0005
	var kept []report.Quantile
	last := -1.0
	for i, p := range points {
		step := apart
		if p.Share > tail {
			step = apartInTail
		}
		if p.Share-last >= step || i == len(points)-1 {
			kept = append(kept, report.Quantile{Value: micros(p.Value), Fraction: p.Share})
			last = p.Share
		}
	}
	return kept
}
