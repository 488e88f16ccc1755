package datapath

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"falcon/datapath/balance"
)

const (
	// balanceInterval: a backlog of 1000 packets fills in about 2 ms and /proc/stat counts in units of 10 ms. A shorter interval
	// would cost more and know no more.
	balanceInterval = 10 * time.Millisecond
	// loadIntervals is over how many of these a core's load is taken: below it, units of 10 ms are too coarse.
	loadIntervals = 6
	// forgetAfter is how long a bucket without packets keeps its number.
	forgetAfter = time.Second
)

// balancer measures, has the plan made, and publishes it. It belongs to one goroutine.
type balancer struct {
	programs *steering
	machine  balance.Machine
	plan     *balance.Balancer
	sampler  *cpuSampler
	window   *loadWindow
	rank     []int16  // index in machine.Cores by CPU, -1: offline
	slot     []uint32 // by index in machine.Cores
	input    balance.Input
	counts   []uint64       // packets that came in at each CPU, at the last tick
	buckets  []bucketMemory // by bucket
	at       time.Time
	last     *balance.Plan
	number   []int16 // by bucket: what the plan knows it by, -1 if it does not
	owner    []int   // by that number: the bucket, -1 if there is none
}

// bucketMemory is what was known of a bucket at the last tick.
type bucketMemory struct {
	sent           uint32
	skbs, passed   uint64
	volume         uint64 // bytes
	placement      balance.Placement
	since, seen    time.Time
	packets, bytes float64 // per second, in the last interval with any
}

// newBalancer prepares to balance over the CPUs that have slots.
func newBalancer(s *steering, t Topology, line CPUSet, settings balance.Settings) (*balancer, error) {
	b := &balancer{programs: s, machine: machineOf(t, line), window: newLoadWindow(loadIntervals), counts: make([]uint64, len(s.counts.values)),
		buckets: make([]bucketMemory, s.buckets()), at: time.Now()}
	b.rank = make([]int16, len(s.slots.values))
	for i := range b.rank {
		b.rank[i] = -1
	}
	for i, c := range b.machine.Cores {
		b.rank[c.CPU] = int16(i)
		b.slot = append(b.slot, s.slots.values[c.CPU].Slot)
	}
	var err error
	if b.plan, err = balance.New(b.machine, settings, balance.DefaultCosts); err != nil {
		return nil, fmt.Errorf("prepare balancer: %w", err)
	}
	if b.sampler, err = openCPUSampler(""); err != nil {
		return nil, fmt.Errorf("prepare balancer: %w", err)
	}
	b.number, b.owner = filled[int16](s.buckets()), filled[int](balance.Buckets)
	b.input.Cores = make([]balance.CoreLoad, len(b.machine.Cores))
	b.input.Flows = make([]balance.Flow, 0, s.buckets())
	b.fillStatic()
	return b, nil
}

func (b *balancer) close() error { return b.sampler.close() }

// machineOf describes the online CPUs to the plan.
func machineOf(t Topology, line CPUSet) balance.Machine {
	online := slices.Collect(t.Online.All())
	var m balance.Machine
	for _, cpu := range online {
		c := balance.Core{CPU: cpu, Allowed: line.Contains(cpu), Node: t.Node[cpu]}
		for sibling := range t.Siblings[cpu].All() {
			if i := slices.Index(online, sibling); i >= 0 && sibling != cpu {
				c.Sibling = append(c.Sibling, i)
			}
		}
		m.Cores = append(m.Cores, c)
	}
	return m
}

// fillStatic writes the placements of static mode into both tables: they depend on nothing that changes.
func (b *balancer) fillStatic() {
	n := b.programs.buckets()
	for cpu := range b.rank {
		first, count := b.programs.bucketsOf(cpu)
		nic := b.rank[cpu]
		if nic < 0 {
			continue
		}
		for i := range count {
			p, other := balance.Static(b.machine, i)
			if p.VXLAN == nic {
				p = other
			}
			for table := range 2 {
				b.programs.plans.values[table*n+first+i].Placement[steerModeMODE_STATIC-1] = b.kernel(p)
			}
		}
	}
}

// kernel is a placement as the programs know it.
func (b *balancer) kernel(p balance.Placement) uint32 {
	return b.slotOf(p.VXLAN) | b.slotOf(p.Container)<<16
}

func (b *balancer) slotOf(core int16) uint32 {
	if core == balance.Inline {
		return slotInline
	}
	return b.slot[core]
}

// current is where a bucket's packets go, as the plan knows it.
func (b *balancer) current(bucket int, nic int16) balance.Placement {
	p := balance.Placement{
		VXLAN:     b.coreOf(atomic.LoadUint32(&b.programs.flows.values[bucket].Vxlan)),
		Container: b.coreOf(atomic.LoadUint32(&b.programs.passages.values[bucket].Container)),
	}
	before := p.VXLAN
	if before == balance.Inline {
		before = nic
	}
	if p.Container == before {
		p.Container = balance.Inline
	}
	return p
}

func (b *balancer) coreOf(slot uint32) int16 {
	if int(slot) < len(b.programs.cores.values) {
		if cpu := int(b.programs.cores.values[slot].Cpu); cpu < len(b.rank) {
			return b.rank[cpu]
		}
	}
	return balance.Inline
}

