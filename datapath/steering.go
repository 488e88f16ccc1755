package datapath

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	ebpflink "github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

const (
	// staleAfter is how long the programs follow a published table. The balancer publishes every few milliseconds; if it
	// is silent for so long, it is gone or stuck, and loads have changed since.
	staleAfter = time.Second
	// quietAfter is longer than any queue between the NIC and the container can hold a packet: a backlog of 1000 packets
	// (net.core.netdev_max_backlog) at 5 us each, in front of a core that other work keeps from its softirqs for a few ticks.
	quietAfter = 50 * time.Millisecond
	// bucketBits: a tag has 15 bits for core and bucket; more than 1024 buckets for one core would only cost cache lines.
	tagBits    = 15
	bucketBits = 10
)

// steering is the programs that steer packets and what they share with the balancer. The maps are pinned: a later run of the
// daemon, of this version or another, goes on with the flows where they are.
type steering struct {
	objects steerObjects
	polls   ebpflink.Link
	split   *splitting // nil unless the first stage may be split
	bits    int        // of the number of buckets of one core
	cpus    int        // that have buckets of their own, a power of two
	quiet   time.Duration
	tcx     bool
	direct  map[VNI]bool // networks whose packets take the shortcut

	control  shared[steerControl]
	cores    shared[steerCore] // by slot
	slots    shared[steerSlot] // by CPU
	plans    shared[steerPlan]
	flows    shared[steerFlow] // by bucket, as the next two
	passages shared[steerPassage]
	arrivals shared[steerArrival]
	counts   shared[steerCoreCounts] // by CPU
}

// buckets is how many there are, of all cores together.
func (s *steering) buckets() int { return s.cpus << s.bits }

// bucketsOf are the numbers of the buckets of flows that come in on a CPU: from first, n of them.
func (s *steering) bucketsOf(cpu int) (first, n int) {
	return (cpu & (s.cpus - 1)) << s.bits, 1 << s.bits
}

// cpuOf is the CPU where the frames of a bucket's flows come in.
func (s *steering) cpuOf(bucket int) int { return bucket >> s.bits }

// openSteering loads the programs, with the maps pinned in a directory that it makes if need be. It changes nothing about packets,
// and leaves nothing if it fails: what is pinned tells the next run that something is steered.
func openSteering(c SteeringConfig, tcx bool) (*steering, error) {
	possible, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, fmt.Errorf("load steering: %w", err)
	}
	s := &steering{quiet: c.Quiet, tcx: tcx, direct: map[VNI]bool{}}
	s.dimension(possible)
	made, err := makePins(c.Pins)
	if err != nil {
		return nil, fmt.Errorf("load steering: %w", err)
	}
	spec, err := s.spec(possible, c.Port)
	if err == nil {
		err = s.load(spec, c.Pins)
	}
	if err == nil {
		err = errors.Join(s.share(), s.watchPolls(c.Pins))
	}
	if err != nil {
		err = errors.Join(loadError("steering", err), s.close())
		if made {
			err = errors.Join(err, os.RemoveAll(c.Pins))
		}
		return nil, err
	}
	if s.control.values[0].Seed == 0 {
		s.control.values[0].Seed = rand.Uint32() | 1 // kept: with another one, flows would change their buckets
	}
	return s, nil
}

// dimension divides the numbers that a tag can hold among the CPUs.
func (s *steering) dimension(possible int) {
	cpuBits := min(bits.Len(uint(possible-1)), tagBits-1)
	s.bits = min(bucketBits, tagBits-cpuBits)
	s.cpus = 1 << cpuBits
}

// spec is the compiled programs with this machine's sizes.
func (s *steering) spec(possible int, port uint16) (*ebpf.CollectionSpec, error) {
	spec, err := loadSteer()
	if err != nil {
		return nil, err
	}
	return spec, s.fit(spec, possible, port)
}

// fit gives programs this machine's sizes.
func (s *steering) fit(spec *ebpf.CollectionSpec, possible int, port uint16) error {
	sizes := map[string]int{
		steerMapCores: possible, steerMapSlots: possible, steerMapCounts: possible, steerMapPlans: planTables * s.buckets(),
		steerMapFlows: s.buckets(), steerMapPassages: s.buckets(), steerMapArrivals: s.buckets(), steerMapControls: 1,
		splitMapThreads: possible, splitMapSplits: s.buckets(),
	}
	for name, m := range spec.Maps {
		if entries, ok := sizes[name]; ok {
			m.MaxEntries = uint32(entries)
		}
	}
	pinAll(spec)
	return errors.Join(spec.Variables[steerVarVxlanPort].Set(port), spec.Variables[steerVarSettings].Set(steerSettings{
		Stale: uint64(staleAfter), Quiet: uint64(s.quiet), BucketBits: uint32(s.bits), CpuMask: uint32(s.cpus - 1),
	}))
}

