package datapath

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"falcon/datapath/balance"
	"falcon/tests/bench/load"
)

// newSplitPipeline may split the first stage of TCP flows to host b.
func newSplitPipeline(t *testing.T) *pipeline {
	t.Helper()
	p := newPipeline(t, Static)
	p.b.sh("ethtool -K u0 rxvlan off tx off")
	// Whatever else host a sends would have the NIC of b polled on the core that sends it, beside the one that is in the test.
	mac := p.a.mac("u0")
	p.b.ip("neigh replace %s lladdr %s dev u0 nud permanent", p.a.under, net.HardwareAddr(mac[:]))
	p.ca.ip("link set eth0 down")
	p.a.sh("sysctl -q net.ipv6.conf.u0.disable_ipv6=1")
	p.b.Split(true)
	p.b.ensureNetwork(p.network(Static))
	if why := p.b.SteeringStatus(context.Background()).Problems; len(why) > 0 {
		t.Fatal(why)
	}
	return p
}

// tcp is streams from container a to container b, one for each port from 40000 on.
func (p *pipeline) tcp(flows int) (*load.Generator, *load.TCPSink) {
	t := p.b.t
	t.Helper()
	c := p.config(flows)
	c.Protocol, c.Payload, c.Checksum = load.TCP, labMTU-100, false
	g, err := load.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	sink := load.SinkConfig{Namespace: p.cb.path(), CPU: p.app, MSS: c.Payload}
	for _, f := range c.Flows {
		sink.Streams = append(sink.Streams, load.Stream{Local: f.Dst, Remote: f.Src})
	}
	s, err := load.StartTCPSink(sink)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return g, s
}

