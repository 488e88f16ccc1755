package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// PingConfig describes one end of a request/response conversation, in which each message is as long as the other.
type PingConfig struct {
	Namespace string // file of the network namespace; empty: the caller's
	CPU       int
	Protocol  Protocol
	Local     netip.AddrPort // with UDP the socket knows both ends, so that nobody else takes part
	Remote    netip.AddrPort // TCP: where the server listens; of no meaning to the server itself
	Size      int            // bytes of a message
}

const leastPing = 8 // the number of the request

func (c PingConfig) validate(ends ...netip.AddrPort) error {
	for _, end := range ends {
		if !end.IsValid() || end.Port() == 0 {
			return fmt.Errorf("address %v: must have an address and a port", end)
		}
	}
	switch {
	case c.Protocol > TCP:
		return fmt.Errorf("unknown protocol %d", c.Protocol)
	case c.Size < leastPing || c.Size > greatestUDP:
		return fmt.Errorf("size %d: must be %d to %d", c.Size, leastPing, greatestUDP)
	}
	return nil
}

// PingCounts is what a Pinger counted.
type PingCounts struct {
	Latency *Histogram // round trips, from before a request is written until the whole answer has been read
	Lost    uint64     // UDP: requests without an answer
}

// Pinger is a process that sends a request, sleeps until it has the answer, and sends the next, as sockperf's ping-pong
// and netperf's RR do. (sockperf 3.7 waits for 2.5 s in each run, and so takes 3 s for half a second's samples.) It asks
// as soon as it is there.
type Pinger struct{ helper *helper }

// StartPinger starts one. The EchoServer must be there.
func StartPinger(c PingConfig) (*Pinger, error) {
	if err := c.validate(c.Local, c.Remote); err != nil {
		return nil, fmt.Errorf("start pinger: %w", err)
	}
	h, err := startHelper(rolePing, c.Namespace, c.CPU, c)
	if err != nil {
		return nil, fmt.Errorf("start pinger to %v: %w", c.Remote, err)
	}
	return &Pinger{h}, nil
}

// Measure counts anew for a time, or until the context ends, which is an error. It is one too if no answer came at all.
func (p *Pinger) Measure(ctx context.Context, d time.Duration) (counts PingCounts, err error) {
	if err := p.helper.ask(askReset, nil); err != nil {
		return counts, err
	}
	select {
	case <-ctx.Done():
		return counts, fmt.Errorf("measure round trips: %w", ctx.Err())
	case <-time.After(d):
	}
	if err := p.helper.ask(askCounts, &counts); err != nil {
		return counts, err
	}
	if counts.Latency.Count() == 0 {
		return counts, errors.New("measure round trips: no answer")
	}
	return counts, nil
}

// Close ends the process. It may be called again.
func (p *Pinger) Close() error { return p.helper.close() }

// EchoServer is a process that sends back what a Pinger sends. It takes one connection at a time.
type EchoServer struct{ helper *helper }

// StartEchoServer starts one: Local is where it listens, Remote where the requests come from (UDP only).
func StartEchoServer(c PingConfig) (*EchoServer, error) {
	ends := []netip.AddrPort{c.Local, c.Remote}
	if c.Protocol == TCP {
		ends = ends[:1]
	}
	if err := c.validate(ends...); err != nil {
		return nil, fmt.Errorf("start echo server: %w", err)
	}
	h, err := startHelper(roleEcho, c.Namespace, c.CPU, c)
	if err != nil {
		return nil, fmt.Errorf("start echo server at %v: %w", c.Local, err)
	}
	return &EchoServer{h}, nil
}

// Close ends the process. It may be called again.
func (s *EchoServer) Close() error { return s.helper.close() }