// load loads the programs with the maps that are pinned, or with new ones where another version's do not fit. Those are left to
// the programs that are still attached, which by then have no fresh tables any more and keep packets where they come in.
func (s *steering) load(spec *ebpf.CollectionSpec, dir string) error {
	options := &ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: dir}}
	err := spec.LoadAndAssign(&s.objects, options)
	if !errors.Is(err, ebpf.ErrMapIncompatible) {
		return err
	}
	time.Sleep(staleAfter + 2*s.quiet)
	if err := remakePins(dir); err != nil {
		return err
	}
	return spec.LoadAndAssign(&s.objects, options)
}

func (s *steering) share() error {
	var errs [8]error
	s.control, errs[0] = share[steerControl](s.objects.Controls)
	s.cores, errs[1] = share[steerCore](s.objects.Cores)
	s.slots, errs[2] = share[steerSlot](s.objects.Slots)
	s.plans, errs[3] = share[steerPlan](s.objects.Plans)
	s.flows, errs[4] = share[steerFlow](s.objects.Flows)
	s.passages, errs[5] = share[steerPassage](s.objects.Passages)
	s.arrivals, errs[6] = share[steerArrival](s.objects.Arrivals)
	s.counts, errs[7] = share[steerCoreCounts](s.objects.Counts)
	return errors.Join(errs[:]...)
}

// pollsPin is the name of the link that counts polls.
const pollsPin = "polls"

// attachPolls has a program see the ends of polls as long as the link is open or pinned.
func attachPolls(p *ebpf.Program) (ebpflink.Link, error) {
	return ebpflink.AttachRawTracepoint(ebpflink.RawTracepointOptions{Name: "napi_poll", Program: p})
}

// watchPolls has the ends of polls counted, in the place of an earlier run.
func (s *steering) watchPolls(dir string) error {
	l, err := attachPolls(s.objects.FalconPoll)
	if err != nil {
		return fmt.Errorf("watch polls: %w", err)
	}
	s.polls = l
	pin := filepath.Join(dir, pollsPin)
	if err := os.Remove(pin); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("watch polls: %w", err)
	}
	if err := l.Pin(pin); err != nil {
		return fmt.Errorf("watch polls: %w", err)
	}
	return nil
}

func (s *steering) closePolls() error {
	if s.polls == nil {
		return nil
	}
	return s.polls.Close()
}

// close lets go of programs and maps. What is attached and pinned stays.
func (s *steering) close() error {
	return closeAll(s.closeSplit, s.control.close, s.cores.close, s.slots.close, s.plans.close, s.flows.close, s.passages.close,
		s.arrivals.close, s.counts.close, s.closePolls, s.objects.Close)
}

// setNetwork makes the programs steer a network's packets, after a time in which they are as with Off (0: at once); or bring its
// flows back (Off). direct: they take the shortcut past the VXLAN device.
func (s *steering) setNetwork(vni VNI, mode Mode, direct bool, after time.Duration) error {
	value := steerNetwork{Mode: mode.kernel()}
	if direct {
		value.Direct = 1
	}
	if after > 0 {
		value.From = monotonic() + uint64(after)
	}
	if err := s.objects.Networks.Put(uint32(vni), value); err != nil {
		return fmt.Errorf("steer network with VNI %d: %w", vni, err)
	}
	s.direct[vni] = direct
	return nil
}

// dropNetwork makes the programs leave a network's packets alone.
func (s *steering) dropNetwork(vni VNI) error {
	if err := s.objects.Networks.Delete(uint32(vni)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("stop steering network with VNI %d: %w", vni, err)
	}
	delete(s.direct, vni)
	return nil
}

// bury notes where the stages are that were on CPUs which are gone: RPS leaves their packets on the core of the stage before. Flows
// that come back are to wait for those.
func (s *steering) bury(online CPUSet) {
	gone := func(slot uint32) bool {
		return int(slot) < len(s.cores.values) && !online.Contains(int(s.cores.values[slot].Cpu))
	}
	for i := range s.flows.values {
		vxlan, container := &s.flows.values[i].Vxlan, &s.passages.values[i].Container
		before := s.slots.values[min(i>>s.bits, len(s.slots.values)-1)].Slot
		if was := atomic.LoadUint32(vxlan); gone(was) {
			atomic.CompareAndSwapUint32(vxlan, was, before)
		} else if was != slotInline {
			before = was
		}
		if was := atomic.LoadUint32(container); gone(was) {
			atomic.CompareAndSwapUint32(container, was, before)
		}
	}
}

// reline gives other CPUs slots, and has masks set accordingly. Packets come back first to where they come in. There they stay, with
// a hash that says so whatever the masks, as long as no CPU has a slot: until masks are as the slots will be.
func (s *steering) reline(ctx context.Context, line lineup, setMasks func() error) error {
	s.recall()
	s.bury(line.machine.Online)
	s.drain(ctx, s.away)
	s.lineUp(nil)
	s.drain(ctx, s.aimed)
	s.forgetSlots()
	err := setMasks()
	if errors.Is(err, ErrRPSReduced) {
		return err // a rank among some CPUs is nothing among others
	}
	s.lineUp(slices.Collect(line.all.All()))
	s.forgetSlots()
	return err
}

