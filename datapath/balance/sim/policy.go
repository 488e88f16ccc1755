package sim

import (
	"slices"
	"time"

	"falcon/datapath/balance"
)

// Policy is a way to place packets.
type Policy string

// The policies that can be compared.
const (
	Off     Policy = "off"
	Static  Policy = "static"
	Dynamic Policy = "dynamic"
	Paper   Policy = "paper"
)

// policy is one at work. target answers per packet, as the kernel does.
type policy interface {
	tick(*run)
	step(*run)
	target(r *run, flow, stage, on int) int
}

func (p Policy) start(s Scenario) policy {
	switch p {
	case Static:
		return newStatic(s)
	case Dynamic:
		return newDynamic(s)
	case Paper:
		return newPaper(s)
	default:
		return off{}
	}
}

// off leaves every packet where it is.
type off struct{}

func (off) tick(*run)                       {}
func (off) step(*run)                       {}
func (off) target(_ *run, _, _, on int) int { return on }

// static hashes.
type static struct {
	primary, alternate [balance.Buckets]balance.Placement
}

func newStatic(s Scenario) *static {
	st := &static{}
	m := s.Shape.Machine()
	for b := range balance.Buckets {
		st.primary[b], st.alternate[b] = balance.Static(m, b)
	}
	return st
}

func (*static) tick(*run) {}
func (*static) step(*run) {}

func (s *static) target(r *run, flow, stage, on int) int {
	f := &r.flows[flow]
	p := s.primary[f.bucket]
	if int(p.VXLAN) == f.spec.NIC {
		p = s.alternate[f.bucket]
	}
	return core1(p, stage, on)
}

func core1(p balance.Placement, stage, on int) int {
	to := p.Container
	if stage == balance.VXLAN {
		to = p.VXLAN
	}
	if to == balance.Inline {
		return on
	}
	return int(to)
}

// dynamic is the balancer of this project, and the kernel's rule: a bucket's placement changes when none of its packets
// waits in a backlog.
type dynamic struct {
	balancer *balance.Balancer
	want     []balance.Placement
	current  [balance.Buckets]balance.Placement
	since    [balance.Buckets]time.Duration
	input    balance.Input
	waiting  [balance.Buckets]float64
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

// step changes placements where the order of packets allows.
func (d *dynamic) step(r *run) {
	if d.want == nil || slices.Equal(d.want, d.current[:]) {
		return
	}
	clear(d.waiting[:])
	for i := range r.flows {
		f := &r.flows[i]
		d.waiting[f.bucket] += f.waiting[balance.VXLAN] + f.waiting[balance.Container]
	}
	for b := range d.current {
		if d.want[b] != d.current[b] && d.waiting[b] < 1e-6 {
			d.current[b], d.since[b] = d.want[b], r.now
			if d.active[b] > 0 {
				r.migrated()
			}
		}
	}
}

func (d *dynamic) target(r *run, flow, stage, on int) int {
	return core1(d.current[r.flows[flow].bucket], stage, on)
}

// migrated counts a change of core of a bucket that has packets.
func (r *run) migrated() {
	r.migrations++
	if r.now > time.Second {
		r.lateMigrations++
	}
}
