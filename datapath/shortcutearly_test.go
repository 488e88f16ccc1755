package datapath

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// checksummed gives a frame's UDP header, which is at an offset, a checksum that is none.
func checksummed(f frame, at ...int) frame {
	f.bytes = slices.Clone(f.bytes)
	for _, at := range at {
		binary.BigEndian.PutUint16(f.bytes[at+6:], 0x1234)
	}
	return f
}

// newEarlyBench has an endpoint that takes frames.
func newEarlyBench(t *testing.T) *shortcutBench {
	t.Helper()
	b := newShortcutBench(t)
	e := endpointN(benchVNI, 1)
	e.MAC = senderMAC
	entry := localEntry(Network{VNI: benchVNI, MTU: labMTU}, e, loopback)
	entry.Chains, entry.Early = 1, 1
	if err := b.objects.Endpoints.Put(endpointKey(benchVNI, senderMAC), entry); err != nil {
		t.Fatal(err)
	}
	return b
}

// flood has datagrams of all flows wait in queues, until one comes.
func (b *shortcutBench) flood(t *testing.T) {
	t.Helper()
	for key := range b.objects.PacedFlows.MaxEntries() {
		if err := b.objects.PacedFlows.Put(key, shortcutPaced{Queued: math.MaxInt64}); err != nil {
			t.Fatal(err)
		}
	}
}

// paced are all flows' notes together.
func (b *shortcutBench) paced(t *testing.T) (sum shortcutPaced) {
	t.Helper()
	var key uint32
	var p shortcutPaced
	entries := b.objects.PacedFlows.Iterate()
	for entries.Next(&key, &p) {
		sum.Passed, sum.Seen, sum.Queued = sum.Passed+p.Passed, sum.Seen+p.Seen, max(sum.Queued, p.Queued)
	}
	if err := entries.Err(); err != nil {
		t.Fatal(err)
	}
	return sum
}

const (
	outerUDP = 14 + 20      // where the headers of packets over IPv4 begin
	innerIP  = 50 + 14      // bytes
	innerUDP = innerIP + 20 // of IPv4
)

// Of what comes in, the program at the driver takes plain datagrams, which become what the container's device would have received, and
// leaves everything else as it is.
func TestShortcutEarly(t *testing.T) {
	b := newEarlyBench(t)
	rows := inRows()
	plain := rows["IPv4 IPv4 UDP"].frame
	add := func(name, way string, f frame) { rows[name] = shortcutRow{frame: f, way: way} }
	add("outer checksum only UDP", "", checksummed(plain, outerUDP))
	add("both checksums UDP", "in", checksummed(plain, outerUDP, innerUDP))
	add("longer than the MTU UDP", "", frame{bytes: append(slices.Clone(plain.bytes), make([]byte, labMTU)...)})
	delete(rows, "merged datagrams") // there are none yet
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			b.flood(t)
			before := b.sums(t)
			code, out := b.runEarly(t, r.frame.bytes)
			taken := r.way == "in" && (strings.HasSuffix(name, "UDP") || name == "VXLAN in VXLAN")
			if !taken {
				if code != xdpPass || !bytes.Equal(out, r.frame.bytes) || b.counted(t, before) != "[]" {
					t.Errorf("verdict %d, counted %s, became\n% x, want\n% x", code, b.counted(t, before), out, r.frame.bytes)
				}
				return
			}
			at := 14 + 20 + 8 + 8
			if r.frame.bytes[12] == 0x86 {
				at += 20
			}
			if code != xdpRedirect || !bytes.Equal(out, r.frame.bytes[at:]) || b.counted(t, before) != "[in]" {
				t.Errorf("verdict %d, counted %s, became\n% x, want\n% x", code, b.counted(t, before), out, r.frame.bytes[at:])
			}
		})
	}
}