// pour sends segments for a while; 0 is as fast as can be. It gives what was taken by the application.
func (p *pipeline) pour(g *load.Generator, s *load.TCPSink, rate float64, d time.Duration) (load.Sent, load.SinkCounts) {
	t := p.b.t
	t.Helper()
	ctx := context.Background()
	if err := s.Reset(); err != nil {
		t.Fatal(err)
	}
	sent, err := g.Run(ctx, rate, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Drain(ctx, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	got, err := s.Counts()
	if err != nil {
		t.Fatal(err)
	}
	return sent, got
}

// split publishes where the first stage and the others are to be, for all buckets.
func (p *pipeline) split(first, placement uint32) {
	p.b.steer.programs.publish(func(table []steerPlan) {
		for i := range table {
			table[i] = steerPlan{Placement: [2]uint32{placement, placement}, First: first}
		}
	})
}

// outOfOrder is how many segments container b's TCP has found to come before others that were missing.
func (p *pipeline) outOfOrder() uint64 {
	p.b.t.Helper()
	lines := regexp.MustCompile(`TcpExt: .*`).FindAllString(p.cb.sh("cat /proc/net/netstat"), 2)
	names, values := strings.Fields(lines[0]), strings.Fields(lines[1])
	for i, name := range names {
		if name == "TCPOFOQueue" {
			n, err := strconv.ParseUint(values[i], 10, 64)
			if err != nil {
				p.b.t.Fatal(err)
			}
			return n
		}
	}
	p.b.t.Fatal("the kernel does not count TCPOFOQueue")
	return 0
}

// The core that the plan names makes packets of the frames and takes them on; TCP's alone.
func TestSplitHandsOver(t *testing.T) {
	p := newSplitPipeline(t)
	defer p.keepFresh()()
	g, s := p.tcp(1)
	u, r := p.generator(1), p.reader(1)
	slots := p.b.steer.line.all.Len()
	for _, first := range []uint32{slotInline, uint32(slots - 1), 0} {
		t.Run(slotName(first), func(t *testing.T) {
			time.Sleep(2 * quietAfter)
			p.split(first, allInline)
			p.pour(g, s, 1_000, 20*time.Millisecond) // the first packet goes the old way
			before := p.counts()
			sent, _ := p.pour(g, s, 5_000, 100*time.Millisecond)
			p.checkFirst(t, before, first, sent.Packets())
			before = p.counts()
			if udp, got := p.send(u, r, 10_000, 20*time.Millisecond); got.Total().Received != udp {
				t.Errorf("UDP: sent %d, received %d", udp, got.Total().Received)
			} else {
				p.checkFirst(t, before, slotInline, udp)
			}
		})
	}
}

// checkFirst compares where frames were handed to and taken with where they should have been.
func (p *pipeline) checkFirst(t *testing.T, before []steerCoreCounts, first uint32, packets uint64) {
	t.Helper()
	at := p.cpuOf(first, p.nic)
	var handed, queued, lost uint64
	for cpu, now := range p.counts() {
		then := before[cpu]
		handed += now.Driver.Hops - then.Driver.Hops
		queued += now.Queued - then.Queued
		lost += now.Overflowed - then.Overflowed
		taken := now.Nic.Packets - then.Nic.Packets
		const others = 10
		if want := map[bool]uint64{true: packets}[cpu == at]; taken < want || taken > want+others {
			t.Errorf("CPU %d took %d packets, want %d", cpu, taken, want)
		}
	}
	want := uint64(0)
	if at != p.nic {
		want = packets
	}
	if handed != want || queued != want || lost != 0 {
		t.Errorf("handed over %d, queued %d, lost %d: want %d, %d, 0", handed, queued, lost, want, want)
	}
}

// The first stage may change its core at any time: no segment is overtaken or lost.
func TestSplitKeepsOrder(t *testing.T) {
	for _, c := range []struct {
		name  string
		flows int
		rate  float64
	}{{"one flow, flooded", 1, 0}, {"four flows, flooded", 4, 0}, {"one flow, paced", 1, 20_000}, {"four flows, paced", 4, 20_000}} {
		t.Run(c.name, func(t *testing.T) {
			p := newSplitPipeline(t)
			g, s := p.tcp(c.flows)
			stop := p.shuffle(func(slot func() uint32) { p.split(slot(), slot()|slot()<<16) })
			sent, got := p.pour(g, s, c.rate, time.Second)
			stop()
			var migrations, overflowed uint64
			for cpu, now := range p.counts() {
				migrations += now.Driver.Migrations
				overflowed += now.Overflowed
				if cpu != p.nic && now.Driver.Packets > 0 {
					t.Errorf("%d frames came in on CPU %d: of those nobody keeps the order", now.Driver.Packets, cpu)
				}
			}
			disorder := p.outOfOrder()
			t.Logf("%d segments, %d MB taken, first stage changed its core %d times, %d out of order, %d found a queue full",
				sent.Packets(), got.Bytes()>>20, migrations, disorder, overflowed)
			if disorder > 0 && overflowed == 0 {
				t.Errorf("%d segments out of order", disorder)
			}
			if migrations == 0 {
				t.Error("the first stage never changed its core")
			}
		})
	}
}

// What the splitter wants is what the programs are told, and a daemon that is started anew knows it again.
func TestSplitFollowsThePlan(t *testing.T) {
	p := newSplitPipeline(t)
	g, s := p.tcp(1)
	last := int16(p.b.steer.line.all.Len() - 1)
	b := p.balancer(t)
	for range 3 {
		p.pour(g, s, 5_000, 20*time.Millisecond)
		p.tick(t, b)
	}
	if len(b.splits) != 1 || b.splits[0].From != p.nic || b.splits[0].Rate < 100 {
		t.Fatalf("flows that may be split: %+v", b.splits)
	}
	b.splitter.Adopt(b.splits[0].Bucket, last)
	p.tick(t, b)
	p.pour(g, s, 5_000, 20*time.Millisecond) // it goes with the second packet
	p.tick(t, b)
	before := p.counts()
	sent, _ := p.pour(g, s, 5_000, 20*time.Millisecond)
	p.checkFirst(t, before, uint32(last), sent.Packets())
	p.tick(t, b)
	if f := b.flowStatus(); len(f) != 1 || f[0].Driver != p.nic || f[0].NIC != b.machine.Cores[last].CPU {
		t.Errorf("flows: %+v", f)
	}
	again := p.balancer(t)
	p.pour(g, s, 5_000, 20*time.Millisecond)
	p.tick(t, again)
	before = p.counts()
	sent, _ = p.pour(g, s, 5_000, 20*time.Millisecond)
	p.checkFirst(t, before, uint32(last), sent.Packets())
}

// balancer is one for the host's programs, which nobody runs.
func (p *pipeline) balancer(t *testing.T) *balancer {
	t.Helper()
	b, err := newBalancer(p.b.steer.programs, p.b.steer.line, balance.DefaultSettings, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (p *pipeline) tick(t *testing.T, b *balancer) {
	t.Helper()
	if err := b.tick(time.Now()); err != nil {
		t.Fatal(err)
	}
}

// A daemon that is started anew goes on with what was split; one that is told not to split ends it, and leaves nothing.
func TestSplitSurvivesRestart(t *testing.T) {
	p := newSplitPipeline(t)
	restart := func() {
		t.Helper()
		p.restart()
		p.b.ensureNetwork(p.network(Static))
	}
	id := func() string {
		return regexp.MustCompile(`prog/xdp id \d+`).FindString(p.b.ip("-d link show u0"))
	}
	before := id()
	restart()
	if now := id(); now == "" || now == before {
		t.Errorf("program at u0: %q, before the restart %q: want another", now, before)
	}
	p.b.steer.config.Split = false
	restart()
	if now := id(); now != "" {
		t.Errorf("still there: %s", now)
	}
	for _, name := range []string{splitPin, splitMapThreads, splitMapSplits} {
		if _, err := os.Stat(filepath.Join(p.b.steer.config.Pins, name)); !os.IsNotExist(err) {
			t.Errorf("pin %s: %v", name, err)
		}
	}
}

// What would lose something without a word is not split, and status says why and what to do.
func TestSplitSaysWhyNot(t *testing.T) {
	p := newPipeline(t, Static)
	p.b.Split(true)
	for _, c := range []struct{ do, want string }{
		{"ethtool -K u0 rxvlan on tx on", "rxvlan off"},
		{"ethtool -K u0 rxvlan off", "tx off"},
		{"ip link set u0 mtu 9000", "tx off"},
		{"ethtool -K u0 tx off", "MTU of 9000"},
		{"ip link set u0 mtu 1500", ""},
	} {
		p.b.sh("%s", c.do)
		if strings.Contains(c.do, "mtu") {
			p.a.sh("%s", c.do) // its driver judges by the other end
		}
		p.b.ensureNetwork(p.network(Static))
		got := p.b.SteeringStatus(context.Background()).Problems[splitProblem]
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q in it", c.do, got, c.want)
		}
	}
}
