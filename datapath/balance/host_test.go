package balance

import (
	"math"
	"testing"
	"time"
)

const tick = 10 * time.Millisecond

// host is a machine in equilibrium: what its cores do follows from what arrives and where it is processed.
type host struct {
	t        *testing.T
	machine  Machine
	balancer *Balancer
	arrives  []Flow // Rate of the NIC stage is what arrives
	foreign  []float64
	drops    []uint64
	stuck    bool // the kernel does not do what is wanted
	input    Input
	plan     *Plan
}

func newHost(t *testing.T, m Machine, flows ...Flow) *host {
	t.Helper()
	b, err := New(m, DefaultSettings, DefaultCosts)
	if err != nil {
		t.Fatal(err)
	}
	n := len(m.Cores)
	for i := range flows {
		flows[i].Since = longAgo
	}
	return &host{
		t: t, machine: m, balancer: b, arrives: flows, foreign: make([]float64, n), drops: make([]uint64, n),
		input: Input{Interval: tick, Cores: make([]CoreLoad, n)},
	}
}

// cores is a machine of n cores without SMT, all of which may be used.
func cores(n int) Machine {
	var m Machine
	for cpu := range n {
		m.Cores = append(m.Cores, Core{CPU: cpu, Allowed: true})
	}
	return m
}

// elephant is a flow of its own bucket.
func elephant(nic int, rate float64) Flow {
	return Flow{Bucket: 100 + nic, NIC: nic, Rate: [Stages]float64{rate}, Current: stay}
}

// mice are n flows that together have a rate.
func mice(n, nic int, rate float64) []Flow {
	var flows []Flow
	for i := range n {
		flows = append(flows, Flow{Bucket: i, NIC: nic, Rate: [Stages]float64{rate / float64(n)}, Current: stay})
	}
	return flows
}

// tick measures, decides and, unless the host is stuck, does it.
func (h *host) tick() *Plan {
	h.measure()
	h.plan = h.balancer.Next(h.input)
	for i := range h.arrives {
		f := &h.arrives[i]
		f.Since += tick
		if want := h.plan.Want[f.Bucket]; !h.stuck && want != f.Current {
			f.Current, f.Since = want, 0
		}
	}
	return h.plan
}

func (h *host) run(d time.Duration) *Plan {
	for range int(d / tick) {
		h.tick()
	}
	return h.plan
}

// measure fills the input. A core that is too full for what its NIC receives takes in less.
func (h *host) measure() {
	c := h.balancer.config
	load := make([]float64, len(h.input.Cores))
	h.add(load, c, h.arrives)
	h.input.Flows = h.input.Flows[:0]
	for _, f := range h.arrives {
		f.Rate[NIC] /= max(1, load[f.NIC]+h.foreign[f.NIC])
		f.Rate[VXLAN], f.Rate[Container] = f.Rate[NIC], f.Rate[NIC]
		if f.Rate[NIC] > 0 {
			h.input.Flows = append(h.input.Flows, f)
		}
	}
	clear(load)
	h.add(load, c, h.input.Flows)
	for i := range h.input.Cores {
		softirq := min(1, load[i])
		h.input.Cores[i] = CoreLoad{Busy: min(1, load[i]+h.foreign[i]), Softirq: softirq, Drops: h.drops[i]}
	}
}

func (h *host) add(load []float64, c *config, flows []Flow) {
	for _, f := range flows {
		rate := [Stages]float64{f.Rate[NIC], f.Rate[NIC], f.Rate[NIC]}
		need := c.newWork(int16(f.NIC), &rate, 1)
		foot := c.footprint(&need, f.Current)
		for i := range foot.n {
			load[foot.core[i]] += foot.load[i]
		}
	}
}

// want is where a flow is wanted.
func (h *host) want(i int) Placement { return h.plan.Want[h.arrives[i].Bucket] }

// check fails the test where a plan is not one that may be published.
func (h *host) check(p *Plan) {
	h.t.Helper()
	for bucket, want := range p.Want {
		for _, core := range [...]int16{want.VXLAN, want.Container} {
			if core != Inline && (core < 0 || int(core) >= len(h.machine.Cores) || !h.machine.Cores[core].Allowed) {
				h.t.Fatalf("bucket %d is wanted on %+v, allowed are %v", bucket, want, h.machine.allowed())
			}
		}
	}
	for core, load := range p.Load {
		if math.IsNaN(load) || math.IsInf(load, 0) || load < -1e-6 {
			h.t.Fatalf("core %d has load %v", core, load)
		}
	}
	if p.Moves < 0 || p.Moves > DefaultSettings.Moves && !p.Off {
		h.t.Fatalf("%d moves", p.Moves)
	}
}
