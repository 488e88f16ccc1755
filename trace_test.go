package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"falcon/datapath"
)

func TestEveryWayIsExplained(t *testing.T) {
	for _, way := range datapath.Ways() {
		if whyWays[way] == "" {
			t.Errorf("%s is not explained", way)
		}
	}
	if len(whyWays) != len(datapath.Ways()) {
		t.Errorf("%d ways are explained of %d", len(whyWays), len(datapath.Ways()))
	}
}

func traced(protocol, from, to string, packets uint64, way string) datapath.TracedFlow {
	f := datapath.TracedFlow{Protocol: protocol, Way: way, WayCount: datapath.WayCount{Packets: packets, Bytes: 100 * packets}}
	source, target := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	f.Source, f.SourcePort, f.Target, f.TargetPort = source.Addr(), source.Port(), target.Addr(), target.Port()
	return f
}

func TestPrintTrace(t *testing.T) {
	trace := datapath.Trace{Lost: 7, Flows: []datapath.TracedFlow{
		traced("arp", "10.0.0.2:0", "10.0.0.3:0", 1, "kernel_kind"),
		traced("tcp", "10.0.0.2:4000", "10.0.0.3:80", 20, "out"),
		traced("udp", "[fd00::3]:53", "[fd00::2]:4001", 300, "in"),
		traced("ethertype 0x88cc", "[::]:0", "[::]:0", 2, "kernel_kind"),
	}}
	var out bytes.Buffer
	if err := printTrace(&out, trace); err != nil {
		t.Fatal(err)
	}
	want := `PROTOCOL          FROM           TO              PACKETS  BYTES  WAY
udp               [fd00::3]:53   [fd00::2]:4001  300      30000  in
tcp               10.0.0.2:4000  10.0.0.3:80     20       2000   out
ethertype 0x88cc  -              -               2        200    kernel_kind
arp               10.0.0.2       10.0.0.3        1        100    kernel_kind
and 7 packets of flows for which there was no room

in           shortcut: from another host to a container
kernel_kind  kernel's way: ARP, neighbour discovery, IP options or extension headers, or not IP
out          shortcut: from a container to another host
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	out.Reset()
	if err := printTrace(&out, datapath.Trace{}); err != nil || !strings.Contains(out.String(), "no packets") {
		t.Errorf("of nothing: %v, %q", err, out.String())
	}
}

func TestTraceMatch(t *testing.T) {
	f := traced("tcp", "10.0.0.2:4000", "10.0.0.3:80", 20, "out")
	for m, want := range map[traceMatch]bool{
		{}: true, {address: "10.0.0.2"}: true, {address: "10.0.0.3", port: 80}: true, {port: 4000}: true,
		{address: "10.0.0.4"}: false, {address: "10.0.0.2", port: 81}: false,
	} {
		if m.has(f) != want {
			t.Errorf("%+v: %v", m, !want)
		}
	}
}
