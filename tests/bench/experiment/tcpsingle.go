package experiment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"falcon/tests/bench/subject"
)

// tcpSize is how many bytes a sender writes at once, and what the report calls that.
type tcpSize struct {
	name   string
	length int
}

// tcpSingle measures the throughput of one TCP stream: from a real sender, by the length of its messages, with and
// without segmentation offload; and what the receiver takes of segments that cost no sender anything.
func tcpSingle(ctx context.Context, e *Env) error {
	return e.Rounds(ctx, func(ctx context.Context, c *Cell) error {
		path, err := c.path(ctx, 0, firstPort)
		if err != nil {
			return err
		}
		if c.Warmup() {
			return c.tcpSegments(ctx, path, tcpSize{})
		}
		if err := c.tcpSent(ctx, path); err != nil {
			return err
		}
		return c.tcpInjected(ctx, path)
	})
}

// tcpSent measures with a real sender.
func (c *Cell) tcpSent(ctx context.Context, path subject.Path) error {
	sizes := Pick(c.Env, []tcpSize{{"64 B", 64}, {"4 KB", 4 << 10}, {"64 KB", 64 << 10}}, []tcpSize{{"64 KB", 64 << 10}})
	send := func(offload string) error {
		for _, size := range sizes {
			rate, err := c.iperf3(ctx, path, size.length, 1)
			if err != nil {
				return fmt.Errorf("messages of %s, offload %s: %w", size.name, offload, err)
			}
			c.Add(Metric{size.name + " messages, offload " + offload, "throughput, iperf3", "Gbit/s", true}, rate/1e9)
		}
		return nil
	}
	if err := send("on"); err != nil {
		return err
	}
	return withoutOffload(ctx, c.sendersNICs(path.From), func() error { return send("off") })
}

// tcpInjected measures the receive path alone. Segments are those of a sender that has much to send, or of one that sends
// each small message as it comes (TCP_NODELAY).
func (c *Cell) tcpInjected(ctx context.Context, path subject.Path) error {
	segments := []tcpSize{{"full segments", 0}, {"64 B segments", 64}}
	for _, s := range Pick(c.Env, segments, segments[:1]) {
		if err := c.tcpSegments(ctx, path, s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (c *Cell) tcpSegments(ctx context.Context, path subject.Path, size tcpSize) (failure error) {
	rig, err := c.openTCP(ctx, tcpLoad{Paths: []subject.Path{path}, Segment: size.length})
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, rig.Close()) }()
	run, err := rig.settle(ctx, Pick(c.Env, 800*time.Millisecond, 400*time.Millisecond))
	if err != nil {
		return err
	}
	c.Add(Metric{size.name, "throughput, injected", "Gbit/s", true}, run.Gbits())
	c.Add(Metric{size.name, "CPU of the application's core, injected", "%", false}, run.Busy(c.Bed.Cores.App))
	return nil
}
