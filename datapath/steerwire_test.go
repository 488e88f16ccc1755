package datapath

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A test run shows neither the hash nor the tag that a program writes. So here packets come over a veth to three programs in a
// row: one that gives a packet the metadata that it is to have, one of ours, and one that notes what it has then.
//
//	sender ─> w0 ══ w1 ─(set)─> (falcon_*) ─(look)─> dropped

// metadata is what our programs tell each other with a packet.
type metadata struct {
	Tag      uint32
	Priority uint32
	Hash     uint32 // as it is
	Known    uint32 // as it is or, if it is not valid, computed anew
	Seen     uint32 // how many packets were
	Length   uint32
}

// exchange is what the test and its programs share: a program can reach into an array without looking it up only if that has one
// element.
type exchange struct{ set, look metadata }

// steerWire is a bench whose packets come from a device.
type steerWire struct {
	*steerBench
	*space
	rtnl     *rtnl
	sender   int // packet socket
	device   int // index, where packets come in
	exchange shared[exchange]
}

const wireMTU = 9000 // so that there are packets of more than a page

func newSteerWire(t testing.TB, line int) *steerWire {
	t.Helper()
	w := &steerWire{steerBench: newSteerBench(t, line), space: newSpace(t, "wire")}
	w.sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1") // nobody else says anything
	w.ip("link add w0 mtu %d type veth peer name w1 mtu %d", wireMTU, wireMTU)
	w.ip("link set w1 arp off up")
	w.ip("link set w0 arp off up")
	w.waitUp("w0")
	w.device = w.space.device("w1")
	rt, err := openRTNL(w.handle())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.Close)
	w.rtnl = rt
	w.connect(t)
	w.surround(t)
	return w
}

// connect opens the packet socket.
func (w *steerWire) connect(t testing.TB) {
	t.Helper()
	device := w.space.device("w0")
	err := inNetns(w.handle(), func() (err error) {
		const headers = 15 // PACKET_VNET_HDR: what is sent begins with a struct virtio_net_hdr
		if w.sender, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		t.Cleanup(func() { _ = unix.Close(w.sender) })
		if err := unix.SetsockoptInt(w.sender, unix.SOL_PACKET, headers, 1); err != nil {
			return err
		}
		return unix.Bind(w.sender, &unix.SockaddrLinklayer{Ifindex: device})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// surround attaches the programs that set and look.
func (w *steerWire) surround(t testing.TB) {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 2 * all, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	if w.exchange, err = share[exchange](m); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.exchange.close() })
	for priority, code := range map[uint16]asm.Instructions{1: setMetadata(m.FD()), 3: lookAtMetadata(m.FD())} {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: code})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		w.hang(t, p, priority)
	}
}

// hang puts a program at a place among those at the device.
func (w *steerWire) hang(t testing.TB, p *ebpf.Program, priority uint16) {
	t.Helper()
	h := hook{device: w.device}
	clsact := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: h.device, Parent: netlink.HANDLE_CLSACT, Handle: netlink.MakeHandle(0xffff, 0)}}
	_ = w.rtnl.QdiscAdd(clsact) // may be there
	filter := h.filter(p.FD(), fmt.Sprintf("place%d", priority))
	filter.Priority = priority
	if err := w.rtnl.FilterReplace(filter); err != nil {
		t.Fatal(err)
	}
}

// test puts the program that is tested in its place.
func (w *steerWire) test(t testing.TB, p *ebpf.Program) { w.hang(t, p, 2) }

// Fields of struct __sk_buff, and of metadata.
const (
	skbLength, skbMark, skbPriority, skbTag, skbHash               = 0, 8, 32, 44, 68
	fieldTag, fieldPriority, fieldHash, fieldKnown, fieldSeen, all = 0, 4, 8, 12, 16, 24
	fieldLength                                                    = 20
)

