package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func newGenerator(t *testing.T, c Config) *Generator {
	t.Helper()
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func newReader(t *testing.T, c ReaderConfig) *UDPReader {
	t.Helper()
	c.CPU = readerCPU()
	r, err := StartUDPReader(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// Tests that count exactly send no more frames than each queue on the way holds (the ring, the backlog of 1000, the
// socket's buffer): then nothing is lost, however long a busy machine lets any of us wait.
const fits = 900

// await waits until so many packets have come, or no more come.
func await(t *testing.T, r *UDPReader, packets uint64) Counts {
	t.Helper()
	for range 20 {
		if err := r.Drain(t.Context(), 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		counts, err := r.Counts()
		if err != nil {
			t.Fatal(err)
		}
		if all := counts.Total(); all.Received+all.Duplicates >= packets {
			return counts
		}
	}
	counts, err := r.Counts()
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// exchange sends so many packets and returns what was sent and what arrived.
func exchange(t *testing.T, g *Generator, r *UDPReader, packets int) (Sent, Counts) {
	t.Helper()
	if err := r.Reset(); err != nil {
		t.Fatal(err)
	}
	sent, err := g.Run(t.Context(), float64(packets)*20, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	counts := await(t, r, sent.Packets())
	if sent.Offered != uint64(packets) || sent.Missed != 0 || sent.Packets() != uint64(packets) {
		t.Errorf("sent %d of %d packets, offered %d, missed %d", sent.Packets(), packets, sent.Offered, sent.Missed)
	}
	if counts.Foreign != 0 || counts.Dropped != 0 {
		t.Errorf("%d foreign packets, %d dropped", counts.Foreign, counts.Dropped)
	}
	return sent, counts
}

func TestWhatIsSentArrives(t *testing.T) {
	for name, outer := range map[string][2]netip.Addr{"outer4": outer4, "outer6": outer6} {
		top := newTopology(t, outer)
		for family, inner := range map[string][2]netip.Addr{"inner4": inner4, "inner6": inner6} {
			for entry, by := range []string{"stack", "NAPI"} {
				for kind, payload := range map[string]int{"packets": 64, "fragments": 65000} {
					t.Run(strings.Join([]string{name, family, by, kind}, "/"), func(t *testing.T) {
						r := newReader(t, ReaderConfig{Namespace: top.container, Listen: netip.AddrPortFrom(inner[1], flowPort), Flows: 3, Payload: payload, Buffer: 64 << 20})
						g := newGenerator(t, Config{At: top.at(Entry(entry)), Entry: Entry(entry), Flows: flows(t, 3, inner), Tunnel: tunnel(t, outer), Payload: payload, Checksum: true})
						packets := fits / newTemplate(g.config).fragments()
						sent, got := exchange(t, g, r, packets)
						compare(t, sent, got, payload)
					})
				}
			}
		}
	}
}

// compare checks that each flow arrived whole.
func compare(t *testing.T, sent Sent, got Counts, payload int) {
	t.Helper()
	for i, f := range got.Flows {
		want := FlowCounts{Received: sent.Flows[i].Packets, Bytes: sent.Flows[i].Packets * uint64(payload)}
		if f != want {
			t.Errorf("flow %d: got %+v, want %+v", i, f, want)
		}
	}
	if n := got.Latency.Count(); n != sent.Packets() {
		t.Errorf("%d latencies of %d packets", n, sent.Packets())
	}
	if got.Latency.Min() <= 0 || got.Latency.Max() > time.Minute {
		t.Errorf("latency from %v to %v", got.Latency.Min(), got.Latency.Max())
	}
}

func TestPlainUDPToTheHost(t *testing.T) {
	top := newTopology(t, outer4)
	f := Flow{Src: netip.AddrPortFrom(outer4[0], 40000), Dst: netip.AddrPortFrom(outer4[1], flowPort), SrcMAC: mac(t, wireMAC), DstMAC: mac(t, hostMAC)}
	r := newReader(t, ReaderConfig{Namespace: top.host, Listen: f.Dst})
	g := newGenerator(t, Config{At: top.at(Stack), Flows: []Flow{f}, Payload: 16})
	sent, got := exchange(t, g, r, fits)
	compare(t, sent, got, 16)
}

func TestManyContainers(t *testing.T) {
	top := newTopology(t, outer4)
	const containers = 3
	var all []Flow
	var readers []*UDPReader
	for i := range containers {
		namespace, m := newNamespace(t), fmt.Sprintf("02:42:0a:00:01:%02x", i)
		addr := netip.AddrFrom4([4]byte{10, 0, 1, byte(i + 1)})
		other := topology{container: namespace}
		other.in(t, top.host, fmt.Sprintf(`ip link add q%d type veth peer name eth0 address %s netns $container; ip link set q%d master br0 up`, i, m, i))
		other.in(t, namespace, fmt.Sprintf(`ip link set eth0 up; ip addr add %v/16 dev eth0`, addr))
		f := flows(t, 1, [2]netip.Addr{inner4[0], addr})[0]
		f.DstMAC, f.Weight = mac(t, m), uint32(i+1)
		all = append(all, f)
		readers = append(readers, newReader(t, ReaderConfig{Namespace: namespace, Listen: f.Dst, Flows: containers}))
	}
	g := newGenerator(t, Config{At: top.at(NAPI), Entry: NAPI, Flows: all, Tunnel: tunnel(t, outer4), Payload: 100})
	const rounds = 100 // of 1+2+3 packets
	sent, err := g.Run(t.Context(), 10000, 60*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range readers {
		got := await(t, r, sent.Flows[i].Packets)
		want := FlowCounts{Received: uint64(rounds * (i + 1)), Bytes: uint64(100 * rounds * (i + 1))}
		if got.Flows[i] != want || got.Total() != want || sent.Flows[i].Packets != want.Received {
			t.Errorf("container %d: sent %+v, got %+v, want %+v", i, sent.Flows[i], got.Flows, want)
		}
	}
}

func TestInjectedFaultsAreCountedExactly(t *testing.T) {
	top := newTopology(t, outer4)
	const flowCount, packets = 2, 880
	per := uint64(packets / flowCount)
	for name, c := range map[string]struct {
		faults Faults
		want   FlowCounts
	}{
		"loss":        {Faults{Drop: 10}, FlowCounts{Received: per, Lost: (per - 1) / 9}},
		"great loss":  {Faults{Drop: 2}, FlowCounts{Received: per, Lost: per - 1}},
		"reordering":  {Faults{Swap: 10}, FlowCounts{Received: per, Reordered: per / 10, Extent: 1}},
		"all swapped": {Faults{Swap: 2}, FlowCounts{Received: per, Reordered: per / 2, Extent: 1}},
		"duplicates":  {Faults{Duplicate: 10}, FlowCounts{Received: per / 11 * 10, Duplicates: per / 11}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReader(t, ReaderConfig{Namespace: top.container, Listen: netip.AddrPortFrom(inner4[1], flowPort), Flows: flowCount})
			g := newGenerator(t, Config{At: top.at(NAPI), Entry: NAPI, Flows: flows(t, flowCount, inner4), Tunnel: tunnel(t, outer4), Payload: 16, Faults: c.faults})
			_, got := exchange(t, g, r, packets)
			c.want.Bytes = c.want.Received * 16
			for i, f := range got.Flows {
				if f != c.want {
					t.Errorf("flow %d: got  %+v\nwant %+v", i, f, c.want)
				}
			}
		})
	}
}

// What the NIC's core has no time for is lost, and is known to be.
func TestOverloadIsCounted(t *testing.T) {
	top := newTopology(t, outer4)
	g := newGenerator(t, Config{At: top.at(Stack), Flows: flows(t, 2, inner4), Tunnel: tunnel(t, outer4), Payload: 16, Ring: 64})
	const rate = 50e6
	sent, err := g.Run(t.Context(), rate, 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if sent.Missed == 0 {
		t.Error("nothing missed")
	}
	if sent.Offered != rate/50 || sent.Packets()+sent.Missed != sent.Offered {
		t.Errorf("offered %d, sent %d, missed %d", sent.Offered, sent.Packets(), sent.Missed)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	top := newTopology(t, outer4)
	g := newGenerator(t, Config{At: top.at(Stack), Flows: flows(t, 1, inner4), Tunnel: tunnel(t, outer4), Payload: 16})
	for _, rate := range []float64{0, 1000} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		began := time.Now()
		sent, err := g.Run(ctx, rate, time.Hour)
		cancel()
		if err != nil || sent.Packets() == 0 || sent.Packets() != sent.Offered {
			t.Errorf("rate %v: sent %d, offered %d, %v", rate, sent.Packets(), sent.Offered, err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
	}
}

func TestNAPIThatTheOtherEndLacksIsAnError(t *testing.T) {
	top := newTopology(t, outer4)
	top.in(t, top.host, "ethtool -K uB gro off")
	c := Config{At: top.at(NAPI), Entry: NAPI, Flows: flows(t, 1, inner4), Tunnel: tunnel(t, outer4), Payload: 16}
	if _, err := New(c); !errors.Is(err, errNoNAPI) {
		t.Errorf("got %v, want %v", err, errNoNAPI)
	}
	top.in(t, top.wire, "ip link set uA down")
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "is down") {
		t.Errorf("got %v", err)
	}
	c.At.Name = "absent"
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("got %v", err)
	}
	c.At.Namespace = "/absent"
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "/absent") {
		t.Errorf("got %v", err)
	}
}

func TestClosedGeneratorRefusesToRun(t *testing.T) {
	top := newTopology(t, outer4)
	g := newGenerator(t, Config{At: top.at(Stack), Flows: flows(t, 1, inner4), Tunnel: tunnel(t, outer4), Payload: 16})
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Run(t.Context(), 0, time.Second); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
	if _, err := g.Run(t.Context(), -1, time.Second); err == nil {
		t.Error("a negative rate passed")
	}
}

// The machine decides how accurate it is, so this only shows that it is measured.
func TestAccuracyIsMeasured(t *testing.T) {
	top := newTopology(t, outer4)
	g := newGenerator(t, Config{At: top.at(Stack), Flows: flows(t, 1, inner4), Tunnel: tunnel(t, outer4), Payload: 16})
	all, err := Accuracy(t.Context(), g, 50000, 100*time.Millisecond, 3, 0.02)
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	for _, a := range all {
		t.Logf("wanted %.0f/s, got %.0f/s, missed %d: error %.2f%%", a.Wanted, a.Got, a.Missed, a.Error()*100)
	}
}

func TestConfigsThatCannotBeAreRefused(t *testing.T) {
	good := func() Config {
		return Config{At: Device{Name: "eth0"}, Flows: flows(t, 2, inner4), Tunnel: tunnel(t, outer4), Payload: 16}
	}
	if err := good().withDefaults().validate(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*Config){
		"no flows":     func(c *Config) { c.Flows = nil },
		"no device":    func(c *Config) { c.At.Name = "" },
		"no addresses": func(c *Config) { c.Flows[1].Dst = netip.AddrPort{} },
		"one family":   func(c *Config) { c.Flows = append(c.Flows, flows(t, 1, inner6)...) },
		"in IPv6 form": func(c *Config) {
			c.Flows[0].Src = netip.MustParseAddrPort("[::ffff:1.2.3.4]:1")
			c.Flows[0].Dst = c.Flows[0].Src
			c.Flows = c.Flows[:1]
		},
		"VNI":             func(c *Config) { c.Tunnel.VNI = 1 << 24 },
		"tunnel":          func(c *Config) { c.Tunnel.Src = outer6[0] },
		"payload 8":       func(c *Config) { c.Payload = 8 },
		"payload 70000":   func(c *Config) { c.Payload = 70000 },
		"ring":            func(c *Config) { c.Ring = 5000 },
		"batch":           func(c *Config) { c.Batch = 300 },
		"MTU":             func(c *Config) { c.MTU = 9000 },
		"one kind":        func(c *Config) { c.Faults = Faults{Drop: 2, Swap: 2} },
		"least period":    func(c *Config) { c.Faults.Swap = 1 },
		"RFC 8200":        func(c *Config) { c.Flows = flows(t, 1, inner6) },
		"acknowledgement": func(c *Config) { c.Protocol = TCP },
		"UDP only":        func(c *Config) { c.Protocol, c.Entry, c.Faults.Drop = TCP, NAPI, 2 },
		"TCP only":        func(c *Config) { c.Replies = &Device{} },
		"payload 1500":    func(c *Config) { c.Protocol, c.Entry, c.Payload = TCP, NAPI, 1500 },
		"unknown":         func(c *Config) { c.Protocol = 7 },
	} {
		c := good()
		spoil(&c)
		if err := c.withDefaults().validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want something about %s", err, want)
		}
	}
}
