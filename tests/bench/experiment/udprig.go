package experiment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"falcon/tests/bench/load"
	"falcon/tests/bench/subject"
)

// udpLoad describes UDP packets that come to places of a subject.
type udpLoad struct {
	Paths    []subject.Path // one per flow; flows to one place and port share a reader
	Weights  []uint32       // of the flows; nil: all alike
	Payload  int            // bytes of a datagram; what the path's MTU is too small for comes in fragments
	Batch    int            // turns of the generator per batch; 0: its default. For latencies at low rates take 8
	Interval time.Duration  // of the readers' series, by which trials tell what came in time; 0: 1 ms
}

const defaultInterval = time.Millisecond

// udpRig is a generator on the NIC's core and readers on the application's.
type udpRig struct {
	load      udpLoad
	generator *load.Generator
	readers   []*load.UDPReader
	readerOf  []int // by flow
}

// openUDP starts a generator and readers. The caller closes them.
func (c *Cell) openUDP(ctx context.Context, l udpLoad) (*udpRig, error) {
	config, err := c.frames(l.Paths)
	if err != nil {
		return nil, fmt.Errorf("open UDP load: %w", err)
	}
	r, err := newUDPRig(ctx, config, c.Bed.Cores.App, l)
	if err != nil {
		return nil, fmt.Errorf("open UDP load: %w", err)
	}
	return r, nil
}

// newUDPRig completes a generator's configuration, whose flows are those of the load's paths.
func newUDPRig(ctx context.Context, config load.Config, app int, l udpLoad) (r *udpRig, failure error) {
	if len(l.Paths) == 0 || len(config.Flows) != len(l.Paths) || (l.Weights != nil && len(l.Weights) != len(l.Paths)) {
		return nil, fmt.Errorf("%d paths, %d flows, %d weights: must be as many", len(l.Paths), len(config.Flows), len(l.Weights))
	}
	if l.Interval == 0 {
		l.Interval = defaultInterval
	}
	config.Protocol, config.Payload, config.Batch = load.UDP, l.Payload, l.Batch
	for i, w := range l.Weights {
		config.Flows[i].Weight = w
	}
	r = &udpRig{load: l}
	defer func() {
		if failure != nil {
			failure = errors.Join(failure, r.Close())
		}
	}()
	if err := r.startReaders(ctx, app); err != nil {
		return nil, err
	}
	var err error
	r.generator, err = load.New(config)
	return r, err
}

func (r *udpRig) startReaders(ctx context.Context, app int) error {
	var ends []end
	ends, r.readerOf = endsOf(r.load.Paths)
	for _, s := range ends {
		if err := ctx.Err(); err != nil {
			return err
		}
		reader, err := load.StartUDPReader(load.ReaderConfig{
			Namespace: s.namespace, CPU: app, Listen: s.local,
			Flows: len(r.load.Paths), Payload: r.load.Payload, Interval: r.load.Interval,
		})
		if err != nil {
			return err
		}
		r.readers = append(r.readers, reader)
	}
	return nil
}

// Close ends the generator and the readers. It may be called again.
func (r *udpRig) Close() error {
	var all []error
	if r.generator != nil {
		all = append(all, r.generator.Close())
	}
	for _, reader := range r.readers {
		all = append(all, reader.Close())
	}
	return errors.Join(all...)
}

// quiet is how long nothing may come before a rig is held to be drained: twice as long as a reader sleeps.
const quiet = 10 * time.Millisecond

// lead is how long after its start a generator sends its first packet.
const lead = time.Millisecond

// run offers packets at a rate, 0 being as fast as can be, and waits until the last have arrived.
func (r *udpRig) run(ctx context.Context, rate float64, d time.Duration) (udpRun, error) {
	reset := make([]time.Time, len(r.readers))
	err := each(r.readers, func(i int, reader *load.UDPReader) error {
		err := reader.Reset()
		reset[i] = time.Now() // a reader answers at once, so its series began just before
		return err
	})
	if err != nil {
		return udpRun{}, err
	}
	run := udpRun{Readers: make([]load.Counts, len(r.readers)), Rate: rate, rig: r, wanted: d}
	for _, at := range reset {
		run.begins = append(run.begins, time.Since(at)+lead)
	}
	if run.Sent, err = r.generator.Run(ctx, rate, d); err != nil {
		return udpRun{}, err
	}
	err = each(r.readers, func(i int, reader *load.UDPReader) (err error) {
		if err := reader.Drain(ctx, quiet); err != nil {
			return err
		}
		run.Readers[i], err = reader.Counts()
		if foreign := run.Readers[i].Foreign; err == nil && foreign > 0 {
			err = fmt.Errorf("reader %d: %d packets that nobody sent", i, foreign)
		}
		return err
	})
	return run, errors.Join(err, ctx.Err())
}

// trial offers packets for a time; see udpRun.Outcome for what counts.
func (r *udpRig) trial(d time.Duration) load.Trial {
	return func(ctx context.Context, rate float64) (load.Outcome, error) {
		run, err := r.run(ctx, rate, d)
		if err != nil {
			return load.Outcome{}, err
		}
		return run.Outcome(), nil
	}
}
