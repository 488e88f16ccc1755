package datapath

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// steerBench is the programs by themselves: attached to nothing, with maps of their own, run on one CPU.
type steerBench struct {
	*steering
	cpu int // the last: its buckets are not the first ones, unless it is the only one
}

// Slots of the bench. All but the first are of CPUs that do not exist: the programs need not know.
const (
	slotHere  = 0
	slotOther = 1
	slotThird = 2
	slotEmpty = 0x3ffd // of no core
	slotNone  = 0x3ffe // as the programs call that of a core without
	noCPU     = 1 << 20

	// Placements.
	allInline  = slotInline | slotInline<<16
	stayHere   = slotHere | slotInline<<16  // the same by this core's queue
	vxlanOther = slotOther | slotInline<<16 // only the VXLAN stage elsewhere
	vxlanThird = slotThird | slotInline<<16
)

// The networks that the bench steers.
const (
	benchVNI = labVNI
	leastVNI = 0
	mostVNI  = 1<<24 - 1
)

// newSteerBench loads the programs as for a machine that has at least as many CPUs, of which as many have slots.
func newSteerBench(t testing.TB, line int) *steerBench {
	t.Helper()
	requireRoot(t)
	possible, err := ebpf.PossibleCPU()
	if err != nil {
		t.Fatal(err)
	}
	b := &steerBench{steering: &steering{quiet: quietAfter, direct: map[VNI]bool{}}, cpu: lastCPU(t)}
	if err := b.open(max(possible, line)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	})
	for _, vni := range []VNI{benchVNI, leastVNI, mostVNI} {
		if err := b.setNetwork(vni, Static, false, 0); err != nil {
			t.Fatal(err)
		}
	}
	b.lineUp([]int{b.cpu})
	b.line(line)
	b.place(allInline, allInline)
	return b
}

// open loads without pinning, so that nothing is left behind by a test that is killed.
func (b *steerBench) open(possible int) error {
	b.dimension(possible)
	spec, err := b.spec(possible, steerPort)
	if err != nil {
		return err
	}
	for _, m := range spec.Maps {
		m.Pinning = ebpf.PinNone
	}
	if err := spec.LoadAndAssign(&b.objects, nil); err != nil {
		return err
	}
	if err := b.share(); err != nil {
		return err
	}
	b.control.values[0].Seed = 0x5eed1e55
	return nil
}

// line has so many slots, the first of them this CPU's.
func (b *steerBench) line(slots int) {
	for slot := range slots {
		b.cores.values[slot] = steerCore{Cpu: uint32(noCPU + slot), Hash: hashOf(slot, slots)}
	}
	b.cores.values[slotHere].Cpu = uint32(b.cpu)
}

// place publishes one placement for all buckets, by mode.
func (b *steerBench) place(static, dynamic uint32) {
	b.publish(func(table []steerPlan) {
		for i := range table {
			table[i].Placement = [2]uint32{static, dynamic}
		}
	})
}

// wipe forgets all packets. Tables are fresh again.
func (b *steerBench) wipe() {
	b.beat()
	clear(b.flows.values)
	clear(b.passages.values)
	clear(b.arrivals.values)
	clear(b.counts.values)
}

func (b *steerBench) here() *steerCoreCounts { return &b.counts.values[b.cpu] }

// used are the buckets that have had packets since the wipe.
func (b *steerBench) used() (buckets []int) {
	for i := range b.flows.values {
		if b.flows.values[i].Skbs != 0 {
			buckets = append(buckets, i)
		}
	}
	return buckets
}

// only is the one bucket that has had packets.
func (b *steerBench) only(t testing.TB) int {
	t.Helper()
	used := b.used()
	if len(used) != 1 {
		t.Fatalf("buckets used: %v, want one", used)
	}
	if first, n := b.bucketsOf(b.cpu); used[0] < first || used[0] >= first+n {
		t.Fatalf("bucket %d is not of CPU %d, which has %d from %d on", used[0], b.cpu, n, first)
	}
	return used[0]
}

// bucketOf is where the packets of a flow are counted. It wipes.
func (b *steerBench) bucketOf(t testing.TB, f frame) int {
	t.Helper()
	b.wipe()
	b.run(t, b.objects.FalconNic, f.bytes, skbContext{})
	return b.only(t)
}

// skbContext is struct __sk_buff of linux/bpf.h. A test run takes a few of its fields and refuses others
// (convert___skb_to_skb in net/bpf/test_run.c).
type skbContext struct {
	Len, PktType, Mark, QueueMapping, Protocol uint32
	VLANPresent, VLANTCI, VLANProto, Priority  uint32
	IngressIfindex, Ifindex, TCIndex           uint32
	CB                                         [5]uint32
	Hash, TCClassID, Data, DataEnd, NapiID     uint32
	Family, RemoteIP4, LocalIP4                uint32
	RemoteIP6, LocalIP6                        [4]uint32
	RemotePort, LocalPort, DataMeta            uint32
	FlowKeys, Tstamp                           uint64
	WireLen, GSOSegs                           uint32
	Sk                                         uint64
	GSOSize                                    uint32
	TstampType                                 uint8
	_                                          [3]uint8
	HWTstamp                                   uint64
}

const goOn = -1 // TC_ACT_UNSPEC: the next program decides

// run passes one packet to a program, which must let it go on as it is, and gives what became of its metadata.
func (b *steerBench) run(t testing.TB, p *ebpf.Program, packet []byte, in skbContext) (out skbContext) {
	t.Helper()
	o := ebpf.RunOptions{Data: packet, DataOut: make([]byte, len(packet)+64), Context: &in, ContextOut: &out}
	var verdict uint32
	err := onCPU(b.cpu, func() (err error) {
		verdict, err = p.Run(&o)
		return err
	})
	if err != nil {
		t.Fatalf("%d bytes: %v", len(packet), err)
	}
	if int32(verdict) != goOn {
		t.Errorf("verdict %d, want %d", int32(verdict), goOn)
	}
	if !bytes.Equal(o.DataOut, packet) {
		t.Errorf("packet was changed\nfrom % x\nto   % x", packet, o.DataOut)
	}
	return out
}

// onCPU runs f there.
func onCPU(cpu int, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	one.Set(cpu)
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }() // those were allowed
	return f()
}

func lastCPU(t testing.TB) (last int) {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	for cpu := range 8 * len(set) * 8 {
		if set.IsSet(cpu) {
			last = cpu
		}
	}
	return last
}
