package datapath

import (
	"context"
	"testing"
	"time"

	"falcon/tests/bench/load"
)

// A container's stack gets datagrams in chains, in order and whole, whether or not its packets are steered as well.
func TestShortcutChainsDatagrams(t *testing.T) {
	for _, flows := range []int{1, 16} {
		a, b := twoHosts(t, "ipv4")
		a.shortcut, b.shortcut = true, true
		p := &pipeline{overlay: overlayOf(a, b, true), app: lastCPU(t)}
		p.pass(Static) // so that programs count what the container's stack is given
		for _, c := range []*container{p.ca, p.cb} {
			c.sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
		}
		if err := load.EnableGRO(load.Device{Namespace: b.path(), Name: "u0"}); err != nil {
			t.Fatal(err)
		}
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
		if in := b.way("in"); in < packets {
			t.Errorf("%d flows: %d packets took the shortcut", flows, in)
		}
	}
}
