package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// ReaderConfig describes a UDPReader.
type ReaderConfig struct {
	Namespace string // file of the network namespace; empty: the caller's
	CPU       int
	Listen    netip.AddrPort
	Flows     int           // of the generator
	Payload   int           // greatest, in bytes; 0 is 2048
	Batch     int           // packets per system call (recvmmsg); 0 is 64
	Buffer    int           // of the socket, in bytes as the kernel counts them (SO_RCVBUF doubled); 0 is 8 MB
	Interval  time.Duration // of the series; 0: none
}

const (
	defaultPayload = 2048
	defaultBatch   = 64
	defaultBuffer  = 8 << 20
	greatestRecv   = 1024 // UIO_MAXIOV
)

func (c ReaderConfig) withDefaults() ReaderConfig {
	fill := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	fill(&c.Flows, 1)
	fill(&c.Payload, defaultPayload)
	fill(&c.Batch, defaultBatch)
	fill(&c.Buffer, defaultBuffer)
	return c
}

func (c ReaderConfig) validate() error {
	switch {
	case !c.Listen.IsValid() || c.Listen.Port() == 0:
		return fmt.Errorf("address %v: must have an address and a port", c.Listen)
	case c.Flows < 1 || c.Flows > greatestFlows:
		return fmt.Errorf("flows %d: must be 1 to %d", c.Flows, greatestFlows)
	case c.Payload < stampSize || c.Payload > greatestUDP:
		return fmt.Errorf("payload %d: must be %d to %d", c.Payload, stampSize, greatestUDP)
	case c.Batch < 1 || c.Batch > greatestRecv:
		return fmt.Errorf("batch %d: must be 1 to %d", c.Batch, greatestRecv)
	case c.Buffer < 0 || c.Interval < 0:
		return errors.New("buffer and interval must not be negative")
	}
	return nil
}

// Counts is what a UDPReader counted since it began or was reset.
type Counts struct {
	Flows   []FlowCounts
	Foreign uint64     // packets that are none of the generator's
	Dropped uint64     // packets that found the socket's buffer full
	Latency *Histogram // from when a packet came due to when the reader had it
	Series  []Interval
}

// Total is the sum of all flows; Extent is the greatest.
func (c Counts) Total() FlowCounts {
	var t FlowCounts
	for _, f := range c.Flows {
		t.Received += f.Received
		t.Bytes += f.Bytes
		t.Lost += f.Lost
		t.Reordered += f.Reordered
		t.Extent = max(t.Extent, f.Extent)
		t.Duplicates += f.Duplicates
		t.Ambiguous += f.Ambiguous
	}
	return t
}

// UDPReader is a process that receives a generator's packets by a socket, as an application would: it sleeps until there
// are some, and looks at each.
type UDPReader struct{ helper *helper }

// StartUDPReader starts one.
func StartUDPReader(c ReaderConfig) (*UDPReader, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("start UDP reader: %w", err)
	}
	h, err := startHelper(roleUDP, c.Namespace, c.CPU, c)
	if err != nil {
		return nil, fmt.Errorf("start UDP reader at %v: %w", c.Listen, err)
	}
	return &UDPReader{h}, nil
}

// Pid is for ProcessTime.
func (r *UDPReader) Pid() int { return r.helper.cmd.Process.Pid }

// Counts asks for what was counted so far.
func (r *UDPReader) Counts() (c Counts, err error) {
	err = r.helper.ask(askCounts, &c)
	return c, err
}

// Reset begins counting anew: all numbers are expected from 0 again. Call Drain before.
func (r *UDPReader) Reset() error { return r.helper.ask(askReset, nil) }

// Drain waits until nothing has come for a time.
func (r *UDPReader) Drain(ctx context.Context, quiet time.Duration) error {
	return drain(ctx, quiet, func() (uint64, error) {
		c, err := r.Counts()
		t := c.Total()
		return t.Received + t.Duplicates + c.Foreign, err
	})
}

// Close ends the process. It may be called again.
func (r *UDPReader) Close() error { return r.helper.close() }

// drain waits until a count has stood still for a time.
func drain(ctx context.Context, quiet time.Duration, count func() (uint64, error)) error {
	last, err := count()
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the last packets: %w", ctx.Err())
		case <-time.After(quiet):
		}
		now, err := count()
		if err != nil || now == last {
			return err
		}
		last = now
	}
}
