package datapath

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// Each stage must run on the core that the plan puts it on: for every placement on a machine with few cores, for those of a
// diagonal and a row on one with many.
func TestSteerPlacesStages(t *testing.T) {
	p := newPipeline(t, Static)
	stop := p.keepFresh()
	defer stop()
	g, r := p.generator(1), p.reader(1)
	for _, place := range placements(p.b.steer.line.all.Len()) {
		t.Run(fmt.Sprintf("vxlan %s container %s", slotName(place&slotInline), slotName(place>>16)), func(t *testing.T) {
			time.Sleep(50 * time.Millisecond) // what has arrived is known to be over when its poll is, and then the next may go another way
			p.place(place)
			before := p.counts()
			sent, got := p.sendSome(g, r, 20_000, 50*time.Millisecond)
			if n := got.Total(); n.Received != sent || n.Reordered > 0 {
				t.Errorf("sent %d packets, received %d, reordered %d", sent, n.Received, n.Reordered)
			}
			p.checkStages(t, before, place, sent)
		})
	}
}

// placements are all pairs of slots, Inline among them, as long as they are few.
func placements(slots int) []uint32 {
	var list []uint32
	const few = 3
	for v := range slots + 1 {
		for c := range slots + 1 {
			if slots > few && v != c && v != 1 && c != slots {
				continue
			}
			slot := func(i int) uint32 {
				if i == slots {
					return slotInline
				}
				return uint32(i)
			}
			list = append(list, slot(v)|slot(c)<<16)
		}
	}
	return list
}

func slotName(slot uint32) string {
	if slot == slotInline {
		return "inline"
	}
	return fmt.Sprint("slot ", slot)
}

// checkStages compares where packets were counted with where they should have been.
func (p *pipeline) checkStages(t *testing.T, before []steerCoreCounts, place uint32, packets uint64) {
	t.Helper()
	nic := p.nic
	vxlan := p.cpuOf(place&slotInline, nic)
	container := p.cpuOf(place>>16, vxlan)
	for cpu, now := range p.counts() {
		for _, s := range []struct {
			name      string
			at        int
			now, then steerStageCounts
		}{
			{"NIC", nic, now.Nic, before[cpu].Nic},
			{"vxlan", vxlan, now.Vxlan, before[cpu].Vxlan},
			{"container", container, now.Container, before[cpu].Container},
		} {
			want := uint64(0)
			if cpu == s.at {
				want = packets
			}
			if got := s.now.Packets - s.then.Packets; got != want {
				t.Errorf("stage %s: CPU %d took %d packets, want %d", s.name, cpu, got, want)
			}
		}
	}
}

func (p *pipeline) cpuOf(slot uint32, here int) int {
	if slot == slotInline {
		return here
	}
	return int(p.b.steer.programs.cores.values[slot].Cpu)
}

// Without fresh tables, and in a network whose flows are to come back, no packet goes to another core.
func TestSteerHopsNoMore(t *testing.T) {
	for name, end := range map[string]func(p *pipeline){
		"stale": func(p *pipeline) { time.Sleep(staleAfter + 100*time.Millisecond) },
		"off": func(p *pipeline) {
			p.b.ensureNetwork(p.network(Off))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPipeline(t, Static)
			g, r := p.generator(1), p.reader(1)
			p.place(0 | 1<<16) // both cores
			sent, got := p.sendSome(g, r, 20_000, 50*time.Millisecond)
			if n := got.Total(); n.Received != sent {
				t.Fatalf("sent %d packets, received %d", sent, n.Received)
			}
			if hops(p.counts()) == 0 {
				t.Fatal("no hops although there should be: the test shows nothing")
			}
			end(p)
			before := hops(p.counts())
			sent, got = p.sendSome(g, r, 20_000, 50*time.Millisecond)
			if n := got.Total(); n.Received != sent || n.Reordered > 0 {
				t.Errorf("sent %d packets, received %d, reordered %d", sent, n.Received, n.Reordered)
			}
			if after := hops(p.counts()); after != before {
				t.Errorf("%d hops", after-before)
			}
		})
	}
}

func hops(counts []steerCoreCounts) (all uint64) {
	for _, c := range counts {
		all += c.Nic.Hops + c.Vxlan.Hops
	}
	return all
}

// Packets of a network that begins to be steered go to other cores only when all its devices are ready for that: else those that a
// device kept would be overtaken.
func TestSteerBeginsWithItsEndpoints(t *testing.T) {
	p := newPipeline(t, Static)
	p.pass(Off)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	p.b.ensureNetwork(p.network(Static))
	balanced := make(chan error, 1)
	go func() { balanced <- p.b.Balance(ctx) }()
	g, r := p.generator(8), p.reader(8)
	for _, step := range []struct {
		name string
		do   func()
		hops bool
	}{
		{"network", func() { p.b.ensureNetwork(p.network(Static)) }, false},
		{"endpoint", func() { p.b.ensureEndpoint(p.cb.Endpoint) }, false},
		{"both", func() { p.pass(Static) }, true},
	} {
		step.do()
		before := hops(p.counts())
		p.sendSome(g, r, 20_000, 100*time.Millisecond)
		if after := hops(p.counts()); (after > before) != step.hops {
			t.Errorf("after the turn of the %s: %d hops, want some: %v", step.name, after-before, step.hops)
		}
	}
	stop()
	if err := <-balanced; err != nil {
		t.Error(err)
	}
}

// Also where packets stay on their core, GRO at the vxlan device tells their flows apart, and chains each one's: with one hash for
// all, it would from the ninth flow on chain nothing.
func TestSteerChainsManyFlows(t *testing.T) {
	p := newPipeline(t, Static)
	stop := p.keepFresh()
	defer stop()
	p.place(allInline)
	const flows = 16
	g, r := p.generator(flows), p.reader(flows)
	before := p.counts()
	p.send(g, r, 0, 100*time.Millisecond)
	var packets, chains uint64
	for cpu, c := range p.counts() {
		packets += c.Vxlan.Packets - before[cpu].Vxlan.Packets
		chains += c.Vxlan.Skbs - before[cpu].Vxlan.Skbs
	}
	if packets == 0 || packets < 2*chains {
		t.Errorf("%d packets in %d chains", packets, chains)
	}
}
