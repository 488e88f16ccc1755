package experiment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"falcon/tests/bench/load"
	"falcon/tests/bench/subject"
)

// tcpLoad describes TCP streams that come to places of a subject without a sender.
type tcpLoad struct {
	Paths    []subject.Path // one per stream; streams to one place and port share a sink
	Segment  int            // bytes of payload; 0: as many as the paths' MTU allows
	Interval time.Duration  // of the sinks' series; 0: none
}

// tcpRig is a generator on the NIC's core and sinks on the application's.
type tcpRig struct {
	generator *load.Generator
	sinks     []*load.TCPSink
}

// openTCP starts a generator and sinks. The caller closes them.
func (c *Cell) openTCP(ctx context.Context, l tcpLoad) (*tcpRig, error) {
	config, err := c.frames(l.Paths)
	if err != nil {
		return nil, fmt.Errorf("open TCP load: %w", err)
	}
	r, err := newTCPRig(ctx, config, c.Bed.Cores.App, l)
	if err != nil {
		return nil, fmt.Errorf("open TCP load: %w", err)
	}
	return r, nil
}

// newTCPRig completes a generator's configuration, whose flows are those of the load's paths.
func newTCPRig(ctx context.Context, config load.Config, app int, l tcpLoad) (r *tcpRig, failure error) {
	if len(l.Paths) == 0 || len(config.Flows) != len(l.Paths) {
		return nil, fmt.Errorf("%d paths, %d flows: must be as many", len(l.Paths), len(config.Flows))
	}
	if l.Segment == 0 {
		l.Segment = config.MTU - ipv4Header - tcpHeader
	}
	config.Protocol, config.Payload = load.TCP, l.Segment
	r = &tcpRig{}
	defer func() {
		if failure != nil {
			failure = errors.Join(failure, r.Close())
		}
	}()
	var err error
	// It comes first, so that no acknowledgement finds its way to a real host, which would answer with a reset.
	if r.generator, err = load.New(config); err != nil {
		return nil, err
	}
	for _, c := range sinkConfigs(l, app) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		sink, err := load.StartTCPSink(c)
		if err != nil {
			return nil, err
		}
		r.sinks = append(r.sinks, sink)
	}
	return r, nil
}

// sinkConfigs are one for each end.
func sinkConfigs(l tcpLoad, app int) []load.SinkConfig {
	ends, endOf := endsOf(l.Paths)
	all := make([]load.SinkConfig, len(ends))
	for i, s := range ends {
		all[i] = load.SinkConfig{Namespace: s.namespace, CPU: app, MSS: l.Segment, Interval: l.Interval}
	}
	for i, p := range l.Paths {
		c := &all[endOf[i]]
		c.Streams = append(c.Streams, load.Stream{Local: local(p), Remote: remote(p)})
	}
	return all
}

// Close ends the sinks and the generator. It may be called again.
func (r *tcpRig) Close() error {
	var all []error
	// In this order for the same reason as in that of the start.
	for _, sink := range r.sinks {
		all = append(all, sink.Close())
	}
	if r.generator != nil {
		all = append(all, r.generator.Close())
	}
	return errors.Join(all...)
}

// run lets segments come at a rate per second, 0 being as fast as windows and the NIC's core allow. What is still in
// flight at the end, a window for each stream at most, is not waited for and counts as little as what is at the start.
func (r *tcpRig) run(ctx context.Context, rate float64, d time.Duration) (run tcpRun, err error) {
	if err := each(r.sinks, func(_ int, sink *load.TCPSink) error { return sink.Reset() }); err != nil {
		return run, err
	}
	before, err := load.TakeSnapshot()
	if err != nil {
		return run, err
	}
	if run.Sent, err = r.generator.Run(ctx, rate, d); err != nil {
		return run, err
	}
	after, err := load.TakeSnapshot()
	if err != nil {
		return run, err
	}
	run.Usage, run.Elapsed, run.Sinks = after.Since(before), run.Sent.Elapsed, make([]load.SinkCounts, len(r.sinks))
	err = each(r.sinks, func(i int, sink *load.TCPSink) (err error) {
		run.Sinks[i], err = sink.Counts()
		return err
	})
	return run, errors.Join(err, ctx.Err())
}

// settling is how long streams may take until their windows are open: the kernel lets a socket's buffer grow as it is read.
const settling = 100 * time.Millisecond

// settle runs as fast as can be, first for streams to get going and then to measure.
func (r *tcpRig) settle(ctx context.Context, d time.Duration) (tcpRun, error) {
	if _, err := r.run(ctx, 0, settling); err != nil {
		return tcpRun{}, err
	}
	run, err := r.run(ctx, 0, d)
	if err == nil && run.Bytes() == 0 {
		err = errNothing
	}
	return run, err
}
