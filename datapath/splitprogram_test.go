package datapath

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// splitBench is falcon_split by itself.
type splitBench struct {
	*steerBench
	split *splitting
}

func newSplitBench(t testing.TB) *splitBench {
	t.Helper()
	b := &splitBench{steerBench: newSteerBench(t, 3), split: &splitting{}}
	possible, err := ebpf.PossibleCPU()
	if err != nil {
		t.Fatal(err)
	}
	spec, err := loadSplit()
	if err != nil {
		t.Fatal(err)
	}
	possible = max(possible, 3)
	if err := b.fit(spec, possible, steerPort); err != nil {
		t.Fatal(err)
	}
	spec.Maps[splitMapThreads].MaxEntries = uint32(min(possible, mustPossible(t))) // the kernel refuses more than it may have
	for _, m := range spec.Maps {
		m.Pinning = ebpf.PinNone
	}
	if err := spec.LoadAndAssign(&b.split.objects, &ebpf.CollectionOptions{MapReplacements: b.objects.byName()}); err != nil {
		t.Fatal(err)
	}
	if err := b.split.share(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.split.close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func mustPossible(t testing.TB) int {
	t.Helper()
	n, err := ebpf.PossibleCPU()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// xdpContext is struct xdp_md of linux/bpf.h.
type xdpContext struct{ Data, DataEnd, DataMeta, IngressIfindex, RxQueueIndex, EgressIfindex uint32 }

// What falcon_split may say.
const (
	xdpPass     = 2
	xdpRedirect = 4
)

// mark is what stands before a frame that was marked.
func (b *splitBench) run(t testing.TB, frame []byte) (verdict, mark uint32, marked bool) {
	t.Helper()
	in := xdpContext{DataEnd: uint32(len(frame))}
	var out xdpContext
	o := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256), Context: &in, ContextOut: &out}
	err := onCPU(b.cpu, func() (err error) {
		verdict, err = b.split.objects.FalconSplit.Run(&o)
		return err
	})
	if err != nil {
		t.Fatalf("%d bytes: %v", len(frame), err)
	}
	if !bytes.Equal(o.DataOut[out.Data:], frame) {
		t.Errorf("frame was changed\nfrom % x\nto   % x", frame, o.DataOut[out.Data:])
	}
	if out.Data == 0 {
		return verdict, 0, false
	}
	return verdict, binary.NativeEndian.Uint32(o.DataOut), true
}

func (b *splitBench) wipe() {
	b.steerBench.wipe()
	clear(b.split.states.values)
}

// bucket is where a flow's frames are counted.
func (b *splitBench) bucket(t testing.TB, f frame) int {
	t.Helper()
	bucket := b.bucketOf(t, f)
	b.wipe()
	return bucket
}

const markFlag = 0xfa1c8000

// Of all frames, those of TCP flows in steered networks are marked, and nothing else happens as long as nothing is planned.
func TestSplitMarks(t *testing.T) {
	b := newSplitBench(t)
	b.publish(func(table []steerPlan) {
		for i := range table {
			table[i].First = slotInline
		}
	})
	for _, r := range nicRows() {
		t.Run(r.name, func(t *testing.T) {
			if !runnable(r.frame.bytes) {
				return
			}
			want := r.kind == flow && r.proto == unix.IPPROTO_TCP
			var bucket int
			if want {
				bucket = b.bucket(t, r.frame)
			}
			b.wipe()
			verdict, mark, marked := b.run(t, r.frame.bytes)
			if verdict != xdpPass || marked != want {
				t.Errorf("verdict %d, marked %t, want %d, %t", verdict, marked, xdpPass, want)
			}
			var counts steerCoreCounts
			if want {
				counts.Driver = steerStageCounts{Packets: 1, Bytes: uint64(len(r.frame.bytes)), Skbs: 1, Inlined: 1}
				if mark != markFlag|uint32(bucket) {
					t.Errorf("mark %#x, want bucket %#x", mark, bucket)
				}
			}
			b.checkCounts(t, counts)
		})
	}
}

// splitDecision is a state of things and what falcon_split makes of the next frame of a flow.
type splitDecision struct {
	off       bool          // the network is not steered
	first     uint32        // planned
	published time.Duration // ago
	state     splitSplit    // Last is how long ago
	taken     uint32
	retired   uint32 // of the flow's packets, of which benchSent were sent
	flowLast  time.Duration

	slot    uint32
	verdict uint32
	handed  uint32
	counts  steerStageCounts
}

func splitRows() map[string]splitDecision {
	const recently = 10 * time.Millisecond
	at := func(slot uint32) splitSplit {
		return splitSplit{Handed: 20, Slot: slot, Last: uint64(recently), Counting: 1}
	}
	lost := at(slotOther)
	lost.Last = uint64(2 * staleAfter)
	held, moved, back := steerStageCounts{Hops: 1, Held: 1}, steerStageCounts{Hops: 1, Migrations: 1}, steerStageCounts{Inlined: 1, Migrations: 1}
	return map[string]splitDecision{
		"the first frame stays": {first: slotOther, slot: slotInline, verdict: xdpPass, handed: 1, counts: steerStageCounts{Inlined: 1}},
		"the first frame of one that was counted before": {first: slotOther, taken: 5, slot: slotInline, verdict: xdpPass, handed: 6,
			counts: steerStageCounts{Inlined: 1}},
		"stays where it is":        {first: slotOther, state: at(slotOther), slot: slotOther, verdict: xdpRedirect, handed: 21, counts: steerStageCounts{Hops: 1}},
		"stays here":               {first: slotInline, state: at(slotInline), slot: slotInline, verdict: xdpPass, handed: 21, counts: steerStageCounts{Inlined: 1}},
		"this core's slot is here": {first: slotHere, state: at(slotHere), slot: slotHere, verdict: xdpPass, handed: 21, counts: steerStageCounts{Inlined: 1}},
		"goes":                     {first: slotOther, state: at(slotInline), taken: 20, retired: benchSent, slot: slotOther, verdict: xdpRedirect, handed: 21, counts: moved},
		"goes on":                  {first: slotThird, state: at(slotOther), taken: 20, retired: benchSent, slot: slotThird, verdict: xdpRedirect, handed: 21, counts: moved},
		"comes back":               {first: slotInline, state: at(slotOther), taken: 20, retired: benchSent, slot: slotInline, verdict: xdpPass, handed: 21, counts: back},
		"not all was taken":        {first: slotInline, state: at(slotOther), taken: 19, retired: benchSent, slot: slotOther, verdict: xdpRedirect, handed: 21, counts: held},
		"not all retired":          {first: slotInline, state: at(slotOther), taken: 20, retired: benchSent - 1, slot: slotOther, verdict: xdpRedirect, handed: 21, counts: held},
		"not retired, but long ago": {first: slotInline, state: at(slotOther), taken: 20, retired: benchSent - 1, flowLast: 2 * quietAfter,
			slot: slotInline, verdict: xdpPass, handed: 21, counts: back},
		"something was lost": {first: slotInline, state: lost, taken: 17, retired: benchSent, slot: slotInline, verdict: xdpPass, handed: 18, counts: back},
		"the daemon is silent": {first: slotThird, published: staleAfter + 100*time.Millisecond, state: at(slotOther), taken: 20, retired: benchSent,
			slot: slotInline, verdict: xdpPass, handed: 21, counts: steerStageCounts{Inlined: 1, Migrations: 1, Stale: 1}},
		"the network is not steered any more": {off: true, first: slotThird, state: at(slotOther), taken: 20, retired: benchSent,
			slot: slotInline, verdict: xdpPass, handed: 21, counts: back},
		"a slot of no core": {first: slotEmpty, state: at(slotEmpty), slot: slotEmpty, verdict: xdpPass, handed: 21, counts: steerStageCounts{Inlined: 1}},
	}
}

func TestSplitDecides(t *testing.T) {
	b := newSplitBench(t)
	// Cores of the bench but its own do not exist; the queues of real ones do as well.
	for _, slot := range []int{slotOther, slotThird} {
		b.cores.values[slot].Cpu = 0
	}
	if b.cpu == 0 {
		t.Fatal("needs a second CPU to hand frames to")
	}
	if err := b.split.serve(NewCPUSet(0)); err != nil {
		t.Fatal(err)
	}
	f := tcpConversation().frame()
	bucket := b.bucket(t, f)
	for name, d := range splitRows() {
		t.Run(name, func(t *testing.T) {
			b.wipe()
			mode := Static
			if d.off {
				mode = Off
			}
			if err := b.setNetwork(benchVNI, mode, false, 0); err != nil {
				t.Fatal(err)
			}
			b.publish(func(table []steerPlan) {
				for i := range table {
					table[i].First = d.first
				}
			})
			now := coarse()
			b.control.values[0].Published = now - uint64(d.published)
			d.state.Last = now - d.state.Last
			b.split.states.values[bucket] = d.state
			last := d.flowLast
			if last == 0 {
				last = 10 * time.Millisecond
			}
			b.flows.values[bucket] = steerFlow{Sent: benchSent, Taken: d.taken, Last: now - uint64(last)}
			b.retire(bucket, d.retired, false)
			verdict, _, marked := b.run(t, f.bytes)
			got := b.split.states.values[bucket]
			if verdict != d.verdict || !marked || got.Slot != d.slot || got.Handed != d.handed || got.Held != d.counts.Held || got.Counting != 1 {
				t.Errorf("verdict %d, marked %t, %+v; want %d at slot %#x, handed %d", verdict, marked, got, d.verdict, d.slot, d.handed)
			}
			want := d.counts
			want.Packets, want.Bytes, want.Skbs = 1, uint64(len(f.bytes)), 1
			if got := b.here().Driver; got != want {
				t.Errorf("counted\n%+v, want\n%+v", got, want)
			}
		})
	}
}

func tcpConversation() conversation {
	c := someConversation()
	c.proto = unix.IPPROTO_TCP
	return c
}

// Whatever comes in goes on as it is, and is counted once or not at all.
func FuzzSplit(f *testing.F) {
	b := newSplitBench(f)
	for _, r := range nicRows() {
		f.Add(r.frame.bytes)
		f.Add(r.frame.bytes[:r.frame.enough-1])
	}
	b.publish(func(table []steerPlan) {
		for i := range table {
			table[i].First = uint32(i*7) & 0x7fff
		}
	})
	f.Fuzz(func(t *testing.T, packet []byte) {
		if !runnable(packet) {
			return
		}
		b.wipe()
		verdict, _, marked := b.run(t, packet)
		n := b.here().Driver
		if verdict != xdpPass { // a new flow's first frame stays
			t.Errorf("verdict %d", verdict)
		}
		if want := map[bool]uint64{true: 1}[marked]; n.Packets != want || n.Skbs != want || n.Inlined != want || n.Bytes != want*uint64(len(packet)) {
			t.Errorf("marked %t, counted %+v", marked, n)
		}
		b.checkCounts(t, steerCoreCounts{Driver: n})
	})
}
