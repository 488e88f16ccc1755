package datapath

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"falcon/datapath/balance"
)

const (
	// balanceInterval: a backlog of 1000 packets fills in about 2 ms and /proc/stat counts in units of 10 ms. A shorter interval
	// would cost more and know no more.
	balanceInterval = 10 * time.Millisecond
	// loadIntervals is over how many of these a core's load is taken: over 50 ms a load of 0.3 comes out with a standard
	// deviation of 0.08 to 0.1, over 100 ms of 0.04, in units of 10 ms.
	loadIntervals = 10
)

// balancer measures, has the plan made, and publishes it. It belongs to one goroutine.
type balancer struct {
	programs *steering
	machine  balance.Machine
	plan     *balance.Balancer
	splitter *balance.Splitter // nil if nothing is to be split
	sampler  *cpuSampler
	window   *loadWindow
	rank     []int16  // index in machine.Cores by CPU, -1: offline
	slot     []uint32 // by index in machine.Cores
	input    balance.Input
	splits   []balance.SplitFlow // of TCP, among the input's flows
	first    []int16             // what the splitter wants, by number
	counts   []uint64            // packets that came in at each CPU, at the last tick
	buckets  []bucketMemory      // by bucket
	numbers  bucketNumbers
	whole    int // how many planTables are still to be written whole: they have placements of buckets without a number
	at       time.Time
	last     *balance.Plan
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

// newBalancer prepares to balance over the CPUs that have slots. What was counted before is no load.
func newBalancer(s *steering, line lineup, settings balance.Settings, now time.Time) (*balancer, error) {
	b := &balancer{
		programs: s, machine: machineOf(line), window: newLoadWindow(loadIntervals), numbers: newBucketNumbers(s.buckets()),
		whole: planTables, rank: make([]int16, len(s.slots.values)), counts: make([]uint64, len(s.counts.values)),
		buckets: make([]bucketMemory, s.buckets()), at: now,
	}
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
	if s.split != nil {
		if b.splitter, err = balance.NewSplitter(b.machine); err != nil {
			return nil, fmt.Errorf("prepare balancer: %w", err)
		}
		b.splits = make([]balance.SplitFlow, 0, balance.Buckets)
	}
	if b.sampler, err = openCPUSampler(""); err != nil {
		return nil, fmt.Errorf("prepare balancer: %w", err)
	}
	b.input.Cores = make([]balance.CoreLoad, len(b.machine.Cores))
	b.input.Flows = make([]balance.Flow, 0, balance.Buckets)
	b.measureFlows(now)
	b.fillStatic()
	return b, nil
}

// planTables is how many there are of which one is valid.
const planTables = 2

func (b *balancer) close() error { return b.sampler.close() }

// machineOf describes the online CPUs to the plan.
func machineOf(line lineup) balance.Machine {
	t := line.machine
	online := slices.Collect(t.Online.All())
	var m balance.Machine
	for _, cpu := range online {
		c := balance.Core{CPU: cpu, Allowed: line.chosen.Contains(cpu), Node: t.Node[cpu]}
		for sibling := range t.Siblings[cpu].All() {
			if i := slices.Index(online, sibling); i >= 0 && sibling != cpu {
				c.Sibling = append(c.Sibling, i)
			}
		}
		m.Cores = append(m.Cores, c)
	}
	return m
}

// fillStatic writes the placements of static mode into both planTables: they depend on nothing that changes. Packets that come in
// at a CPU that is just coming online stay there.
func (b *balancer) fillStatic() {
	n := b.programs.buckets()
	for i := range b.programs.plans.values {
		b.programs.plans.values[i].First = b.programs.split.slot(i % n)
	}
	for cpu := range b.rank {
		first, count := b.programs.bucketsOf(cpu)
		nic := b.rank[cpu]
		for i := range count {
			kernel := uint32(placementInline)
			if place, second := balance.Static(b.machine, i); nic >= 0 && place.VXLAN == nic {
				kernel = b.kernel(second) | slotSecond
			} else if nic >= 0 {
				kernel = b.kernel(place)
			}
			for table := range planTables {
				b.programs.plans.values[table*n+first+i].Placement[steerModeMODE_STATIC-1] = kernel
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
	if p.VXLAN == nic {
		p.VXLAN = balance.Inline
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
	b.last = b.plan.Next(b.input)
	if b.splitter != nil {
		b.first = b.splitter.Next(b.input.Interval, b.input.Cores, b.splits)
	}
	b.programs.publish(b.fillDynamic)
	return nil
}

// fillDynamic writes what the plan wants. Buckets without a number, nearly all, are written only when a number was taken.
func (b *balancer) fillDynamic(table []steerPlan) {
	if b.whole > 0 {
		b.whole--
		for i := range table {
			table[i].Placement[steerModeMODE_DYNAMIC-1], table[i].First = placementInline, slotInline
		}
	}
	for number, bucket := range b.numbers.owner {
		if bucket < 0 {
			continue
		}
		table[bucket].Placement[steerModeMODE_DYNAMIC-1] = b.kernel(b.last.Want[number])
		if b.splitter != nil {
			table[bucket].First = b.slotOf(b.first[number])
		}
	}
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
	b.input.Flows, b.splits, b.numbers.full = b.input.Flows[:0], b.splits[:0], false
	for cpu := range b.counts {
		n := &b.programs.counts.values[cpu]
		packets := atomic.LoadUint64(&n.Nic.Skbs) + atomic.LoadUint64(&n.Driver.Skbs)
		nic := b.rank[cpu]
		if packets == b.counts[cpu] || nic < 0 {
			continue
		}
		b.counts[cpu] = packets
		first, count := b.programs.bucketsOf(cpu)
		for i := first; i < first+count; i++ {
			b.measureFlow(i, nic, now)
		}
	}
}

// numberOf gives the number by which the plan knows a bucket, and tells the plan where a new one's packets go: an earlier run
// may have sent them there.
func (b *balancer) numberOf(bucket int, now time.Time) (int, bool) {
	if n := b.numbers.of[bucket]; n >= 0 {
		return int(n), true
	}
	n, ok := b.numbers.take(bucket, func(was int) bool { return now.Sub(b.buckets[was].seen) >= forgetAfter })
	if ok {
		b.whole = planTables
		b.plan.Adopt(n, b.buckets[bucket].placement)
		if b.splitter != nil {
			b.splitter.Adopt(n, b.firstOf(bucket))
		}
	}
	return n, ok
}

// firstOf is the core that a bucket's first stage is handed to, or Inline.
func (b *balancer) firstOf(bucket int) int16 {
	return b.coreOf(b.programs.split.slot(bucket))
}

// measureFlow notes what a bucket of frames that come in at a core did since it was looked at last, and lists it if that was in
// the last interval.
func (b *balancer) measureFlow(bucket int, driver int16, now time.Time) {
	f, m := &b.programs.flows.values[bucket], &b.buckets[bucket]
	skbs := atomic.LoadUint64(&f.Skbs)
	if skbs == m.skbs {
		return
	}
	before := *m
	m.skbs, m.passed = skbs, atomic.LoadUint64(&b.programs.passages.values[bucket].Skbs)
	m.sent, m.volume = atomic.LoadUint32(&f.Sent), atomic.LoadUint64(&f.Bytes)
	nic := driver
	if core := b.rank[f.Cpu]; core >= 0 {
		nic = core // not the same where the first stage is split
	}
	if placement := b.current(bucket, nic); placement != m.placement || m.since.IsZero() {
		m.placement, m.since = placement, now
	}
	if b.input.Interval <= 0 {
		return // the first look: of the past, nothing is known but the sums
	}
	m.seen = now
	number, ok := b.numberOf(bucket, now)
	if !ok {
		return
	}
	per := 1 / b.input.Interval.Seconds()
	m.packets, m.bytes = float64(m.sent-before.sent)*per, float64(m.volume-before.volume)*per
	flow := balance.Flow{Bucket: number, NIC: int(nic), Current: m.placement, Since: now.Sub(m.since), Free: b.freedom(f)}
	flow.Rate[balance.NIC] = float64(m.skbs-before.skbs) * per
	flow.Rate[balance.VXLAN] = float64(m.passed-before.passed) * per
	// What GRO has chained at the vxlan device is taken apart at the socket. What it merged at the NIC (TCP) stays one.
	flow.Rate[balance.Container] = flow.Rate[balance.NIC]
	b.input.Flows = append(b.input.Flows, flow)
	if b.splitter != nil && f.Protocol == unix.IPPROTO_TCP {
		b.splits = append(b.splits, balance.SplitFlow{Bucket: number, From: int(driver), Rate: m.packets})
	}
}

// freedom is which stages of a flow can be placed: what takes the shortcut has no VXLAN stage, and is queued once more only if it is
// datagrams.
func (b *balancer) freedom(f *steerFlow) balance.Freedom {
	switch {
	case !b.programs.direct[VNI(f.Vni)]:
		return balance.Free
	case f.Protocol == unix.IPPROTO_UDP:
		return balance.FreeContainer
	}
	return balance.Bound
}
