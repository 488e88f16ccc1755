package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	pingInterval = 10 * time.Millisecond
	// pingPatience is how long an answer may take before its packet counts as lost.
	pingPatience = time.Second
)

// Pinger pings an address from a container's network namespace, 100 times a second. It needs neither a process
// there nor the engine, and so can watch what becomes of the traffic while an engine is away.
type Pinger struct {
	From, To string

	conn net.PacketConn
	id   uint16 // of its packets
	stop context.CancelFunc
	done chan struct{} // closed when nothing is sent any more

	mu    sync.Mutex // guards what follows
	pings []ping     // by sequence number
	err   error      // why sending failed last
}

type ping struct{ sent, answered time.Time }

// Ping starts a Pinger, which lasts until it is finished or ctx ends.
func (c Container) Ping(ctx context.Context, address string) (*Pinger, error) {
	to, err := netip.ParseAddr(address)
	if err != nil {
		return nil, fmt.Errorf("ping from %s: %w", c.Name, err)
	}
	pid, err := c.Inspect(ctx, "{{.State.Pid}}")
	if err != nil {
		return nil, err
	}
	p := &Pinger{From: c.Name, To: address, id: uint16(rand.Uint32()), done: make(chan struct{})}
	if p.conn, err = c.host.listenICMP(ctx, pid, to.Is6()); err != nil {
		return nil, fmt.Errorf("ping from %s: %w", c.Name, err)
	}
	context.AfterFunc(ctx, func() { p.conn.Close() })
	ctx, p.stop = context.WithCancel(ctx)
	go p.send(ctx, to)
	go p.receive()
	return p, nil
}

// listenICMP opens a socket in the network namespace of a process of the host.
func (h *Host) listenICMP(ctx context.Context, pid string, v6 bool) (net.PacketConn, error) {
	network, any := "ip4:icmp", "0.0.0.0"
	if v6 {
		network, any = "ip6:ipv6-icmp", "::"
	}
	var conn net.PacketConn
	err := h.ns.do(all, func() error {
		ns, err := os.Open("/proc/" + pid + "/ns/net")
		if err != nil {
			return err
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		conn, err = new(net.ListenConfig).ListenPacket(ctx, network, any)
		return err
	})
	return conn, err
}

// Types of an echo request and of its answer, by address family.
const (
	echo4, echoReply4 = 8, 0
	echo6, echoReply6 = 128, 129
)

func (p *Pinger) send(ctx context.Context, to netip.Addr) {
	defer close(p.done)
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		seq := len(p.pings)
		p.pings = append(p.pings, ping{sent: time.Now()})
		p.mu.Unlock()
		_, err := p.conn.WriteTo(p.packet(seq, to.Is6()), &net.IPAddr{IP: to.AsSlice()})
		if err != nil {
			p.mu.Lock()
			p.err = err
			p.mu.Unlock()
		}
	}
}

// packet makes an echo request (RFC 792, RFC 4443). The kernel computes ICMPv6's checksum.
func (p *Pinger) packet(seq int, v6 bool) []byte {
	b := make([]byte, 64)
	b[0] = echo4
	if v6 {
		b[0] = echo6
	}
	binary.BigEndian.PutUint16(b[4:], p.id)
	binary.BigEndian.PutUint32(b[8:], uint32(seq)) // the header's field is too short for a long test
	if !v6 {
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	return b
}

// checksum is the internet's (RFC 1071), of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum>>16 + sum&0xffff
	return ^uint16(sum>>16 + sum)
}

func (p *Pinger) receive() {
	b := make([]byte, 1500)
	for {
		n, _, err := p.conn.ReadFrom(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil || n < 12 || b[0] != echoReply4 && b[0] != echoReply6 || binary.BigEndian.Uint16(b[4:]) != p.id:
			continue // somebody else's, or about a packet that could not be delivered
		}
		now := time.Now()
		seq := int(binary.BigEndian.Uint32(b[8:]))
		p.mu.Lock()
		if seq < len(p.pings) && p.pings[seq].answered.IsZero() {
			p.pings[seq].answered = now
		}
		p.mu.Unlock()
	}
}

// AwaitAnswer waits for the answer to a packet that was sent after a moment.
func (p *Pinger) AwaitAnswer(ctx context.Context, after time.Time) error {
	return Poll(ctx, func(context.Context) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		for i := len(p.pings) - 1; i >= 0 && p.pings[i].sent.After(after); i-- {
			if !p.pings[i].answered.IsZero() {
				return nil
			}
		}
		return fmt.Errorf("no answer from %s to %s (sending: %v)", p.To, p.From, p.err)
	})
}

// PingResult is what became of a Pinger's packets.
type PingResult struct {
	Sent    int
	Lost    []int         // their numbers
	Silence time.Duration // the longest time without an answer
}

func (r PingResult) String() string {
	return fmt.Sprintf("%d sent, %d lost %v, longest silence %v", r.Sent, len(r.Lost), r.Lost[:min(len(r.Lost), 20)],
		r.Silence.Round(time.Millisecond))
}

// Result tells what became of the packets sent from one moment to another, having given the answers their time.
func (p *Pinger) Result(from, to time.Time) PingResult {
	time.Sleep(time.Until(to.Add(pingPatience)))
	p.mu.Lock()
	defer p.mu.Unlock()
	var r PingResult
	last := from
	for seq, g := range p.pings {
		if g.sent.Before(from) || g.sent.After(to) {
			continue
		}
		r.Sent++
		if g.answered.IsZero() {
			r.Lost = append(r.Lost, seq)
			continue
		}
		r.Silence = max(r.Silence, g.answered.Sub(last))
		last = g.answered
	}
	r.Silence = max(r.Silence, to.Sub(last))
	return r
}

// Finish ends the pinger and tells what became of all its packets.
func (p *Pinger) Finish() (PingResult, error) {
	p.stop()
	<-p.done
	p.mu.Lock()
	var first time.Time
	if len(p.pings) > 0 {
		first = p.pings[0].sent
	}
	p.mu.Unlock()
	r := p.Result(first, time.Now())
	return r, p.conn.Close()
}
