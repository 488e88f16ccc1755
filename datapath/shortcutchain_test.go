package datapath

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// A container's stack gets datagrams in chains, in order and whole, whether or not its packets are steered as well.
func TestShortcutChainsDatagrams(t *testing.T) {
	for _, flows := range []int{1, 16} {
		p := newShortPipeline(t, Static) // so that programs count what the container's stack is given
		g, r := p.generator(flows), p.reader(flows)
		before := p.counts()
		if _, err := g.Run(context.Background(), 0, 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		got, err := r.Counts()
		if err != nil {
			t.Fatal(err)
		}
		var packets, chains uint64
		for cpu, c := range p.counts() {
			packets += c.Container.Packets - before[cpu].Container.Packets
			chains += c.Container.Skbs - before[cpu].Container.Skbs
		}
		n := got.Total()
		if packets < 1000 || packets < 2*chains || n.Received+got.Dropped != packets || n.Reordered > 0 {
			t.Errorf("%d flows: %d datagrams in %d chains; %+v, %d dropped", flows, packets, chains, n, got.Dropped)
		}
		if in := p.b.way("in"); in < packets {
			t.Errorf("%d flows: %d packets took the shortcut", flows, in)
		}
	}
}

// What takes the shortcut goes to the core that the plan has for what comes after the first stage, in chains.
func TestShortcutHops(t *testing.T) {
	p := newShortPipeline(t, Static)
	stop := p.keepFresh()
	defer stop()
	g, r := p.generator(1), p.reader(1)
	for _, place := range placements(p.b.steer.line.all.Len()) {
		t.Run(fmt.Sprintf("%s, then %s", slotName(place&slotInline), slotName(place>>16)), func(t *testing.T) {
			time.Sleep(50 * time.Millisecond) // as in TestSteerPlacesStages
			p.place(place)
			next := place & slotInline
			if next == slotInline {
				next = place >> 16
			}
			before, in := p.counts(), p.b.way("in")
			sent, got := p.sendSome(g, r, 20_000, 50*time.Millisecond)
			if n := got.Total(); n.Received != sent || n.Reordered > 0 {
				t.Errorf("sent %d packets, received %d, reordered %d", sent, n.Received, n.Reordered)
			}
			if took := p.b.way("in") - in; took != sent {
				t.Errorf("%d packets of %d took the shortcut", took, sent)
			}
			for cpu, now := range p.counts() {
				want := uint64(0)
				if cpu == p.cpuOf(next, p.nic) {
					want = sent
				}
				if got := now.Container.Packets - before[cpu].Container.Packets; got != want {
					t.Errorf("CPU %d took %d packets, want %d", cpu, got, want)
				}
			}
		})
	}
}
