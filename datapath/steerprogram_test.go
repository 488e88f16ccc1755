package datapath

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

const benchPriority = 7 // of packets before they come to a program

func TestSteerNIC(t *testing.T) {
	b := newSteerBench(t, 3)
	for _, r := range nicRows() {
		for _, segments := range []uint32{0, 5} {
			t.Run(fmt.Sprintf("%s/%d segments", r.name, segments), func(t *testing.T) { b.checkNIC(t, r, r.frame.bytes, segments) })
		}
	}
}

// checkNIC runs falcon_nic on a row's packet, or what is left of it, and checks all that it may have done.
func (b *steerBench) checkNIC(t *testing.T, r nicRow, packet []byte, segments uint32) {
	t.Helper()
	b.wipe()
	out := b.run(t, b.objects.FalconNic, packet, skbContext{Priority: benchPriority, GSOSegs: segments})
	packets := uint64(max(segments, 1))
	var want steerCoreCounts
	if r.kind != foreign {
		want.Nic = steerStageCounts{Packets: packets, Bytes: uint64(len(packet)), Skbs: 1, Inlined: 1}
	}
	if r.kind == missed {
		want.Nic.Missed = 1
	}
	priority := uint32(benchPriority)
	if r.kind == flow {
		priority = 1
		place, slot := uint32(stayHere), uint32(slotHere)
		if r.proto != unix.IPPROTO_UDP {
			place, slot = allInline, slotInline
			want.Nic.Migrations = 1 // a new bucket is at slot 0
		}
		f := b.flows.values[b.only(t)]
		wantFlow := steerFlow{
			Sent: uint32(packets), Want: place, Vxlan: slot, Last: f.Last, Bytes: uint64(len(packet)), Skbs: 1,
			Vni: uint32(r.vni), Mac: endpointMAC, Port: bigEndian(r.port), Protocol: r.proto, Cpu: uint16(b.cpu),
		}
		if f != wantFlow {
			t.Errorf("flow is\n%+v, want\n%+v", f, wantFlow)
		}
		if age := monotonic() - f.Last; age > uint64(time.Minute) {
			t.Errorf("packet came %v ago", time.Duration(age))
		}
	} else if used := b.used(); len(used) > 0 {
		t.Errorf("packet of no flow counted in buckets %v", used)
	}
	if out.Priority != priority {
		t.Errorf("number %d, want %d", out.Priority, priority)
	}
	b.checkCounts(t, want)
}

// bigEndian has the bytes of a number in network order.
func bigEndian(n uint16) uint16 { return n<<8 | n>>8 }

// checkCounts wants these on the bench's CPU, nothing on others, and nothing noted by programs further on.
func (b *steerBench) checkCounts(t testing.TB, want steerCoreCounts) {
	t.Helper()
	for cpu, got := range b.counts.values {
		w := steerCoreCounts{}
		if cpu == b.cpu {
			w = want
		}
		if got != w {
			t.Errorf("CPU %d counted\n%+v, want\n%+v", cpu, got, w)
		}
	}
	for i := range b.passages.values {
		var passage steerPassage
		if b.flows.values[i].Skbs != 0 {
			passage = steerPassage{Container: slotInline, Relay: slotInline} // as for a bucket with nothing under way
		}
		if b.passages.values[i] != passage || b.arrivals.values[i] != (steerArrival{}) {
			t.Errorf("bucket %d: passed %+v, arrived %+v", i, b.passages.values[i], b.arrivals.values[i])
		}
	}
}

// A packet that ends too early is no flow's: of no length may a program count what it cannot see.
func TestSteerNICTruncated(t *testing.T) {
	b := newSteerBench(t, 3)
	for _, r := range nicRows() {
		for n := range len(r.frame.bytes) {
			cut := r
			if n < r.frame.enough {
				cut.kind = foreign
			}
			if packet := r.frame.bytes[:n]; runnable(packet) {
				b.checkNIC(t, cut, packet, 0)
			}
		}
		if t.Failed() {
			t.Fatal(r.name)
		}
	}
}

// runnable tells whether every kernel takes a packet for a test run. Some refuse one with nothing behind the Ethernet header
// (before 6.3), and one that has less than an IP header where there should be one. Those come over the wire, in TestSteerWireShort.
func runnable(packet []byte) bool {
	const headers, most = 14, 2000 // a test run has one page
	if len(packet) <= headers || len(packet) > most {
		return false
	}
	switch binary.BigEndian.Uint16(packet[12:]) {
	case unix.ETH_P_IP:
		return len(packet) >= headers+20
	case unix.ETH_P_IPV6:
		return len(packet) >= headers+40
	}
	return true
}

