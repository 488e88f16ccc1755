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

// Few datagrams do not wait in the queue where chains are made; many do.
func TestShortcutQueuesFloodsOnly(t *testing.T) {
	p := newShortPipeline(t, Off)
	g := p.generator(1)
	scale := slowness(t)
	run := func(rate float64, d time.Duration) (sent, queued uint64) {
		in, out := p.b.way("in"), p.queued()
		if _, err := g.Run(t.Context(), rate, d); err != nil {
			t.Fatal(err)
		}
		return p.b.way("in") - in, p.queued() - out
	}
	for round := range 3 {
		time.Sleep(2 * quietAfter)
		if sent, queued := run(500/float64(scale), 100*time.Millisecond*time.Duration(scale)); sent < 40 || queued > sent/4 {
			t.Errorf("round %d, alone: %d datagrams, %d through the queue", round, sent, queued)
		}
		// An emulated processor takes no such rate as is called many.
		if sent, queued := run(0, 100*time.Millisecond); sent < 1000 || scale == 1 && queued < sent*8/10 {
			t.Errorf("round %d, a flood: %d datagrams, %d through the queue", round, sent, queued)
		}
	}
}

// queued is how many packets host b has sent to the container by the queue of its veth.
func (p *pipeline) queued() (n uint64) {
	p.b.t.Helper()
	if _, err := fmt.Sscan(p.b.sh("cat /sys/class/net/%s/statistics/tx_packets", hostDevice(p.cb.ID)), &n); err != nil {
		p.b.t.Fatal(err)
	}
	return n
}

// Whether datagrams come one upon another or apart, and in between: none overtakes another where the way changes.
func TestShortcutKeepsOrderAtAnyPace(t *testing.T) {
	p := newShortPipeline(t, Off)
	p.keepsOrderAtAnyPace(1, p.queued, nil)
}

// keepsOrderAtAnyPace sends at many rates, as fast as can be (0) at both ends. elsewhere counts those that went another way than the
// few; judge is told, for each rate, how many came in and how many of them went there.
func (p *pipeline) keepsOrderAtAnyPace(flows int, elsewhere func() uint64, judge func(rate float64, came, went uint64)) {
	t := p.b.t
	t.Helper()
	g, r := p.generator(flows), p.reader(flows)
	for _, rate := range []float64{0, 400_000, 150_000, 100_000, 60_000, 1000, 0} {
		rate /= float64(slowness(t))
		if err := r.Reset(); err != nil {
			t.Fatal(err)
		}
		in, out := p.b.way("in"), elsewhere()
		if _, err := g.Run(t.Context(), rate, 200*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * quietAfter)
		got, err := r.Counts()
		if err != nil {
			t.Fatal(err)
		}
		n, came, went := got.Total(), p.b.way("in")-in, elsewhere()-out
		t.Logf("%d flows, %.0f per second: %d datagrams, %d of them not with the few", flows, rate, came, went)
		if n.Received+got.Dropped != came || n.Reordered > 0 || n.Duplicates > 0 {
			t.Errorf("%d flows, %.0f per second: %d came in: %+v, %d dropped", flows, rate, came, n, got.Dropped)
		}
		if judge != nil {
			judge(rate, came, went)
		}
	}
}

// What is steered goes by the queue however little there is, and the queue knows: were its flow not steered any more, the next datagram would
// have to wait behind it.
func TestShortcutQueuesWhatIsSteered(t *testing.T) {
	p := newShortPipeline(t, Static)
	g := p.generator(1)
	in, out := p.b.way("in"), p.queued()
	if _, err := g.Run(t.Context(), 500/float64(slowness(t)), 100*time.Millisecond*time.Duration(slowness(t))); err != nil {
		t.Fatal(err)
	}
	sent, queued := p.b.way("in")-in, p.queued()-out
	if sent < 40 || queued < sent {
		t.Errorf("%d datagrams, %d through the queue", sent, queued)
	}
	var key uint32
	var paced shortcutPaced
	var noted uint64
	entries := p.b.short.programs.objects.PacedFlows.Iterate()
	for entries.Next(&key, &paced) {
		noted = max(noted, paced.Queued)
	}
	if err := entries.Err(); err != nil || noted == 0 {
		t.Errorf("the queue knows of none: %v", err)
	}
}
