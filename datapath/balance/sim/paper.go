package sim

import (
	"math/rand/v2"
	"time"

	"falcon/datapath/balance"
)

// The paper's algorithm (FALCON, EuroSys'21, and its kernel patch): first choice by hash; if that core is loaded,
// hash again and take what comes; off while the average is loaded. Nothing waits for the order of packets.
const (
	paperThreshold = 80
	paperPeriod    = 40 * time.Millisecond // ten timer ticks of 4 ms
	golden         = 0x61C88647            // hash_32 of Linux
)

type paper struct {
	load    []int // percent, by core
	average int
	hash    []uint32 // by flow: skb->hash
	last    [][balance.Stages]int
}

func newPaper(s Scenario) *paper {
	p := &paper{load: make([]int, s.Shape.Cores)}
	random := rand.New(rand.NewPCG(s.Seed, 3))
	for range s.Flows {
		p.hash = append(p.hash, random.Uint32())
		p.last = append(p.last, [balance.Stages]int{-1, -1, -1})
	}
	return p
}

func (p *paper) tick(r *run) {
	if r.now == 0 || r.now%paperPeriod != 0 {
		return
	}
	sum := 0
	for i := range r.cores {
		c := &r.cores[i]
		busy := int(100 * min(1, c.busy/paperPeriod.Seconds()))
		p.load[i] = (4*p.load[i] + busy) / 5
		sum += p.load[i]
		c.busy, c.softirq, c.drops = 0, 0, 0
	}
	p.average = sum / len(p.load)
}

func (*paper) step(*run)         {}
func (*paper) drained(*run, int) {}

func (p *paper) target(r *run, flow, stage, on int) int {
	to := p.choose(flow, stage, on)
	if last := &p.last[flow][stage]; *last != to {
		if *last >= 0 {
			r.migrated()
			r.reordered += r.flows[flow].waiting[stage]
		}
		*last = to
		r.flows[flow].on[stage] = to
	}
	return to
}

func (p *paper) choose(flow, stage, on int) int {
	if p.average > paperThreshold {
		return on
	}
	const vxlanIndex = 5 // interface indices of the devices, neighbours as they usually are
	h := (p.hash[flow] + uint32(vxlanIndex+stage-balance.VXLAN)) * golden
	first := int(h % uint32(len(p.load)))
	if p.load[first] < paperThreshold {
		return first
	}
	return int(h * golden % uint32(len(p.load)))
}