// tick makes one turn.
func (b *balancer) tick(now time.Time) error {
	b.input.Interval = now.Sub(b.at)
	b.at = now
	if err := b.measureCores(); err != nil {
		return err
	}
	b.measureFlows(now)
	plan := b.plan.Next(b.input)
	b.last = plan
	b.programs.publish(func(table []steerPlan) {
		for i := range table {
			want := balance.Placement{VXLAN: balance.Inline, Container: balance.Inline}
			if n := b.number[i]; n >= 0 {
				want = plan.Want[n]
			}
			table[i].Placement[steerModeMODE_DYNAMIC-1] = b.kernel(want)
		}
	})
	return nil
}

// measureCores fills in what each core did.
func (b *balancer) measureCores() error {
	samples, err := b.sampler.sample()
	if err != nil {
		return err
	}
	b.window.add(samples)
	for i, c := range b.machine.Cores {
		load, _ := b.window.load(c.CPU) // a core that has just come is idle
		b.input.Cores[i] = balance.CoreLoad{Busy: load.Busy, Softirq: load.Softirq, Backlog: load.Backlog, Drops: load.Dropped}
	}
	return nil
}

// measureFlows lists the buckets that have had packets. Cores where none came in are passed over.
func (b *balancer) measureFlows(now time.Time) {
	b.input.Flows = b.input.Flows[:0]
	for cpu := range b.counts {
		packets := atomic.LoadUint64(&b.programs.counts.values[cpu].Nic.Skbs)
		nic := b.rank[cpu]
		if packets == b.counts[cpu] || nic < 0 {
			continue
		}
		b.counts[cpu] = packets
		first, n := b.programs.bucketsOf(cpu)
		for i := first; i < first+n; i++ {
			b.measureFlow(i, nic, now)
		}
	}
}

// filled is a list of minus ones.
func filled[T int | int16](n int) []T {
	list := make([]T, n)
	for i := range list {
		list[i] = -1
	}
	return list
}

// numberOf gives the number by which the plan knows a bucket. When they are used up, one is taken from a bucket without
// packets; if there is none, the bucket is not balanced and stays where it comes in.
func (b *balancer) numberOf(bucket int, now time.Time) (int, bool) {
	if n := b.number[bucket]; n >= 0 {
		return int(n), true
	}
	start := bucket % len(b.owner)
	for i := range b.owner {
		n := (start + i) % len(b.owner)
		was := b.owner[n]
		if was >= 0 && now.Sub(b.buckets[was].seen) < forgetAfter {
			continue
		}
		if was >= 0 {
			b.number[was] = -1
		}
		b.owner[n], b.number[bucket] = bucket, int16(n)
		return n, true
	}
	return 0, false
}

func (b *balancer) measureFlow(bucket int, nic int16, now time.Time) {
	f, m := &b.programs.flows.values[bucket], &b.buckets[bucket]
	skbs := atomic.LoadUint64(&f.Skbs)
	if skbs == m.skbs {
		return
	}
	passed := atomic.LoadUint64(&b.programs.passages.values[bucket].Skbs)
	placement := b.current(bucket, nic)
	if placement != m.placement || m.since.IsZero() {
		m.placement, m.since = placement, now
	}
	m.seen = now
	number, ok := b.numberOf(bucket, now)
	if !ok {
		return
	}
	per := 1 / b.input.Interval.Seconds()
	flow := balance.Flow{Bucket: number, NIC: int(nic), Current: placement, Since: now.Sub(m.since)}
	flow.Rate[balance.NIC] = float64(skbs-m.skbs) * per
	flow.Rate[balance.VXLAN] = float64(passed-m.passed) * per
	// What GRO has chained at the vxlan device is taken apart at the socket. What it merged at the NIC (TCP) stays one.
	flow.Rate[balance.Container] = flow.Rate[balance.NIC]
	sent, volume := atomic.LoadUint32(&f.Sent), atomic.LoadUint64(&f.Bytes)
	m.packets, m.bytes = float64(sent-m.sent)*per, float64(volume-m.volume)*per
	m.skbs, m.passed, m.sent, m.volume = skbs, passed, sent, volume
	b.input.Flows = append(b.input.Flows, flow)
}

// Balance steers the packets of the networks that are to be, until ctx ends. Programs and masks stay when it does: without
// fresh tables, packets come back to the cores where they come in.
func (d *Datapath) Balance(ctx context.Context) error {
	s := d.steer
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-s.changed:
		}
		if err := d.balance(ctx); err != nil && ctx.Err() == nil {
			d.log.WithError(err).Error("balancer stopped; packets stay on the cores where they come in")
			s.mu.Lock()
			d.noteSteering("balancer", err)
			s.mu.Unlock()
		}
	}
	return nil
}

// balance runs the loop as long as there are programs.
func (d *Datapath) balance(ctx context.Context) error {
	tick := time.NewTicker(balanceInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return d.endBalancer()
		case now := <-tick.C:
			running, err := d.balanceOnce(now)
			if err != nil || !running {
				return errors.Join(err, d.endBalancer())
			}
		}
	}
}

// balanceOnce makes one turn, and tells whether there was anything to balance.
func (d *Datapath) balanceOnce(now time.Time) (running bool, err error) {
	s := d.steer
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.programs == nil {
		return false, nil
	}
	if s.balancer == nil {
		s.balancer, err = newBalancer(s.programs, s.machine, s.line, balance.DefaultSettings)
		if err != nil {
			return false, err
		}
	}
	return true, s.balancer.tick(now)
}

func (d *Datapath) endBalancer() error {
	s := d.steer
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.balancer == nil {
		return nil
	}
	b := s.balancer
	s.balancer = nil
	return b.close()
}