// Numbers go on from packet to packet, by as many as GRO has merged.
func TestSteerNumbersPackets(t *testing.T) {
	b := newSteerBench(t, 3)
	b.wipe()
	next := uint32(1)
	f := someConversation().frame()
	for _, segments := range []uint32{0, 1, 17, 0, 3} {
		out := b.run(t, b.objects.FalconNic, f.bytes, skbContext{GSOSegs: segments, GSOSize: 1000})
		if out.Priority != next {
			t.Errorf("number %d, want %d", out.Priority, next)
		}
		next += max(segments, 1)
	}
	bucket := b.only(t)
	// They wrap around, and 0 is none, nor may a merged packet's number change with the last of it.
	for _, c := range []struct{ sent, segments, number, then uint32 }{
		{^uint32(0) - 1, 0, ^uint32(0), ^uint32(0)},
		{^uint32(0), 0, 1, 1},
		{^uint32(0), 4, 1, 4},
		{^uint32(0) - 1, 4, ^uint32(0), 2},
	} {
		b.flows.values[bucket].Sent = c.sent
		out := b.run(t, b.objects.FalconNic, f.bytes, skbContext{GSOSegs: c.segments, GSOSize: 1000})
		if sent := b.flows.values[bucket].Sent; out.Priority != c.number || sent != c.then {
			t.Errorf("after %d, %d segments: number %d, sent %d; want %d, %d", c.sent, c.segments, out.Priority, sent, c.number, c.then)
		}
	}
}

// The programs further on leave a packet without a tag as it is, and count it once.
func TestSteerUntagged(t *testing.T) {
	b := newSteerBench(t, 3)
	packet := frameOf(etherHeader(endpointMAC), inIP("IPv4")[2], udpHeader(40000, 53), payload(0, 1)).bytes
	for segments, packets := range map[uint32]uint64{0: 1, 1: 1, 4: 4} {
		stage := steerStageCounts{Packets: packets, Bytes: uint64(len(packet)), Skbs: 1}
		missed := stage
		missed.Missed = 1
		for name, c := range map[string]struct {
			program *ebpf.Program
			want    steerCoreCounts
		}{
			nameVXLAN:   {b.objects.FalconVxlan, steerCoreCounts{Vxlan: missed}},
			nameHost:    {b.objects.FalconHost, steerCoreCounts{}},
			nameArrival: {b.objects.FalconArrival, steerCoreCounts{Container: stage}},
		} {
			t.Run(fmt.Sprintf("%s/%d segments", name, segments), func(t *testing.T) {
				b.wipe()
				out := b.run(t, c.program, packet, skbContext{Priority: benchPriority, GSOSegs: segments})
				if out.Priority != benchPriority {
					t.Errorf("priority %d, want %d", out.Priority, benchPriority)
				}
				b.checkCounts(t, c.want)
				if used := b.used(); used != nil {
					t.Errorf("counted in buckets %v", used)
				}
			})
		}
	}
}

// The end of a poll is counted on the core where it happens.
func TestSteerPoll(t *testing.T) {
	b := newSteerBench(t, 3)
	for range 3 {
		err := onCPU(b.cpu, func() error {
			_, err := b.objects.FalconPoll.Run(&ebpf.RunOptions{Context: [3]uint64{}})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	b.checkCounts(t, steerCoreCounts{Polls: 3})
}

// RPS takes the core of rank hash * n >> 32; whatever a program adds to the hash of a core, it must stay with it.
func TestSteerHashOf(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 7, 64, 100, 128, 1000, 1024} {
		for slot := range n {
			least := hashOf(slot, n)
			if least == 0 {
				t.Fatalf("slot %d of %d: hash 0 is none", slot, n)
			}
			for _, entropy := range []uint64{0, 1, hashSpan / 2, hashSpan - 1} {
				hash := uint64(least) + entropy
				if hash > 1<<32-1 || rank(uint32(hash), n) != slot {
					t.Fatalf("slot %d of %d: hash %#x is of rank %d", slot, n, hash, rank(uint32(hash), n))
				}
			}
		}
	}
}

const hashSpan = 1 << 20 // HASH_SPAN of types.h

// rank is the kernel's reciprocal_scale.
func rank(hash uint32, n int) int { return int(uint64(hash) * uint64(n) >> 32) }

// The layout of struct __sk_buff, as far as a test run reads it.
func TestSteerContextLayout(t *testing.T) {
	c := reflect.TypeFor[skbContext]()
	for name, offset := range map[string]uintptr{"Priority": 32, "TCIndex": 44, "CB": 48, "Hash": 68, "GSOSegs": 164, "HWTstamp": 184} {
		if f, _ := c.FieldByName(name); f.Offset != offset {
			t.Errorf("%s is at %d, want %d", name, f.Offset, offset)
		}
	}
}