// runEarly passes a frame to the program at the driver.
func (b *shortcutBench) runEarly(t *testing.T, packet []byte) (verdict int, out []byte) {
	t.Helper()
	out = make([]byte, len(packet)+256)
	o := ebpf.RunOptions{Data: packet, DataOut: out}
	code, err := b.objects.FalconEarly.Run(&o)
	if err != nil {
		t.Fatalf("%d bytes: %v", len(packet), err)
	}
	return int(code), o.DataOut
}

// Congestion on the way is passed on to whom it may concern (RFC 6040, section 4.2).
func TestShortcutEarlyPassesCongestionOn(t *testing.T) {
	b := newEarlyBench(t)
	for family, inside := range insideAddresses {
		for ecn, want := range map[byte]int{0: -1, 1: 3, 2: 3, 3: 3} {
			t.Run(fmt.Sprintf("%s, ECN %d", family, ecn), func(t *testing.T) {
				f := toNIC(frameOf(etherHeader(nicMAC), ipHeader(mustAddr("192.0.2.1"), mustAddr("192.0.2.2"), trafficClass(3)), udpHeader(44444, steerPort),
					vxlanHeader(benchVNI), etherHeader(senderMAC), ipHeader(inside[1], inside[0]), udpHeader(40000, 53), payload(0, 1, 2, 3, 4)))
				header := f.bytes[innerIP : innerIP+20]
				if family == "IPv6" {
					header[0], header[1] = 0x6b, 0x80|ecn<<4 // the same class of traffic
				} else { // the sum of a header with its checksum is all ones
					header[1] = 0xb8 | ecn
					binary.BigEndian.PutUint16(header[10:], 0)
					binary.BigEndian.PutUint16(header[10:], ^uint16(sumOf(header)))
				}
				b.flood(t)
				code, out := b.runEarly(t, f.bytes)
				if want < 0 {
					if code != xdpPass || !bytes.Equal(out, f.bytes) {
						t.Errorf("verdict %d: the kernel is to drop it", code)
					}
					return
				}
				got := int(out[15] & 3)
				if family == "IPv6" {
					got = int(out[15] >> 4 & 3)
				}
				if code != xdpRedirect || got != want {
					t.Errorf("verdict %d, ECN %d", code, got)
				}
				if sum := sumOf(out[14:34]); family == "IPv4" && sum != 0xffff {
					t.Errorf("header % x sums to %x", out[14:34], sum)
				}
			})
		}
	}
}

// A datagram alone is left to falcon_in, and both know of it.
func TestShortcutEarlyLeavesFew(t *testing.T) {
	b := newEarlyBench(t)
	f := inRows()["IPv4 IPv4 UDP"].frame
	if code, out := b.runEarly(t, f.bytes); code != xdpPass || !bytes.Equal(out, f.bytes) {
		t.Errorf("verdict %d", code)
	}
	if p := b.paced(t); p.Passed != 1 || p.Seen != 0 || p.Queued != 0 {
		t.Errorf("noted %+v", p)
	}
	for range 2 { // one more than was left, as when the program has just been attached
		b.run(t, b.objects.FalconIn, f.bytes, skbContext{})
		if p := b.paced(t); p.Passed != 1 || p.Seen != 1 || p.Queued != 0 {
			t.Errorf("noted %+v", p)
		}
	}
	// Two that never come: after a while they have got lost.
	b.runEarly(t, f.bytes)
	b.runEarly(t, f.bytes)
	time.Sleep(2 * quietAfter)
	b.runEarly(t, f.bytes)
	if p := b.paced(t); p.Passed != 4 || p.Seen != 3 {
		t.Errorf("noted %+v", p)
	}
}

// newEarlyPipeline has host b take datagrams at the driver of its device.
func newEarlyPipeline(t *testing.T) *pipeline {
	t.Helper()
	o := shortOverlay(t, "ipv4", true, true)
	for _, h := range []*labHost{o.a, o.b} {
		h.sh("ethtool -K u0 rxvlan off tx off")
	}
	o.b.short.config.Early = true
	p := pipelineOf(t, o, Off)
	p.syncB()
	for what, why := range p.b.ShortcutStatus(t.Context()).Problems {
		t.Fatalf("%s: %s", what, why)
	}
	return p
}

