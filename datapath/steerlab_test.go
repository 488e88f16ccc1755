package datapath

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"runtime"
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
	p := &pipeline{overlay: newOverlay(t, "ipv4", true), app: runtime.NumCPU() - 1}
	n := p.network(mode)
	p.b.ensureNetwork(n)
	p.b.ensureEndpoint(p.cb.Endpoint)
	for what, why := range p.b.SteeringStatus(context.Background()).Problems {
		t.Fatalf("%s: %s", what, why)
	}
	if err := load.EnableGRO(load.Device{Namespace: p.b.path(), Name: "u0"}); err != nil {
		t.Fatal(err)
	}
	return p
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

// send offers packets and gives what arrived of them.
func (p *pipeline) send(g *load.Generator, r *load.UDPReader, rate float64, d time.Duration) (sent load.Sent, got load.Counts) {
	t := p.b.t
	t.Helper()
	ctx := context.Background()
	if err := r.Reset(); err != nil {
		t.Fatal(err)
	}
	sent, err := g.Run(ctx, rate, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Drain(ctx, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if got, err = r.Counts(); err != nil {
		t.Fatal(err)
	}
	return sent, got
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
