package datapath

import (
	"errors"
	"testing"
	"time"
)

// Packets are under way as long as a flow that was not silent has either stage on another core than its NIC's; when masks are to go,
// as long as one is sent through a queue.
func TestSteerUnderWay(t *testing.T) {
	b := newSteerBench(t, 3)
	first, _ := b.bucketsOf(b.cpu)
	bucket := first + 3
	for name, c := range map[string]struct {
		vxlan, container uint32
		ago              time.Duration
		away, aimed      bool
	}{
		"nothing elsewhere":        {slotInline, slotInline, 0, false, false},
		"VXLAN stage here":         {slotHere, slotHere, 0, false, true},
		"container stage here":     {slotInline, slotHere, 0, false, false},
		"container stage slotless": {slotInline, slotNone, 0, false, false},
		"VXLAN stage":              {slotOther, slotInline, 0, true, true},
		"container stage":          {slotInline, slotOther, 0, true, false},
		"both":                     {slotOther, slotThird, 0, true, true},
		"both, silent":             {slotOther, slotThird, 2 * quietAfter, false, false},
		"seen by a clock ahead":    {slotOther, slotInline, -quietAfter / 10, true, true},
	} {
		b.wipe()
		b.flows.values[bucket] = steerFlow{Vxlan: c.vxlan, Last: monotonic() - uint64(c.ago)}
		b.passages.values[bucket] = steerPassage{Container: c.container, Relay: slotInline}
		if away, aimed := b.underWay(b.away), b.underWay(b.aimed); away != c.away || aimed != c.aimed {
			t.Errorf("%s: away %v, aimed %v", name, away, aimed)
		}
	}
}

// While slots change, packets stay where they come in, whatever the masks are by then; and they go on to do so if masks could not be had.
func TestSteerStaysWhileSlotsChange(t *testing.T) {
	p := newPipeline(t, Static)
	p.nic, p.app = 1, 0 // of a smaller rank without CPU 0
	g, r := p.generator(1), p.reader(1)
	stop := p.keepFresh()
	defer stop()
	stay := func() {
		t.Helper()
		before := p.counts()
		sent, got := p.sendSome(g, r, 20_000, 50*time.Millisecond)
		if n := got.Total(); sent == 0 || n.Received != sent || n.Reordered > 0 {
			t.Errorf("sent %d packets, received %d, reordered %d", sent, n.Received, n.Reordered)
		}
		p.checkStages(t, before, allInline, sent)
	}
	p.place(0) // both stages on CPU 0
	if sent, _ := p.sendSome(g, r, 20_000, 50*time.Millisecond); hops(p.counts()) == 0 {
		t.Fatalf("no hop of %d packets: the test shows nothing", sent)
	}
	s, line := p.b.steer.programs, p.b.steer.line
	line.all = NewCPUSet(p.nic)
	for _, failure := range []error{nil, ErrRPSReduced} {
		err := s.reline(t.Context(), line, func() error { stay(); return failure })
		if !errors.Is(err, failure) {
			t.Errorf("%v, want %v", err, failure)
		}
	}
	stay()
	if got := s.linedUp(); !got.IsEmpty() {
		t.Errorf("CPUs %s have slots, and no masks", got)
	}
}

// The stages of CPUs that are gone are on the core of the stage before.
func TestSteerBury(t *testing.T) {
	b := newSteerBench(t, 4)
	const slotFourth = 3
	first, _ := b.bucketsOf(b.cpu)
	bucket := first + 3
	for slot, cpu := range map[int]uint32{slotOther: 500, slotThird: 501, slotFourth: 502} {
		b.cores.values[slot].Cpu = cpu
	}
	online := NewCPUSet(b.cpu, 502)
	for name, c := range map[string][2]struct{ vxlan, container uint32 }{
		"none of them":          {{slotFourth, slotHere}, {slotFourth, slotHere}},
		"inline":                {{slotInline, slotInline}, {slotInline, slotInline}},
		"VXLAN stage":           {{slotOther, slotFourth}, {slotHere, slotFourth}},
		"container stage":       {{slotFourth, slotOther}, {slotFourth, slotFourth}},
		"after an inline stage": {{slotInline, slotOther}, {slotInline, slotHere}},
		"both":                  {{slotOther, slotThird}, {slotHere, slotHere}},
	} {
		b.wipe()
		b.flows.values[bucket].Vxlan, b.passages.values[bucket].Container = c[0].vxlan, c[0].container
		b.bury(online)
		got := c[0]
		got.vxlan, got.container = b.flows.values[bucket].Vxlan, b.passages.values[bucket].Container
		if got != c[1] {
			t.Errorf("%s: %+v, want %+v", name, got, c[1])
		}
	}
}