// syncB has host b look at everything.
func (p *pipeline) syncB() {
	p.b.t.Helper()
	p.b.ensureNetwork(p.network(Off))
	_, fb := p.forwardings()
	p.b.sync(p.network(Off), fb)
}

var redirected = regexp.MustCompile(`rx_queue_\d+_xdp_redirect: (\d+)`)

// taken is how many frames were taken at the driver of host b's device.
func (p *pipeline) taken() (n uint64) {
	p.b.t.Helper()
	for _, m := range redirected.FindAllStringSubmatch(p.b.sh("ethtool -S u0"), -1) {
		queue, err := strconv.ParseUint(m[1], 10, 64)
		if err != nil {
			p.b.t.Fatal(err)
		}
		n += queue
	}
	return n
}

// Floods are taken at the driver, few are not, and none overtakes another where the way changes.
func TestShortcutEarlyKeepsOrderAtAnyPace(t *testing.T) {
	for _, flows := range []int{1, 16} {
		p := newEarlyPipeline(t)
		p.keepsOrderAtAnyPace(flows, p.taken, func(rate float64, came, taken uint64) {
			if slowness(t) == 1 && rate == 0 && taken < came*8/10 || rate > 0 && rate <= 1000 && taken > came/4 {
				t.Errorf("%d flows, %.0f per second: %d of %d datagrams were taken early", flows, rate, taken, came)
			}
		})
	}
}

