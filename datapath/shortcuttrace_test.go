package datapath

import (
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A trace tells which way the packets of each flow go, of one network, as long as it was asked to.
func TestShortcutTrace(t *testing.T) {
	o := shortOverlay(t, "ipv4", true, true)
	a, b := o.ca.Addresses[0].Addr(), o.cb.Addresses[0].Addr()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := o.a.StartTrace(labVNI+1, time.Minute); !errors.Is(err, ErrNotShortcut) {
		t.Errorf("trace of another network: %v", err)
	}
	must(o.a.StartTrace(labVNI, time.Minute))
	if err := o.a.StartTrace(labVNI, time.Minute); !errors.Is(err, ErrTracing) {
		t.Errorf("second trace: %v", err)
	}
	o.ca.sh("ip neigh flush dev eth0")
	o.ca.ping(b, "-c 1")
	o.ca.ping(b, "-c 1 -s 4000") // in fragments
	transfer(t, o.ca, o.cb, b, transferred)
	o.ca.ip("addr add 10.0.0.77/16 dev eth0")
	_, _ = o.ca.try("ping -n -c 1 -W 1 -I 10.0.0.77 %s", b) // not its own
	trace, err := o.a.Trace()
	must(err)
	find := func(protocol string, way string, port bool) (packets, bytes uint64) {
		for _, f := range trace.Flows {
			if f.Protocol == protocol && f.Way == way && (f.SourcePort == 5001 || f.TargetPort == 5001) == port {
				packets, bytes = packets+f.Packets, bytes+f.Bytes
			}
		}
		return packets, bytes
	}
	for _, c := range []struct {
		protocol, way string
		port          bool
		least         uint64 // bytes
	}{
		{"tcp", "out", true, transferred},
		{"tcp", "in", true, 60},
		{"icmp", "out", false, 4000},
		{"icmp", "in", false, 4000},
		{"icmp", "dropped_address", false, 98},
		{"arp", "kernel_kind", false, 42},
	} {
		if packets, bytes := find(c.protocol, c.way, c.port); packets == 0 || bytes < c.least {
			t.Errorf("%s, %s: %d packets, %d bytes, want %d at least; all: %+v", c.protocol, c.way, packets, bytes, c.least, trace.Flows)
		}
	}
	for _, f := range trace.Flows {
		if f.Protocol != "tcp" {
			continue
		}
		if ends := []string{f.Source.String(), f.Target.String()}; !slices.Contains(ends, a.String()) || !slices.Contains(ends, b.String()) {
			t.Errorf("flow of nobody: %+v", f)
		}
	}

	must(o.a.EndTrace())
	o.ca.ping(b, "-c 1")
	if trace, err = o.a.Trace(); err != nil || len(trace.Flows) > 0 {
		t.Errorf("after the end: %+v, %v", trace, err)
	}
	must(o.a.StartTrace(labVNI, 50*time.Millisecond))
	for began := time.Now(); errors.Is(o.a.StartTrace(labVNI, time.Minute), ErrTracing); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 5*time.Second {
			t.Fatal("a trace does not end by itself")
		}
	}
	must(o.a.EndTrace())
}

// What there is no room for is counted.
func TestShortcutTraceIsBounded(t *testing.T) {
	o := shortOverlay(t, "ipv4", true, true)
	if err := o.a.StartTrace(labVNI, time.Minute); err != nil {
		t.Fatal(err)
	}
	p := o.a.short.programs
	most := p.objects.TracedFlows.MaxEntries()
	for i := range most {
		err := p.objects.TracedFlows.Put(shortcutTracedFlow{Vni: 1, Ethertype: uint16(i), SourcePort: uint16(i >> 16)}, shortcutTraced{})
		if errors.Is(err, unix.E2BIG) {
			break // somebody has said something meanwhile
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	o.ca.ping(o.cb.Addresses[0].Addr(), "-c 3")
	trace, err := o.a.Trace()
	if err != nil || trace.Lost < 6 || len(trace.Flows) != int(most) {
		t.Errorf("%d flows, lost %d, %v", len(trace.Flows), trace.Lost, err)
	}
	if err := o.a.EndTrace(); err != nil {
		t.Fatal(err)
	}
}
