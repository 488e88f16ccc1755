package datapath

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
)

// populate makes the bench's network a large one: most endpoints are on other hosts.
func (b *shortcutBench) populate(t testing.TB, remote, local int) {
	t.Helper()
	n := Network{VNI: benchVNI, MTU: labMTU, Local: mustAddr("192.0.2.2")}
	have, want := newShortNetwork(), newShortNetwork()
	for i := range remote {
		r := remoteOf(endpointN(benchVNI, 100+i), mustAddr("192.0.2.1"))
		want.endpoints[r.MAC] = remoteEntry(n, r, path{loopback, false, 1600})
	}
	for i := range local {
		e := endpointN(benchVNI, 100+remote+i)
		want.endpoints[e.MAC], want.ports[100+i] = localEntry(n, e, 100+i), portOf(e)
	}
	if err := b.update(benchVNI, have, want); err != nil {
		t.Fatal(err)
	}
}

// The size of a large cluster, and what its maps may take.
const (
	manyRemote, manyLocal = 10_000, 1_000
	mapsLimit             = 64 << 20
)

func TestShortcutMapsAreSmall(t *testing.T) {
	b := newShortcutBench(t)
	b.populate(t, manyRemote, manyLocal)
	sum := uint64(0)
	for _, m := range []*ebpf.Map{b.objects.Endpoints, b.objects.Ports, b.objects.Hosts, b.objects.Allowed, b.objects.Traffics, b.objects.PacedFlows, b.objects.Paces} {
		info, err := m.Info()
		if err != nil {
			t.Fatal(err)
		}
		size, ok := info.Memlock()
		if !ok {
			t.Fatal("the kernel does not tell the size of maps")
		}
		t.Logf("%s: %d kB", info.Name, size>>10)
		sum += size
	}
	if sum == 0 || sum > mapsLimit {
		t.Errorf("%d bytes for %d endpoints", sum, manyRemote+manyLocal)
	}
}

// BenchmarkShortcut is what is looked up for a packet that does not take the shortcut in the end: the address is not the endpoint's.
func BenchmarkShortcut(b *testing.B) {
	for name, size := range map[string][2]int{"few": {0, 0}, "many": {manyRemote, manyLocal}} {
		bench := newShortcutBench(b)
		bench.populate(b, size[0], size[1])
		for program, p := range map[*ebpf.Program]frame{
			bench.objects.FalconIn: inRows()["another endpoint's IPv4"].frame, bench.objects.FalconOut: outRows()["to another address"].frame,
		} {
			info, err := program.Info()
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%s/%s", info.Name, name), func(b *testing.B) {
				_, each, err := program.Benchmark(p.bytes, b.N, nil)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(each.Nanoseconds()), "ns/packet")
			})
		}
	}
}
