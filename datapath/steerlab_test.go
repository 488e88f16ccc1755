package datapath

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"falcon/tests/bench/load"
)

// pipeline is an overlay whose host b steers, fed by a generator that plays the NIC of b.
type pipeline struct {
	overlay
	nic, app int // CPUs of the NIC's interrupt and of the application
}

func newPipeline(t *testing.T, mode Mode) *pipeline {
	t.Helper()
	return pipelineOf(t, newOverlay(t, "ipv4", true), mode)
}

// newShortPipeline is one whose packets take the shortcut.
func newShortPipeline(t *testing.T, mode Mode) *pipeline {
	t.Helper()
	p := pipelineOf(t, shortOverlay(t, "ipv4", true, true), mode)
	for what, why := range p.b.ShortcutStatus(t.Context()).Problems {
		t.Fatalf("%s: %s", what, why)
	}
	return p
}

func pipelineOf(t *testing.T, o overlay, mode Mode) *pipeline {
	t.Helper()
	p := &pipeline{overlay: o, app: lastCPU(t)}
	for _, c := range []*container{p.ca, p.cb} {
		c.sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1") // nobody says anything but the generator
	}
	p.pass(mode)
	for what, why := range p.b.SteeringStatus(context.Background()).Problems {
		t.Fatalf("%s: %s", what, why)
	}
	if err := load.EnableGRO(load.Device{Namespace: p.b.path(), Name: "u0"}); err != nil {
		t.Fatal(err)
	}
	return p
}

// slowness is how many times slower than a real machine this one is said to be: one that is emulated, in tests/kernels. Packets
// are sent at rates as much lower, for as much longer, and may be under way for as much longer.
func slowness(t testing.TB) int {
	t.Helper()
	s, ok := os.LookupEnv("FALCON_SLOWNESS")
	if !ok {
		return 1
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("FALCON_SLOWNESS=%s: want a number", s)
	}
	return n
}

// sendSome offers packets at a rate, or less on a slow machine, where it takes longer.
func (p *pipeline) sendSome(g *load.Generator, r *load.UDPReader, rate float64, d time.Duration) (sent uint64, got load.Counts) {
	p.b.t.Helper()
	n := slowness(p.b.t)
	return p.send(g, r, rate/float64(n), d*time.Duration(min(n, longerAtMost)))
}

// longerAtMost bounds how long the tests take on a slow machine, where fewer packets have to do.
const longerAtMost = 4

// pass makes host b's devices as a mode wants them.
func (p *pipeline) pass(mode Mode) {
	p.b.t.Helper()
	p.b.ensureNetwork(p.network(mode))
	p.b.ensureEndpoint(p.cb.Endpoint)
	p.b.settleSteering(context.Background(), p.network(mode))
	time.Sleep(p.b.steer.config.Quiet) // until it holds
}

// network is host b's, in a mode.
func (p *pipeline) network(mode Mode) Network {
	n := p.b.network(labVNI)
	n.Steering = mode
	n.Device = p.b.device("u0")
	return n
}

// device is a device's index.
func (s *space) device(name string) int {
	s.t.Helper()
	var list []struct{ Ifindex int }
	if err := json.Unmarshal([]byte(s.ip("-j link show %s", name)), &list); err != nil || len(list) != 1 {
		s.t.Fatalf("device %s: %v, %d of them", name, err, len(list))
	}
	return list[0].Ifindex
}

// mac is a device's address.
func (s *space) mac(name string) load.MAC {
	s.t.Helper()
	var list []struct{ Address string }
	if err := json.Unmarshal([]byte(s.ip("-j link show %s", name)), &list); err != nil || len(list) != 1 {
		s.t.Fatalf("device %s: %v, %d of them", name, err, len(list))
	}
	hw, err := net.ParseMAC(list[0].Address)
	if err != nil {
		s.t.Fatal(err)
	}
	return load.MAC(hw)
}

const pipelinePort = 5001

// config is of a generator of packets of some flows from container a to container b.
func (p *pipeline) config(flows int) load.Config {
	p.b.t.Helper()
	c := load.Config{
		At: load.Device{Namespace: p.a.path(), Name: "u0"}, Entry: load.NAPI, CPU: p.nic, Payload: 16, Checksum: true, MTU: labMTU,
		Ring:   64, // when the machine has paused, no more than this comes at once
		Tunnel: &load.Tunnel{Src: p.a.under, Dst: p.b.under, SrcMAC: p.a.mac("u0"), DstMAC: p.b.mac("u0"), VNI: labVNI},
	}
	for i := range flows {
		c.Flows = append(c.Flows, load.Flow{
			Src: netip.AddrPortFrom(p.ca.Addresses[0].Addr(), uint16(40000+i)), Dst: p.listen(),
			SrcMAC: load.MAC(p.ca.MAC), DstMAC: load.MAC(p.cb.MAC),
		})
	}
	return c
}

