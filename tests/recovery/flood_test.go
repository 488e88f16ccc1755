package recovery

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"falcon/tests/bench/load"
	"falcon/tests/lab"
)

// The NIC of the receiving host is core 0, where the generator keeps busy all the time; its application is on another.
const nicCore = 0

func appCore() int { return runtime.NumCPU() - 1 }

const (
	floodPort    = 5001
	floodPayload = 64
	// steadyBuffer is a socket's, in bytes. Where nothing may be lost it must not be the reader's sleep that loses it: frames as
	// the generator makes them take a page each, so this holds those of half a second at 200,000 packets/s.
	steadyBuffer = 512 << 20
	// tail is how long a window lasts before and after what happens in it, so that the consequences are in it too.
	tail = 150 * time.Millisecond
	// resolution of gaps.
	resolution = time.Millisecond
	// windowLimit is more than any window lasts.
	windowLimit = time.Minute
)

// flood is traffic from container a to container b of a pair, as if host b's NIC had received it, and a reader in b.
type flood struct {
	overlay
	flows     int
	rate      float64 // packets per second; 0: as fast as can be
	generator *load.Generator
	reader    *load.UDPReader
}

// newFlood makes one; the test's end, or close, ends it.
func (o overlay) newFlood(p pair, flows int, rate float64) *flood {
	o.t.Helper()
	listen := netip.AddrPortFrom(netip.MustParseAddr(p.toB), floodPort)
	sandbox := strings.TrimPrefix(o.must(p.b.Inspect(o.ctx, "{{.NetworkSettings.SandboxKey}}")), "/var")
	f := &flood{overlay: o, flows: flows, rate: rate}
	var err error
	if f.generator, err = load.New(o.frames(p, flows, listen)); err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { o.closes(f.generator.Close) })
	buffer := 0
	if rate > 0 {
		buffer = steadyBuffer
	}
	f.reader, err = load.StartUDPReader(load.ReaderConfig{
		Namespace: p.hostB.Namespace(sandbox), CPU: appCore(), Listen: listen, Flows: flows, Payload: floodPayload, Buffer: buffer,
		Interval: resolution,
	})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { o.closes(f.reader.Close) })
	return f
}

func (o overlay) closes(end func() error) {
	if err := end(); err != nil {
		o.t.Error(err)
	}
}

// close ends the flood before the test does.
func (f *flood) close() {
	f.closes(f.reader.Close)
	f.closes(f.generator.Close)
}

// frames are those that host a would send for container a.
func (o overlay) frames(p pair, flows int, to netip.AddrPort) load.Config {
	o.t.Helper()
	in, err := o.intent()
	o.check(err)
	mac := func(raw string) load.MAC {
		m, err := load.ParseMAC(raw)
		o.check(err)
		return m
	}
	under := func(h *lab.Host) load.MAC {
		return mac(o.must(h.Exec(o.ctx, "cat", "/sys/class/net/eth0/address")))
	}
	inner := map[string]load.MAC{} // by address
	for _, e := range in.endpoints {
		for _, a := range e.Addresses {
			inner[a.Addr().String()] = mac(e.MAC)
		}
	}
	c := load.Config{
		Entry: load.NAPI, CPU: nicCore, Payload: floodPayload, Checksum: true, Ring: 4096, // a NIC's greatest, as a rule
		Tunnel: &load.Tunnel{Src: p.hostA.Addr, Dst: p.hostB.Addr, SrcMAC: under(p.hostA), DstMAC: under(p.hostB), VNI: in.networks[networkName(1)].VNI},
	}
	c.At.Namespace, c.At.Name = p.hostB.Port()
	for i := range flows {
		c.Flows = append(c.Flows, load.Flow{
			Src: netip.AddrPortFrom(netip.MustParseAddr(p.toA), uint16(40000+i)), Dst: to,
			SrcMAC: inner[p.toA], DstMAC: inner[p.toB],
		})
	}
	return c
}

// window is what became of the packets while something happened.
type window struct {
	sent, missed          uint64 // missed: the core of the NIC had no time to send them
	received              uint64
	reordered, duplicates uint64
	sockets, backlogs     uint64        // packets that these had no room for
	gap                   time.Duration // the longest in which the reader had no packet
	worst                 time.Duration // the greatest time that a packet took from when it came due
	took                  time.Duration
	steps
}

func (w window) lost() int64 { return int64(w.sent) - int64(w.received) }

func (w window) String() string {
	return fmt.Sprintf("%v: sent %d (%.0f/s), lost %d (socket %d, backlog %d), reordered %d, doubled %d, longest gap %v, worst latency %v, not sent %d",
		w.took.Round(time.Millisecond), w.sent, float64(w.sent)/w.took.Seconds(), w.lost(), w.sockets, w.backlogs, w.reordered, w.duplicates,
		w.gap, w.worst.Round(100*time.Microsecond), w.missed)
}

// during lets packets flow, does something, and tells what became of them.
func (f *flood) during(something func()) window {
	f.t.Helper()
	f.check(f.reader.Reset())
	before, err := load.TakeSnapshot()
	f.check(err)
	ctx, stop := context.WithCancel(f.ctx)
	defer stop()
	type result struct {
		sent load.Sent
		err  error
	}
	done := make(chan result, 1)
	go func() {
		sent, err := f.generator.Run(ctx, f.rate, windowLimit)
		done <- result{sent, err}
	}()
	f.awaitPacket()
	time.Sleep(tail)
	something()
	time.Sleep(tail)
	stop()
	r := <-done
	f.check(r.err)
	f.check(f.reader.Drain(f.ctx, 50*time.Millisecond))
	counts, err := f.reader.Counts()
	f.check(err)
	after, err := load.TakeSnapshot()
	f.check(err)
	total := counts.Total()
	w := window{
		sent: r.sent.Packets(), missed: r.sent.Missed, received: total.Received, reordered: total.Reordered, duplicates: total.Duplicates,
		sockets: counts.Dropped, gap: longestGap(counts.Series), worst: counts.Latency.Max(), took: r.sent.Elapsed,
	}
	for _, core := range after.Since(before).Cores {
		w.backlogs += core.Softnet.Dropped
	}
	return w
}

// awaitPacket waits until the reader has had a packet: a busy machine may take its time to begin.
func (f *flood) awaitPacket() {
	f.t.Helper()
	lab.Eventually(f.t, windowLimit/2, func() error {
		counts, err := f.reader.Counts()
		if err == nil && counts.Total().Received == 0 {
			err = errors.New("no packet has arrived")
		}
		return err
	})
}

// longestGap is the longest time without a packet between the first and the last.
func longestGap(series []load.Interval) time.Duration {
	longest, length, begun := 0, 0, false
	for _, i := range series {
		if i.Packets > 0 {
			if begun {
				longest = max(longest, length)
			}
			begun, length = true, 0
			continue
		}
		length++
	}
	return time.Duration(longest) * resolution
}