// It begins and ends while datagrams come; they arrive all the same.
func TestShortcutEarlyComesAndGoes(t *testing.T) {
	p := newEarlyPipeline(t)
	g, r := p.generator(4), p.reader(4)
	done := make(chan error, 1)
	go func() {
		_, err := g.Run(t.Context(), 150_000/float64(slowness(t)), 2*time.Second)
		done <- err
	}()
	var taken uint64
	for i := range 6 {
		time.Sleep(100 * time.Millisecond)
		taken = p.taken()
		p.b.short.config.Early = i%2 == 1
		p.syncB()
		if at := strings.Contains(p.b.sh("ip link show u0"), "xdp"); at != p.b.short.config.Early {
			t.Errorf("a program is at the driver: %v", at)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * quietAfter)
	got, err := r.Counts()
	if err != nil {
		t.Fatal(err)
	}
	n, sent := got.Total(), p.b.way("in")
	t.Logf("%d came in: %+v, %d dropped", sent, n, got.Dropped)
	if slowness(t) == 1 && p.taken() < taken+10_000 { // it ended with taking them
		t.Errorf("%d datagrams were taken at the driver after the last change", p.taken()-taken)
	}
	if n.Duplicates > 0 || n.Received+got.Dropped < sent-sent/100 {
		t.Errorf("%d came in: %+v, %d dropped", sent, n, got.Dropped)
	}
	if err := p.b.RemoveNetwork(t.Context(), labVNI); err != nil {
		t.Fatal(err)
	}
	if out := p.b.sh("ip link show u0"); strings.Contains(out, "xdp") {
		t.Errorf("left at the driver: %s", out)
	}
}

// Where frames would lose something at the driver, they are left alone, and status says why.
func TestShortcutEarlyGivesWay(t *testing.T) {
	o := shortOverlay(t, "ipv4", true, true)
	o.b.short.config.Early = true
	for _, c := range []struct{ change, why string }{
		{"true", "u0 strips VLAN tags"},
		{"ethtool -K u0 rxvlan off", "u0 is a veth"},
		{"ethtool -K u0 tx off", ""},
		{"ethtool -K u0 rxvlan on", "u0 strips VLAN tags"},
	} {
		o.b.sh("%s", c.change)
		o.b.short.programs.earlySeen = time.Time{} // as when some seconds have passed
		o.b.ensureNetwork(o.b.network(labVNI))
		why := o.b.ShortcutStatus(t.Context()).Problems[earlyProblem]
		if !strings.Contains(why, c.why) || (why == "") != (c.why == "") {
			t.Errorf("%s: %q, want %q", c.change, why, c.why)
		}
		o.ca.ping(o.cb.Addresses[0].Addr(), "")
	}
}

// A trace tells of what is taken at the driver as of all else.
func TestShortcutEarlyIsTraced(t *testing.T) {
	p := newEarlyPipeline(t)
	g := p.generator(2)
	if err := p.b.StartTrace(labVNI, time.Minute); err != nil {
		t.Fatal(err)
	}
	in, taken := p.b.way("in"), p.taken()
	if _, err := g.Run(t.Context(), 0, 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	in, taken = p.b.way("in")-in, p.taken()-taken
	trace, err := p.b.Trace()
	if err != nil {
		t.Fatal(err)
	}
	var traced, flows uint64
	for _, f := range trace.Flows {
		if f.Protocol != "udp" {
			continue // the container says that nobody listens
		}
		flows++
		if f.Way != "in" || f.Source != p.ca.Addresses[0].Addr() || f.Target != p.cb.Addresses[0].Addr() || f.SourcePort < 40000 {
			t.Errorf("flow %+v", f)
		}
		traced += f.Packets
	}
	if flows != 2 || traced != in || slowness(t) == 1 && taken < in/2 {
		t.Errorf("%d datagrams came in, %d taken at the driver, %d traced of %d flows", in, taken, traced, flows)
	}
}

// What is steered is left to steering, and taken again when it is not any more.
func TestShortcutEarlyLeavesWhatIsSteered(t *testing.T) {
	p := newEarlyPipeline(t)
	for _, c := range []struct {
		mode  Mode
		early uint32
	}{{Off, 1}, {Static, 0}, {Off, 1}} {
		p.pass(c.mode)
		if e := p.b.short.networks[labVNI].endpoints[p.cb.MAC]; e.Early != c.early {
			t.Errorf("%s: %+v", c.mode, e)
		}
	}
}

// A container's device that takes no frames, whatever is done, is not disturbed again and again.
func TestShortcutEarlyDisturbsOnce(t *testing.T) {
	p := newEarlyPipeline(t)
	p.cb.sh("ethtool -L eth0 tx 2") // a veth with less queues than its other end sends by takes no frames, with older kernels until it is tried
	n := p.b.short.networks[labVNI]
	e := n.endpoints[p.cb.MAC]
	e.Early = 0
	n.endpoints[p.cb.MAC] = e
	p.syncB() // tries
	down := p.b.sh("cat /sys/class/net/%s/carrier_down_count", hostDevice(p.cb.ID))
	sent := p.cb.sh("cat /sys/class/net/eth0/carrier_down_count")
	p.syncB()
	p.syncB()
	takes, err := p.b.transmitsFrames(t.Context(), link{index: p.b.device(hostDevice(p.cb.ID))})
	if err != nil {
		t.Fatal(err)
	}
	if e := n.endpoints[p.cb.MAC]; takes != (e.Early != 0) {
		t.Errorf("%+v, but the kernel passes frames on: %v", e, takes)
	}
	if now := p.b.sh("cat /sys/class/net/%s/carrier_down_count", hostDevice(p.cb.ID)); now != down || len(n.tried) > 1 {
		t.Errorf("the device went down: %s times, before %s; tried %v", now, down, n.tried)
	}
	if now := p.cb.sh("cat /sys/class/net/eth0/carrier_down_count"); now != sent {
		t.Errorf("the container's device went down: %s times, before %s", now, sent)
	}
	p.ca.ping(p.cb.Addresses[0].Addr(), "")
}