// generator makes packets of some UDP flows from container a to container b.
func (p *pipeline) generator(flows int) *load.Generator {
	t := p.b.t
	t.Helper()
	g, err := load.New(p.config(flows))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func (p *pipeline) listen() netip.AddrPort {
	return netip.AddrPortFrom(p.cb.Addresses[0].Addr(), pipelinePort)
}

// reader is an application in container b.
func (p *pipeline) reader(flows int) *load.UDPReader {
	t := p.b.t
	t.Helper()
	r, err := load.StartUDPReader(load.ReaderConfig{
		Namespace: p.cb.path(), CPU: p.app, Listen: p.listen(), Flows: flows, Payload: 16, Interval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// send offers packets and gives how many came in at the NIC, whose ring may be too short for a burst, and what arrived of them.
func (p *pipeline) send(g *load.Generator, r *load.UDPReader, rate float64, d time.Duration) (sent uint64, got load.Counts) {
	t := p.b.t
	t.Helper()
	if err := r.Reset(); err != nil {
		t.Fatal(err)
	}
	before := p.cameIn()
	if _, err := g.Run(context.Background(), rate, d); err != nil {
		t.Fatal(err)
	}
	got = p.settle(r, before)
	return p.cameIn() - before, got
}

// cameIn counts packets at falcon_nic.
func (p *pipeline) cameIn() (packets uint64) {
	for _, c := range p.counts() {
		packets += c.Nic.Packets
	}
	return packets
}

// settle waits until all that came in has arrived or, where some were dropped, nothing has arrived for a while.
func (p *pipeline) settle(r *load.UDPReader, before uint64) (got load.Counts) {
	t := p.b.t
	t.Helper()
	quiet := 50 * time.Millisecond * time.Duration(slowness(t))
	last, since := uint64(0), time.Now()
	for {
		got, err := r.Counts()
		if err != nil {
			t.Fatal(err)
		}
		n := got.Total()
		if n.Received+n.Duplicates != last {
			last, since = n.Received+n.Duplicates, time.Now()
		}
		if n.Received == p.cameIn()-before || time.Since(since) > quiet {
			return got
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// traffic is packets that are offered until stop is called.
type traffic struct {
	p      *pipeline
	reader *load.UDPReader
	before uint64 // what had come in
	drops  uint64
	cancel context.CancelFunc
	done   chan error
}

func (p *pipeline) traffic(flows int, rate float64) *traffic {
	p.b.t.Helper()
	g := p.generator(flows)
	ctx, cancel := context.WithCancel(context.Background())
	p.b.t.Cleanup(cancel) // or the generator, which is closed after that, would wait
	a := &traffic{p: p, reader: p.reader(flows), before: p.cameIn(), drops: p.backlogDrops(), cancel: cancel, done: make(chan error, 1)}
	go func() {
		_, err := g.Run(ctx, rate/float64(slowness(p.b.t)), time.Hour)
		a.done <- err
	}()
	return a
}

// check wants what has arrived so far to have done so in order, but for so many at most, and gives how many those are.
func (a *traffic) check(t *testing.T, when string, late uint64) uint64 {
	t.Helper()
	got, err := a.reader.Counts()
	if err != nil {
		t.Fatal(err)
	}
	n := got.Total()
	if n.Reordered > late || n.Duplicates > 0 {
		t.Fatalf("%s: %d packets, %d reordered by up to %d, %d duplicated", when, n.Received, n.Reordered, n.Extent, n.Duplicates)
	}
	t.Logf("%s: %d packets, %d reordered", when, n.Received, n.Reordered)
	return n.Reordered
}

// stop ends it and tells what came of it.
func (a *traffic) stop(t *testing.T) orderly {
	t.Helper()
	a.cancel()
	if err := <-a.done; err != nil {
		t.Fatal(err)
	}
	got := a.p.settle(a.reader, a.before)
	n, sent := got.Total(), a.p.cameIn()-a.before
	return orderly{sent, sent - n.Received, n.Reordered, n.Duplicates, got.Dropped + a.p.backlogDrops() - a.drops, 0}
}

// place publishes one placement for all buckets.
func (p *pipeline) place(placement uint32) {
	p.b.steer.programs.publish(func(table []steerPlan) {
		for i := range table {
			table[i].Placement = [2]uint32{placement, placement}
		}
	})
}

// keepFresh keeps the tables from going stale until the function returned is called.
func (p *pipeline) keepFresh() (stop func()) {
	var stopped atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stopped.Load() {
			p.b.steer.programs.beat()
			time.Sleep(10 * time.Millisecond)
		}
	}()
	return func() { stopped.Store(true); <-done }
}

// counts sums what the programs counted since before; by CPU.
func (p *pipeline) counts() []steerCoreCounts {
	return append([]steerCoreCounts(nil), p.b.steer.programs.counts.values...)
}
