package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Stream is a TCP connection as its receiver knows it.
type Stream struct{ Local, Remote netip.AddrPort }

// SinkConfig describes a TCPSink.
type SinkConfig struct {
	Namespace string // file of the network namespace; empty: the caller's
	CPU       int
	Streams   []Stream
	Sequence  uint32        // of the first byte of each stream, as the generator's
	MSS       int           // bytes of a segment's payload; 0 is 1460
	Read      int           // bytes per system call; 0 is 128 KB
	Buffer    int           // of each socket, in bytes as the kernel counts them; 0: the kernel sizes it (tcp_rmem)
	Interval  time.Duration // of the series; 0: none
}

const (
	defaultMSS  = 1460
	defaultRead = 128 << 10
)

func (c SinkConfig) withDefaults() SinkConfig {
	if c.MSS == 0 {
		c.MSS = defaultMSS
	}
	if c.Read == 0 {
		c.Read = defaultRead
	}
	return c
}

func (c SinkConfig) validate() error {
	if len(c.Streams) == 0 || len(c.Streams) > greatestFlows {
		return fmt.Errorf("streams %d: must be 1 to %d", len(c.Streams), greatestFlows)
	}
	for _, s := range c.Streams {
		if !s.Local.IsValid() || !s.Remote.IsValid() || s.Local.Addr().Is4() != s.Remote.Addr().Is4() {
			return fmt.Errorf("stream %v from %v: must be two addresses of one family", s.Local, s.Remote)
		}
	}
	if c.MSS < 1 || c.MSS > 1<<16-1 || c.Read < 1 || c.Buffer < 0 || c.Interval < 0 {
		return errors.New("sizes and interval must not be negative")
	}
	return nil
}

// SinkCounts is what a TCPSink counted since it began or was reset.
type SinkCounts struct {
	Streams []StreamCounts
	Series  []Interval // Packets are system calls
}

// StreamCounts is what arrived of one stream, in order.
type StreamCounts struct {
	Bytes uint64
	Reads uint64 // system calls that it took
}

// Bytes is the sum of all streams.
func (c SinkCounts) Bytes() uint64 {
	var all uint64
	for _, s := range c.Streams {
		all += s.Bytes
	}
	return all
}

// TCPSink is a process that receives TCP streams. Its sockets believe to have a peer, but are put into the middle of
// their connections by TCP_REPAIR (kernel 3.5; made for moving processes between machines), so a generator can feed them.
//
// Start it after the generator: acknowledgements that reach a real host are answered with a reset.
type TCPSink struct{ helper *helper }

// StartTCPSink starts one.
func StartTCPSink(c SinkConfig) (*TCPSink, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("start TCP sink: %w", err)
	}
	h, err := startHelper(roleTCP, c.Namespace, c.CPU, c)
	if err != nil {
		return nil, fmt.Errorf("start TCP sink at %v: %w", c.Streams[0].Local, err)
	}
	return &TCPSink{h}, nil
}

// Pid is for ProcessTime.
func (s *TCPSink) Pid() int { return s.helper.cmd.Process.Pid }

// Counts asks for what was counted so far. It is an error if a stream broke.
func (s *TCPSink) Counts() (c SinkCounts, err error) {
	err = s.helper.ask(askCounts, &c)
	return c, err
}

// Reset begins counting anew. The streams go on.
func (s *TCPSink) Reset() error { return s.helper.ask(askReset, nil) }

// Drain waits until nothing has come for a time.
func (s *TCPSink) Drain(ctx context.Context, quiet time.Duration) error {
	return drain(ctx, quiet, func() (uint64, error) {
		c, err := s.Counts()
		return c.Bytes(), err
	})
}

// Close ends the process and its sockets, of which the network hears nothing.
func (s *TCPSink) Close() error { return s.helper.close() }
