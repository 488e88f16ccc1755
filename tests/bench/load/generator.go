package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Generator hands frames to a network device. Make one with New. Its TCP streams go on from one run to the next; the
// numbers in UDP packets begin anew with each.
type Generator struct {
	config   Config
	plan     plan
	injector *injector

	mu     sync.Mutex // a run at a time; guards closed
	closed bool
}

// New makes a generator. It needs root.
func New(c Config) (*Generator, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("make generator: %w", err)
	}
	p, err := newPlan(c)
	if err != nil {
		return nil, fmt.Errorf("make generator: %w", err)
	}
	i, err := newInjector(c, p)
	if err != nil {
		return nil, fmt.Errorf("make generator at %s: %w", c.At.Name, err)
	}
	return &Generator{config: c, plan: p, injector: i}, nil
}

// Close releases all. It waits for a run to end.
func (g *Generator) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	return g.injector.close()
}

const (
	fractionBits = 20 // FRACTION_BITS: of the interval
	greatestRate = 1e9
	longest      = 4 * time.Hour // else due() overflows
	// lead is the time between setting up a run and its first packet.
	lead = time.Millisecond
	// A test run is ended by nothing but its number of turns. The fewest cost about what their setting up costs; the most
	// take 45 ms once there is nothing to do, which is how late a run may find out that it is over.
	fewestTurns = 1 << 10
	mostTurns   = 1 << 19
	shortTurn   = 80 * time.Nanosecond
)

// errClosed is returned for a generator that has been closed.
var errClosed = errors.New("generator is closed")

// Run sends for a time. Rate is in packets per second, all flows together; 0 is as fast as can be. It ends early, and
// without an error, when the context does: Sent tells what was sent.
//
// With TCP a packet that comes due while its stream's window is shut is not sent later.
func (g *Generator) Run(ctx context.Context, rate float64, d time.Duration) (Sent, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return Sent{}, errClosed
	}
	if rate < 0 || rate > greatestRate || math.IsNaN(rate) || d <= 0 || d > longest {
		return Sent{}, fmt.Errorf("run generator: %v packets/s for %v: must be 0 to %v for up to %v", rate, d, greatestRate, longest)
	}
	began, err := g.begin(rate, d)
	if err != nil {
		return Sent{}, fmt.Errorf("set up generator: %w", err)
	}
	defer g.stopWith(ctx)()
	if err := g.injector.drive(func() (uint32, error) { return g.turns(began.start + uint64(d)) }); err != nil {
		return Sent{}, err
	}
	return g.sent(began)
}

// beginning is the state before a run.
type beginning struct {
	start   uint64 // of the monotonic clock, in ns
	streams []genStream
}

func (g *Generator) begin(rate float64, d time.Duration) (beginning, error) {
	o, b := &g.injector.objects, beginning{}
	streams, err := g.streams()
	if err != nil {
		return b, err
	}
	now, err := monotonic()
	if err != nil {
		return b, err
	}
	b = beginning{start: now + uint64(lead), streams: streams}
	run := genRun{Start: b.start, Deadline: b.start + uint64(d)}
	if rate > 0 {
		run.Interval = uint64(math.Round(float64(time.Second) / rate * (1 << fractionBits)))
		packets := uint64(math.Round(rate * d.Seconds()))
		run.Limit = max(1, packets) * uint64(g.plan.settings.Fragments)
	}
	return b, errors.Join(g.setStop(0), o.Run.Set(run), reset[genSent](o.Counts, len(g.config.Flows)))
}

// stopWith stops the run when the context ends. What it returns must be called after the run; then no stop is under way
// that could hit the next one.
func (g *Generator) stopWith(ctx context.Context) func() {
	stopped := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(stopped)
		g.setStop(1)
	})
	return func() {
		if !cancel() {
			<-stopped
		}
	}
}

// setStop may be called while the program runs.
func (g *Generator) setStop(v uint32) error { return g.injector.objects.Stop.Set(v) }

// turns is how many the program should have next: as many as last about until the end, and 0 when it is done.
func (g *Generator) turns(end uint64) (uint32, error) {
	run, err := g.progress()
	if err != nil || run.Done != 0 {
		return 0, err
	}
	now, err := monotonic()
	if err != nil || now >= end {
		return fewestTurns, err
	}
	return uint32(min(max((end-now)/uint64(shortTurn), fewestTurns), mostTurns)), nil
}

func (g *Generator) progress() (run genRun, err error) {
	if err := g.injector.objects.Run.Get(&run); err != nil {
		return run, fmt.Errorf("read generator's state: %w", err)
	}
	return run, nil
}

func (g *Generator) streams() ([]genStream, error) {
	return read[genStream](g.injector.objects.Streams, len(g.config.Flows))
}

// sent sums up a run.
func (g *Generator) sent(b beginning) (Sent, error) {
	run, err := g.progress()
	if err != nil {
		return Sent{}, err
	}
	counts, err := read[genSent](g.injector.objects.Counts, len(g.config.Flows))
	if err != nil {
		return Sent{}, err
	}
	streams, err := g.streams()
	if err != nil {
		return Sent{}, err
	}
	s := Sent{Missed: run.Missed, Idle: time.Duration(run.Idle), Receiving: time.Duration(run.Receiving)}
	if run.Last > b.start {
		s.Elapsed = time.Duration(run.Last - b.start)
	}
	offered := turns(g.plan.slots, len(counts), run.Next/uint64(g.plan.settings.Fragments))
	for i, c := range counts {
		f := FlowSent{Offered: offered[i], Packets: c.Datagrams, Frames: c.Frames, Bytes: c.Bytes}
		if g.config.Protocol == TCP {
			f.Stream = streams[i].Delivered - b.streams[i].Delivered
			f.Retransmits = streams[i].Retransmits - b.streams[i].Retransmits
		}
		s.Offered += f.Offered
		s.Flows = append(s.Flows, f)
	}
	return s, nil
}

// monotonic is the clock of the program, in nanoseconds.
func monotonic() (uint64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, fmt.Errorf("read clock: %w", err)
	}
	return uint64(ts.Nano()), nil
}
