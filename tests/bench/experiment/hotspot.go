package experiment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"falcon/tests/bench/report"
)

// hotspot measures what becomes of a steady load of UDP when something else loads a core all of a sudden, for a third of
// the time: the core of the receiving application. Who receives on the NIC's core only loses part of the application's
// time; who has moved work of the receive path to the loaded core loses that too, unless it moves it on. With only two
// cores there is nowhere else but the NIC's.
//
// The rate is the same for all subjects: a share of what the plain overlay can receive, measured first.
func hotspot(ctx context.Context, e *Env) error {
	base, err := e.measureReference(ctx, flowsOf(hotspotFlows), report.Overlay, plainFalcon, report.Host)
	if err != nil {
		return err
	}
	rate := hotspotShare * base.rate
	e.Note(base.subject, hotspotMetric("offered rate", "kpps", true), 0, rate/1e3)
	return e.Rounds(ctx, func(ctx context.Context, c *Cell) error { return c.hotspotTurn(ctx, rate) })
}

const (
	hotspotFlows     = 4
	hotspotShare     = 0.8
	hotspotInterval  = 50 * time.Millisecond
	hotspotParameter = "UDP 16 B, 4 flows"
)

func (c *Cell) hotspotTurn(ctx context.Context, rate float64) (failure error) {
	l, err := flowsOf(hotspotFlows)(ctx, c)
	if err != nil {
		return err
	}
	l.Interval = hotspotInterval
	rig, err := c.openUDP(ctx, l)
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, rig.Close()) }()
	d, err := c.disturb(ctx, rig, rate, c.hotspotPart())
	if err != nil {
		return err
	}
	c.addHotspot(d)
	return nil
}

func (c *Cell) hotspotPart() time.Duration {
	if c.Warmup() {
		return 500 * time.Millisecond
	}
	return Pick(c.Env, 2*time.Second, 700*time.Millisecond)
}

// disturb runs a rig with a single reader for three parts of a time, and loads its core in the second.
func (c *Cell) disturb(ctx context.Context, rig *udpRig, rate float64, part time.Duration) (dip, error) {
	var run udpRun
	var from, to time.Duration
	began := time.Now() // of the series too, but for the few milliseconds that a reader takes to begin it
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		run, err = rig.run(ctx, rate, 3*part)
		return err
	})
	group.Go(func() (err error) {
		if err := sleep(ctx, part); err != nil {
			return err
		}
		from = time.Since(began)
		err = hog(ctx, c.Bed.Receiver, c.Bed.Cores.App, part)
		to = time.Since(began)
		return err
	})
	if err := group.Wait(); err != nil {
		return dip{}, err
	}
	d := newDip(run.Readers[0].Series, hotspotInterval, from, to, 3*part)
	if d.before.rate == 0 {
		return d, fmt.Errorf("before the disturbance: %w", errNothing)
	}
	return d, nil
}

func hotspotMetric(name, unit string, higherIsBetter bool) Metric {
	return Metric{Parameter: hotspotParameter, Name: name, Unit: unit, HigherIsBetter: higherIsBetter}
}

func (c *Cell) addHotspot(d dip) {
	c.Add(hotspotMetric("rate before", "kpps", true), d.before.rate/1e3)
	c.Add(hotspotMetric("rate during", "kpps", true), d.during.rate/1e3)
	c.Add(hotspotMetric("rate after", "kpps", true), d.after.rate/1e3)
	c.Add(hotspotMetric("loss during", "%", false), 100*d.during.loss)
	// What the buffers hold back before anything is lost shows here alone. If nothing came there is no latency.
	c.Add(hotspotMetric("latency before, average", "us", false), micros(d.before.latency))
	if d.during.loss < 1 {
		c.Add(hotspotMetric("latency during, average", "us", false), micros(d.during.latency))
	}
	c.Add(hotspotMetric("time to recover", "ms", false), millis(d.recovery))
	c.AddSeries(hotspotMetric("received rate", "kpps", true), d.points)
}

// sleep waits, or until the context ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