// forgetSlots is for when all packets stay where they come in, and slots have changed.
func (s *steering) forgetSlots() {
	time.Sleep(time.Millisecond) // programs that know the old slots come to their end
	for i := range s.flows.values {
		atomic.StoreUint32(&s.flows.values[i].Vxlan, slotInline)
		atomic.StoreUint32(&s.passages.values[i].Container, slotInline)
		atomic.StoreUint32(&s.passages.values[i].Relay, slotInline)
	}
	s.split.forget()
}

// lineUp gives CPUs slots in the order of their numbers, as RPS ranks them. Nothing may be steered meanwhile.
func (s *steering) lineUp(cpus []int) {
	for i := range s.slots.values {
		atomic.StoreUint32(&s.slots.values[i].Slot, slotInline)
	}
	for slot, cpu := range cpus {
		s.cores.values[slot] = steerCore{Cpu: uint32(cpu), Hash: hashOf(slot, len(cpus))}
		atomic.StoreUint32(&s.slots.values[cpu].Slot, uint32(slot))
	}
}

// hashOf is the least hash, other than zero, that RPS maps to rank slot of n (reciprocal_scale: hash * n >> 32).
func hashOf(slot, n int) uint32 {
	return uint32((uint64(slot)<<32+uint64(n)-1)/uint64(n)) + 1
}

// From types.h, which has them as macros.
const (
	slotInline      = 0x3fff
	slotSecond      = 0x4000
	placementInline = slotInline<<16 | slotInline
)

// publish switches to the table that fill writes, whole: until then the programs follow the other one.
func (s *steering) publish(fill func(table []steerPlan)) {
	c := &s.control.values[0]
	next := (atomic.LoadUint32(&c.Active) + 1) & 1
	n := s.buckets()
	fill(s.plans.values[int(next)*n : int(next+1)*n])
	atomic.StoreUint32(&c.Active, next)
	s.beat()
}

// beat tells the programs that the table is still good.
func (s *steering) beat() {
	atomic.StoreUint64(&s.control.values[0].Published, monotonic())
}

// linedUp gives the CPUs that have slots.
func (s *steering) linedUp() CPUSet {
	var cpus []int
	for cpu, slot := range s.slots.values {
		if slot.Slot != slotInline && s.cores.values[slot.Slot].Cpu == uint32(cpu) && s.cores.values[slot.Slot].Hash != 0 {
			cpus = append(cpus, cpu)
		}
	}
	return NewCPUSet(cpus...)
}

// recall begins to bring the flows of all networks back to the cores where they come in.
func (s *steering) recall() {
	s.publish(func(table []steerPlan) {
		for i := range table {
			table[i] = steerPlan{Placement: [...]uint32{placementInline, placementInline}, First: slotInline}
		}
	})
}

// drain waits until no bucket that has had packets of late is in a state. The programs must have been told to change it. The wait is
// bounded: under a load that never leaves a queue empty some flows do not come back; their packets may be reordered once, when
// the masks go.
func (s *steering) drain(ctx context.Context, state func(bucket int) bool) {
	deadline := time.Now().Add(4 * s.quiet)
	for s.underWay(state) && time.Now().Before(deadline) && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
}

// underWay tells whether a bucket that has had packets of late is in a state, or their first stage on another core.
func (s *steering) underWay(state func(bucket int) bool) bool {
	now := monotonic()
	for i := range s.flows.values {
		// A coarse clock, and another CPU's, may be a little ahead of what was read here.
		if recent := int64(now-atomic.LoadUint64(&s.flows.values[i].Last)) < int64(s.quiet); recent && state(i) {
			return true
		}
	}
	return s.split.underWay(now, s.quiet)
}

// away tells whether either stage of a bucket's packets is on another core than where they come in.
func (s *steering) away(bucket int) bool {
	here := s.cpuOf(bucket)
	return s.elsewhere(atomic.LoadUint32(&s.flows.values[bucket].Vxlan), here) ||
		s.elsewhere(atomic.LoadUint32(&s.passages.values[bucket].Container), here)
}

// aimed tells whether a bucket's packets have a hash by which a device with a mask puts them into a queue, be it this core's.
func (s *steering) aimed(bucket int) bool {
	return atomic.LoadUint32(&s.flows.values[bucket].Vxlan) != slotInline
}

// elsewhere tells whether a slot is of another core than the CPU.
func (s *steering) elsewhere(slot uint32, cpu int) bool {
	return int(slot) < len(s.cores.values) && int(s.cores.values[slot].Cpu) != cpu
}

// monotonic is the programs' clock, in nanoseconds.
func monotonic() uint64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // cannot fail with a clock that exists
	return uint64(now.Nano())
}
