package sim

import (
	"time"

	"falcon/datapath/balance"
)

// dynamic is the balancer of this project, and what the programs in the kernel do with its plan (bpf/order.h).
type dynamic struct {
	balancer *balance.Balancer
	want     []balance.Placement
	current  [balance.Buckets]balance.Placement
	since    [balance.Buckets]time.Duration
	input    balance.Input
	active   [balance.Buckets]int32 // index of the bucket's flow in input, plus one
}

func newDynamic(s Scenario) *dynamic {
	b, err := balance.New(s.Shape.Machine(), balance.DefaultSettings, balance.DefaultCosts)
	if err != nil {
		panic(err) // defaults that do not pass their own check
	}
	d := &dynamic{balancer: b}
	for i := range d.current {
		d.current[i] = balance.Placement{VXLAN: balance.Inline, Container: balance.Inline}
	}
	return d
}

func (d *dynamic) tick(r *run) {
	if r.now == 0 {
		return
	}
	d.measure(r)
	plan := d.balancer.Next(d.input)
	d.want = plan.Want
}

func (d *dynamic) measure(r *run) {
	in := &d.input
	in.Interval = tick
	in.Cores = in.Cores[:0]
	for i := range r.cores {
		c := &r.cores[i]
		in.Cores = append(in.Cores, balance.CoreLoad{
			Busy: r.share(c.busy), Softirq: r.share(c.softirq), Backlog: int(c.backlog.packets), Drops: uint64(c.drops),
		})
		c.busy, c.softirq, c.drops = 0, 0, 0
	}
	at := &d.active
	clear(at[:])
	in.Flows = in.Flows[:0]
	for i := range r.flows {
		f := &r.flows[i]
		if f.rate[balance.NIC] == 0 {
			continue
		}
		if at[f.bucket] == 0 {
			in.Flows = append(in.Flows, balance.Flow{Bucket: f.bucket, NIC: f.spec.NIC, Current: d.current[f.bucket], Since: r.now - d.since[f.bucket]})
			at[f.bucket] = int32(len(in.Flows))
		}
		for s := range f.rate {
			in.Flows[at[f.bucket]-1].Rate[s] += f.rate[s] / tick.Seconds()
			f.rate[s] = 0
		}
	}
}

// share is a measured share of the last tick.
func (r *run) share(seconds float64) float64 {
	return min(1, seconds/tick.Seconds()*(1+noise*(2*r.random.Float64()-1)))
}

func (d *dynamic) target(r *run, flow, stage, on int) int {
	return core1(d.current[r.flows[flow].bucket], stage, on)
}