// setMetadata marks the packets that it has seen: those that our program sends around come by again, and are then left alone.
func setMetadata(fd int) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R6, skbMark, asm.Word),
		asm.JNE.Imm(asm.R2, 0, "end"),
		asm.Mov.Imm(asm.R2, 1), // verifiers before 6.3 let no constant be stored into the context
		asm.StoreMem(asm.R6, skbMark, asm.R2, asm.Word),
		asm.LoadMapValue(asm.R7, fd, 0),
		asm.LoadMem(asm.R2, asm.R7, fieldTag, asm.Word),
		asm.StoreMem(asm.R6, skbTag, asm.R2, asm.Word),
		asm.LoadMem(asm.R2, asm.R7, fieldPriority, asm.Word),
		asm.StoreMem(asm.R6, skbPriority, asm.R2, asm.Word),
		asm.LoadMem(asm.R2, asm.R7, fieldHash, asm.Word),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.FnSetHash.Call(),
		asm.Mov.Imm(asm.R0, goOn).WithSymbol("end"),
		asm.Return(),
	}
}

func lookAtMetadata(fd int) asm.Instructions {
	const drop = 2 // TC_ACT_SHOT
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMapValue(asm.R7, fd, all),
	}
	for field, at := range map[int16]int16{fieldTag: skbTag, fieldPriority: skbPriority, fieldHash: skbHash, fieldLength: skbLength} {
		code = append(code, asm.LoadMem(asm.R2, asm.R6, at, asm.Word), asm.StoreMem(asm.R7, field, asm.R2, asm.Word))
	}
	return append(code,
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.FnGetHashRecalc.Call(),
		asm.StoreMem(asm.R7, fieldKnown, asm.R0, asm.Word),
		asm.LoadMem(asm.R2, asm.R7, fieldSeen, asm.Word),
		asm.Add.Imm(asm.R2, 1),
		asm.StoreMem(asm.R7, fieldSeen, asm.R2, asm.Word),
		asm.Mov.Imm(asm.R0, drop),
		asm.Return(),
	)
}

// send sends one packet with its metadata, of which so many bytes are where programs can look without asking; 0: all. It gives
// what the metadata has become.
func (w *steerWire) send(t testing.TB, packet []byte, linear uint16, in metadata) metadata {
	t.Helper()
	out := &w.exchange.values[0].look
	w.exchange.values[0].set = in
	before := atomic.LoadUint32(&out.Seen)
	header := make([]byte, 10) // flags, type, length of headers, and what only segmentation needs
	binary.NativeEndian.PutUint16(header[2:], linear)
	err := onCPU(w.cpu, func() error { return unix.Send(w.sender, append(header, packet...), 0) })
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); atomic.LoadUint32(&out.Seen) == before; {
		if time.Now().After(deadline) {
			t.Fatal("packet got lost")
		}
		time.Sleep(time.Millisecond)
	}
	got := *out
	if want := untaggedLength(packet); got.Seen != before+1 || got.Length != want {
		t.Errorf("%d packets, the last of %d bytes; want one of %d", got.Seen-before, got.Length, want)
	}
	got.Seen, got.Length = 0, 0
	return got
}

// untaggedLength is a packet's without its outermost VLAN tag.
func untaggedLength(packet []byte) uint32 {
	switch binary.BigEndian.Uint16(packet[12:]) {
	case unix.ETH_P_8021Q, unix.ETH_P_8021AD:
		return uint32(len(packet)) - 4
	}
	return uint32(len(packet))
}

// alien is metadata that no program of ours has made.
var alien = metadata{Tag: 0x77, Priority: benchPriority, Hash: 0x12345678}

// untouched is how it looks then.
var untouched = metadata{Tag: alien.Tag, Priority: alien.Priority, Hash: alien.Hash, Known: alien.Hash}

