package datapath

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Whatever comes in at the NIC goes on as it is, and what is counted of it is consistent.
func FuzzSteerNIC(f *testing.F) {
	b := newSteerBench(f, 4)
	for _, r := range nicRows() {
		f.Add(r.frame.bytes, uint16(0))
		f.Add(r.frame.bytes[:r.frame.enough-1], uint16(3))
	}
	random := rand.New(rand.NewPCG(1, 2))
	b.publish(func(table []steerPlan) {
		for i := range table {
			table[i].Placement = [2]uint32{random.Uint32(), random.Uint32()}
			if i%2 == 0 {
				table[i].Placement = [2]uint32{vxlanOther, vxlanThird | slotSecond}
			}
		}
	})
	f.Fuzz(func(t *testing.T, packet []byte, segments uint16) {
		if !runnable(packet) {
			return
		}
		b.wipe()
		before := b.published()
		out := b.run(t, b.objects.FalconNic, packet, skbContext{Priority: benchPriority, GSOSegs: uint32(segments)})
		if after := b.published(); !after.equals(before) {
			t.Error("the program changed what the daemon publishes")
		}
		b.checkConsistent(t, packet, uint64(max(segments, 1)), out.Priority)
	})
}

// publication is what programs only read.
type publication struct {
	control steerControl
	cores   []steerCore
	slots   []steerSlot
	plans   []steerPlan
}

func (b *steerBench) published() publication {
	return publication{b.control.values[0], slices.Clone(b.cores.values), slices.Clone(b.slots.values), slices.Clone(b.plans.values)}
}

func (p publication) equals(q publication) bool {
	return p.control == q.control && slices.Equal(p.cores, q.cores) && slices.Equal(p.slots, q.slots) && slices.Equal(p.plans, q.plans)
}

// checkConsistent wants one packet to have been counted once everywhere, or nowhere.
func (b *steerBench) checkConsistent(t *testing.T, packet []byte, packets uint64, priority uint32) {
	t.Helper()
	n := b.here().Nic
	switch {
	case n.Skbs > 1 || n.Skbs != n.Hops+n.Inlined, n.Packets != n.Skbs*packets, n.Bytes != n.Skbs*uint64(len(packet)):
		t.Errorf("not one packet: %+v", n)
	case n.Missed > n.Inlined, n.Second > n.Hops, n.Migrations > n.Skbs-n.Missed:
		t.Errorf("counted a part without the whole: %+v", n)
	case n.Held != 0 || n.Stale != 0 || n.Relays != 0:
		t.Errorf("a new flow with fresh tables was kept: %+v", n)
	}
	b.checkCounts(t, steerCoreCounts{Nic: n})
	if n.Skbs == n.Missed {
		if used := b.used(); used != nil || priority != benchPriority {
			t.Errorf("packet of no flow has number %d and buckets %v", priority, used)
		}
		return
	}
	if f := b.flows.values[b.only(t)]; priority != 1 || f.Skbs != 1 || f.Bytes != n.Bytes || uint64(f.Sent) != packets {
		t.Errorf("packet %d in %+v", priority, f)
	}
}