// Every packet of the table has, afterwards, the metadata that fits: hash 0 keeps here what is no datagram of a flow.
func TestSteerWireNIC(t *testing.T) {
	w := newSteerWire(t, 3)
	w.test(t, w.objects.FalconNic)
	for _, r := range append(nicRows(), vlanRows()...) {
		t.Run(r.name, func(t *testing.T) {
			w.wipe()
			got, want := w.send(t, r.frame.bytes, 0, alien), untouched
			switch r.kind {
			case missed:
				want = metadata{Priority: alien.Priority}
			case flow:
				want = metadata{Tag: w.tag(w.only(t)), Priority: 1}
				if r.proto == unix.IPPROTO_UDP {
					got = w.kept(t, got)
				}
			case foreign:
			}
			if got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

// kept wants a flow's packet to stay, by a hash of this core's slot that has bits of the flow's, and gives the rest of its metadata.
func (w *steerWire) kept(t *testing.T, m metadata) metadata {
	t.Helper()
	flow := m.Hash - w.cores.values[slotHere].Hash
	if m.Hash != m.Known || rank(m.Hash, 3) != slotHere || flow >= hashSpan || (flow^m.Tag)&(1<<w.bits-1) != 0 {
		t.Errorf("%+v: the hash is not of the slot here and of the flow", m)
	}
	m.Hash, m.Known = 0, 0
	return m
}

// tag is a bucket's.
func (b *steerBench) tag(bucket int) uint32 { return 1<<tagBits | uint32(bucket) }

// vlanRows have a tag outside, which a device takes off before programs see the packet.
func vlanRows() (rows []nicRow) {
	inside := over(inIP("IPv4"), udpHeader(40000, 53))
	add := func(name string, k kind, tags ...layer) {
		r := nicRow{name: name, kind: k, proto: unix.IPPROTO_UDP, frame: frameOf(over(over(over(outerIPv4[:1], tags...), outerIPv4[1:]...), inside...)...)}
		rows = append(rows, r)
	}
	for ether, name := range map[uint16]string{unix.ETH_P_8021Q: "802.1Q", unix.ETH_P_8021AD: "802.1ad"} {
		add("VLAN 5 of "+name, foreign, vlanHeader(ether, 5))
		add("priority tag of "+name, flow, vlanHeader(ether, 0))
		add("priority tag of "+name+" before VLAN 5", foreign, vlanHeader(ether, 0), vlanHeader(unix.ETH_P_8021Q, 5))
		add("VLAN 5 of "+name+" before a priority tag", foreign, vlanHeader(ether, 5), vlanHeader(unix.ETH_P_8021Q, 0))
	}
	return rows
}

// Packets with less than the outer headers, which a test run does not take.
func TestSteerWireShort(t *testing.T) {
	w := newSteerWire(t, 3)
	w.test(t, w.objects.FalconNic)
	for name, outer := range outers {
		packet := frameOf(outer...).bytes
		for n := 15; n <= len(packet); n++ { // no device takes a mere Ethernet header
			w.wipe()
			if got := w.send(t, packet[:n], 0, alien); got != untouched {
				t.Errorf("%s, %d bytes: %+v, want %+v", name, n, got, untouched)
			}
			w.checkCounts(t, steerCoreCounts{})
		}
	}
}

// Headers may lie where a program cannot look before it has asked for them.
func TestSteerWireScattered(t *testing.T) {
	w := newSteerWire(t, 3)
	w.test(t, w.objects.FalconNic)
	long := payload(0, make([]byte, 5000)...) // a page or less is never scattered
	for outer, out := range outers {
		for family := range insideAddresses {
			f := frameOf(over(out, over(inIP(family), enough(4), udpHeader(40000, 53), long)...)...)
			for linear := 14; linear <= f.enough+1; linear += 3 {
				w.wipe()
				got := w.kept(t, w.send(t, f.bytes, uint16(linear), alien))
				if want := (metadata{Tag: w.tag(w.only(t)), Priority: 1}); got != want {
					t.Errorf("%s over %s, %d bytes linear: %+v, want %+v", family, outer, linear, got, want)
				}
			}
		}
	}
}

// The hash chooses the core, with any number of them; its lower bits are the flow's, and later the packet's number.
func TestSteerWireHash(t *testing.T) {
	w := newSteerWire(t, 128)
	random := rand.New(rand.NewPCG(1, 2))
	for name, p := range map[string]*ebpf.Program{nameNIC: w.objects.FalconNic, nameVXLAN: w.objects.FalconVxlan} {
		w.test(t, p)
		for _, n := range []int{1, 2, 3, 5, 64, 128} {
			w.line(n)
			for slot := range n {
				w.cores.values[slot].Cpu = noCPU // slot 0, too, is another core's here
				hash := w.sendTo(t, name, uint32(slot), random)
				if hash == 0 || rank(hash, n) != slot {
					t.Errorf("%s: slot %d of %d: hash %#x is of rank %d", name, slot, n, hash, rank(hash, n))
				}
			}
		}
	}
}

// sendTo has a new flow's packet sent to a slot, with anything for the lower bits, and gives the hash.
func (w *steerWire) sendTo(t testing.TB, program string, slot uint32, random *rand.Rand) uint32 {
	t.Helper()
	w.wipe()
	w.place(slot|slot<<16, slotInline)
	in := alien
	if program == nameVXLAN {
		const bucket = 3
		w.flows.values[bucket] = steerFlow{Want: slotInline | slot<<16, Vxlan: slotInline}
		w.passages.values[bucket] = steerPassage{Container: slotInline, Relay: slotInline}
		in = metadata{Tag: w.tag(bucket), Priority: random.Uint32() | 1}
	}
	c := someConversation()
	c.src = netip.AddrPortFrom(c.src.Addr(), uint16(random.Uint32()))
	return w.send(t, c.frame().bytes, 0, in).Known
}

// vxlanRow is a bucket and what falcon_vxlan makes of a packet of it.
type vxlanRow struct {
	flow    steerFlow
	passage steerPassage
	retired uint32
	polling bool
	apart   bool // this core has no slot
	in      metadata
	want    metadata
	after   steerPassage
	counts  steerStageCounts // packets and bytes where Skbs is set
}

const (
	wireBucket = 3  // of CPU 0
	wirePassed = 20 // the number of the last packet that has gone by
	wireNumber = wirePassed + 1
)

func (w *steerWire) vxlanRows() map[string]vxlanRow {
	tag := w.tag(wireBucket)
	in := metadata{Tag: tag, Priority: wireNumber, Hash: 0x12345678}
	hashed := func(slot int, number uint32) uint32 { return w.cores.values[slot].Hash + number }
	out := func(slot int) metadata { return w.addressed(slot, wireBucket, wireNumber) }
	want := func(container uint32) steerFlow {
		return steerFlow{Want: slotInline | container<<16, Vxlan: slotInline}
	}
	at := func(container uint32) steerPassage {
		return steerPassage{Passed: wirePassed, Container: container, Relay: slotInline}
	}
	then := func(container uint32) steerPassage {
		return steerPassage{Skbs: 1, Passed: wireNumber, Container: container, Relay: slotInline}
	}
	moved, held := then(slotThird), then(slotOther)
	held.Held = 1
	hop, stay := steerStageCounts{Skbs: 1, Hops: 1}, steerStageCounts{Skbs: 1, Inlined: 1}
	second, migration, kept := hop, hop, hop
	second.Second, migration.Migrations, kept.Held = 1, 1, 1
	rows := map[string]vxlanRow{
		"new":           {flow: want(slotOther), passage: at(slotInline), want: out(slotOther), after: then(slotOther), counts: hop},
		"new, inline":   {flow: want(slotInline), passage: at(slotInline), want: out(slotHere), after: then(slotHere), counts: stay},
		"stays":         {flow: want(slotOther), passage: at(slotOther), want: out(slotOther), after: then(slotOther), counts: hop},
		"second choice": {flow: want(slotOther | slotSecond), passage: at(slotOther), want: out(slotOther), after: then(slotOther), counts: second},
		"under way":     {flow: want(slotThird), passage: at(slotOther), retired: wirePassed - 1, want: out(slotOther), after: held, counts: kept},
		"retiring":      {flow: want(slotThird), passage: at(slotOther), retired: wirePassed, polling: true, want: out(slotOther), after: held, counts: kept},
		"retired":       {flow: want(slotThird), passage: at(slotOther), retired: wirePassed, want: out(slotThird), after: moved, counts: migration},
		"second choice not taken yet": {flow: want(slotThird | slotSecond), passage: at(slotOther), retired: wirePassed - 1, want: out(slotOther),
			after: held, counts: kept},
		"no slot here": {flow: want(slotInline), passage: at(slotInline), apart: true, want: metadata{Tag: w.tag(wireNumber)},
			after: then(slotNone), counts: stay},
		"vxlan stage settled elsewhere": {flow: steerFlow{Want: slotThird | slotOther<<16, Vxlan: slotThird}, passage: at(slotOther), want: out(slotOther),
			after: then(slotOther), counts: hop},
	}
	for name, r := range rows {
		r.in = in
		rows[name] = r
	}
	missed := steerStageCounts{Skbs: 1, Missed: 1}
	here := hashed(slotHere, wireNumber)
	rows["handed on"] = vxlanRow{flow: want(slotOther), passage: at(slotOther), in: metadata{Tag: tag, Hash: here},
		want:  out(slotOther),
		after: then(slotOther), counts: hop}
	rows["handed on to another core"] = vxlanRow{flow: want(slotOther), passage: at(slotOther), in: metadata{Tag: tag, Hash: hashed(slotThird, 5)},
		want: metadata{Hash: hashed(slotThird, 5), Known: hashed(slotThird, 5)}, after: at(slotOther), counts: missed}
	rows["untagged"] = vxlanRow{flow: want(slotOther), passage: at(slotOther), in: alien, want: untouched, after: at(slotOther), counts: missed}
	return rows
}

// check arranges a row, sends a packet, and looks at what came of it.
func (w *steerWire) check(t *testing.T, r vxlanRow, packet []byte) {
	t.Helper()
	w.wipe()
	w.flows.values[wireBucket], w.passages.values[wireBucket] = r.flow, r.passage
	w.retire(wireBucket, r.retired, r.polling)
	if r.apart {
		w.slots.values[w.cpu].Slot = slotInline
		defer func() { w.slots.values[w.cpu].Slot = slotHere }()
	}
	if got := w.send(t, packet, 0, r.in); got != r.want {
		t.Errorf("%+v, want %+v", got, r.want)
	}
	r.counts.Packets, r.counts.Bytes = r.counts.Skbs, r.counts.Skbs*uint64(len(packet))
	if got := w.here().Vxlan; got != r.counts {
		t.Errorf("counted\n%+v, want\n%+v", got, r.counts)
	}
	if got := w.passages.values[wireBucket]; got != r.after {
		t.Errorf("passage\n%+v, want\n%+v", got, r.after)
	}
}

func TestSteerWireVXLAN(t *testing.T) {
	w := newSteerWire(t, 3)
	w.test(t, w.objects.FalconVxlan)
	packet := someConversation().frame().bytes
	for name, r := range w.vxlanRows() {
		t.Run(name, func(t *testing.T) {
			w.check(t, r, packet)
		})
	}
}

// A packet that is handed on comes by again, on the other core, with its number in the hash. On this core it is nobody's.
func TestSteerWireRelay(t *testing.T) {
	w := newSteerWire(t, 3)
	w.test(t, w.objects.FalconVxlan)
	packet := someConversation().frame().bytes
	w.wipe()
	w.flows.values[wireBucket] = steerFlow{Want: slotOther | slotInline<<16, Vxlan: slotThird}
	before := steerPassage{Passed: wirePassed, Container: slotThird, Relay: slotInline}
	w.passages.values[wireBucket] = before
	got := w.send(t, packet, 0, metadata{Tag: w.tag(wireBucket), Priority: wireNumber})
	hash := w.cores.values[slotOther].Hash + wireNumber
	if want := (metadata{Hash: hash, Known: hash}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	after := before
	after.Relay, after.Relayed = slotOther, wireNumber
	if got := w.passages.values[wireBucket]; got != after {
		t.Errorf("passage\n%+v, want\n%+v", got, after)
	}
	want := steerStageCounts{Relays: 1, Packets: 1, Bytes: uint64(len(packet)), Skbs: 1, Missed: 1}
	if got := w.here().Vxlan; got != want {
		t.Errorf("counted\n%+v, want\n%+v", got, want)
	}
}

// From the NIC's own core nothing is handed on: the NIC's program sends it elsewhere as soon as it may, and counts on there being
// no detour.
func TestSteerWireRelayNotFromNIC(t *testing.T) {
	w := newSteerWire(t, 3)
	w.test(t, w.objects.FalconVxlan)
	w.wipe()
	first, _ := w.bucketsOf(w.cpu)
	bucket := first + wireBucket
	w.flows.values[bucket] = steerFlow{Want: slotOther | slotInline<<16, Vxlan: slotHere, Cpu: uint16(w.cpu)}
	w.passages.values[bucket] = steerPassage{Passed: wirePassed, Container: slotThird, Relay: slotInline}
	w.send(t, someConversation().frame().bytes, 0, metadata{Tag: w.tag(bucket), Priority: wireNumber})
	if got := w.passages.values[bucket]; got.Relay != slotInline || got.Passed != wireNumber {
		t.Errorf("passage %+v: want it passed and not handed on", got)
	}
}

// addressed is what a packet has on its way to the container's stage on a core.
func (w *steerWire) addressed(slot int, bucket, number uint32) metadata {
	h := w.cores.values[slot].Hash + number&^0x7fff + bucket
	return metadata{Tag: w.tag(int(number & 0x7fff)), Hash: h, Known: h}
}

// What falcon_nic has tagged and the shortcut has brought here is sent on as falcon_vxlan does with the rest; but it has not been at the vxlan
// device.
func TestSteerWireHostFromShortcut(t *testing.T) {
	w := newSteerWire(t, 3)
	w.test(t, w.objects.FalconHost)
	packet := someConversation().frame().bytes
	for name, r := range w.vxlanRows() {
		if r.in.Priority == 0 || r.in == alien {
			continue
		}
		t.Run(name, func(t *testing.T) {
			r.counts.Skbs, r.after.Skbs = 0, 0
			w.check(t, r, packet)
		})
	}
}

// Before the container's device, a packet from elsewhere is given a hash that keeps it here.
func TestSteerWireHost(t *testing.T) {
	w := newSteerWire(t, 3)
	w.test(t, w.objects.FalconHost)
	packet := someConversation().frame().bytes
	tagged := metadata{Tag: w.tag(wireNumber), Hash: 0x87654321}
	tagged.Known = tagged.Hash
	w.line(3)
	if got := w.send(t, packet, 0, tagged); got != tagged {
		t.Errorf("tagged: %+v, want %+v", got, tagged)
	}
	got := w.send(t, packet, 0, alien)
	if hash := got.Known; got.Tag != alien.Tag || got.Priority != alien.Priority || hash == 0 || rank(hash, 3) != slotHere {
		t.Errorf("untagged: %+v, want a hash of slot %d", got, slotHere)
	}
	w.slots.values[w.cpu].Slot = slotInline
	if got := w.send(t, packet, 0, alien); got != (metadata{Tag: alien.Tag, Priority: alien.Priority}) {
		t.Errorf("untagged, on a core without slot: %+v", got)
	}
}

// The last program notes who has arrived and takes off what is ours: the container sees a packet like any other.
func TestSteerWireArrival(t *testing.T) {
	w := newSteerWire(t, 3)
	w.test(t, w.objects.FalconArrival)
	packet := someConversation().frame().bytes
	const large = 0x98765
	arrived := arrivalOf(wireNumber, w.cpu, benchPoll)
	through := func(slot int, number uint32) metadata { return w.addressed(slot, wireBucket, number) }
	for name, c := range map[string]struct {
		in   metadata
		want steerArrival
	}{
		"with its number":       {through(slotHere, wireNumber), arrived},
		"with a large number":   {through(slotHere, large), arrivalOf(large, w.cpu, benchPoll)},
		"past the veth":         {metadata{Tag: w.tag(wireBucket), Priority: wireNumber, Hash: 0x12345678}, arrived},
		"past the veth, inline": {metadata{Tag: w.tag(wireBucket), Priority: wireNumber}, arrived},
		"at another core":       {through(slotOther, wireNumber), steerArrival{}},
		"without a hash":        {metadata{Tag: w.tag(wireNumber)}, steerArrival{}},
		"untagged":              {metadata{Tag: wireBucket, Hash: w.cores.values[slotHere].Hash + wireNumber}, steerArrival{}},
		"untagged, with a hash": {alien, steerArrival{}},
	} {
		t.Run(name, func(t *testing.T) {
			w.wipe()
			w.here().Polls = benchPoll
			got := w.send(t, packet, 0, c.in)
			if got.Tag != 0 || got.Hash != 0 || got.Known == 0 || got.Known == c.in.Hash || got.Priority != alienPriority(c.in) {
				t.Errorf("%+v: want no tag, number or hash but the kernel's own", got)
			}
			if got := w.arrivals.values[wireBucket]; got != c.want {
				t.Errorf("arrival\n%+v, want\n%+v", got, c.want)
			}
			want := steerStageCounts{Packets: 1, Bytes: uint64(len(packet)), Skbs: 1}
			if got := w.here().Container; got != want {
				t.Errorf("counted\n%+v, want\n%+v", got, want)
			}
		})
	}
}

// alienPriority is what is not ours to take off.
func alienPriority(m metadata) uint32 {
	if m == alien {
		return m.Priority
	}
	return 0
}
