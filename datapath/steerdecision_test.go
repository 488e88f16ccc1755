package datapath

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// decision is a state of things and what falcon_nic makes of the next packet of a flow.
type decision struct {
	mode            Mode
	direct          bool          // the network takes the shortcut
	after           time.Duration // when the mode begins to hold
	static, dynamic uint32        // placements in the valid table
	other           uint32        // in the other one
	published       time.Duration // ago
	flow            steerFlow     // Last is how long ago, ns
	passage         steerPassage
	retired         uint32 // by this core
	polling         bool   // in the poll that still goes on
	want            uint32 // placement, noted for the programs further on
	vxlan           uint32 // slot that packets are sent to now
	reset           bool   // the passage is as if nothing were under way
	counts          steerStageCounts
}

const (
	benchSent = 9 // the number of the flow's last packet
	benchPoll = 5 // of this core
)

// at is a flow whose last packet went to a slot not long ago: more than the clock's step, less than quietAfter.
func at(slot uint32) steerFlow {
	return steerFlow{Sent: benchSent, Vxlan: slot, Last: uint64(10 * time.Millisecond)}
}

// quietAt is one that was silent for longer.
func quietAt(slot uint32) steerFlow {
	return steerFlow{Sent: benchSent, Vxlan: slot, Last: uint64(2 * quietAfter)}
}

// detour is a passage at which so much has passed, and from which packets are handed on.
func detour(passed, relay uint32) steerPassage {
	return steerPassage{Passed: passed, Relay: relay, Container: slotThird}
}

var (
	hopped     = steerStageCounts{Hops: 1}
	stayed     = steerStageCounts{Inlined: 1}
	hoppedHeld = steerStageCounts{Hops: 1, Held: 1}
	stayedHeld = steerStageCounts{Inlined: 1, Held: 1}
	wentThere  = steerStageCounts{Hops: 1, Migrations: 1}
	cameBack   = steerStageCounts{Inlined: 1, Migrations: 1}
)

// planRows are about what the flow is wanted to do.
func planRows() map[string]decision {
	const outdated = staleAfter + 100*time.Millisecond
	return map[string]decision{
		"static":  {mode: Static, static: vxlanOther, dynamic: vxlanThird, flow: at(slotOther), want: vxlanOther, vxlan: slotOther, counts: hopped},
		"dynamic": {mode: Dynamic, static: vxlanThird, dynamic: vxlanOther, flow: at(slotOther), want: vxlanOther, vxlan: slotOther, counts: hopped},
		"off": {mode: Off, static: vxlanOther, dynamic: vxlanOther, flow: at(slotInline), want: allInline, vxlan: slotInline,
			counts: stayed},
		"off, queued here": {mode: Off, flow: at(slotHere), passage: detour(benchSent, slotInline), want: allInline, vxlan: slotInline,
			counts: cameBack},
		"off, queued here, container slotless": {mode: Off, flow: at(slotHere), passage: steerPassage{Passed: benchSent, Relay: slotInline, Container: slotNone},
			want: allInline, vxlan: slotInline, counts: cameBack},
		"off, queued here, not passed": {mode: Off, flow: at(slotHere), passage: detour(benchSent-1, slotInline), want: allInline, vxlan: slotHere,
			counts: stayedHeld},
		"before the mode holds": {mode: Static, after: time.Hour, static: vxlanOther, flow: at(slotInline), want: allInline, vxlan: slotInline,
			counts: stayed},
		"not the other table": {mode: Static, static: vxlanOther, other: vxlanThird, flow: at(slotOther), want: vxlanOther, vxlan: slotOther,
			counts: hopped},
		"container stage is the next program's": {mode: Static, static: slotOther | slotThird<<16, flow: at(slotOther),
			want: slotOther | slotThird<<16, vxlan: slotOther, counts: hopped},
		"outdated": {mode: Static, static: vxlanOther, published: outdated, flow: at(slotInline), want: allInline, vxlan: slotInline,
			counts: steerStageCounts{Inlined: 1, Stale: 1}},
		"outdated, retired": {mode: Static, static: vxlanOther, published: outdated, flow: at(slotOther), retired: benchSent, want: allInline,
			vxlan: slotInline, counts: steerStageCounts{Inlined: 1, Migrations: 1, Stale: 1}},
		"outdated, under way": {mode: Dynamic, dynamic: vxlanThird, published: outdated, flow: at(slotOther), want: allInline,
			vxlan: slotOther, counts: steerStageCounts{Hops: 1, Held: 1, Stale: 1}},
		"outdated, off": {mode: Off, published: outdated, flow: at(slotInline), want: allInline, vxlan: slotInline, counts: stayed},
		"nearly outdated": {mode: Static, static: vxlanOther, published: staleAfter / 2, flow: at(slotOther), want: vxlanOther,
			vxlan: slotOther, counts: hopped},
		"published after the last tick": {mode: Static, static: vxlanOther, published: -50 * time.Millisecond, flow: at(slotOther), want: vxlanOther,
			vxlan: slotOther, counts: hopped},
		"this core's slot": {mode: Static, static: slotHere, flow: at(slotHere), want: slotHere, vxlan: slotHere, counts: stayed},
		"no such slot":     {mode: Static, static: slotEmpty, flow: at(slotEmpty), want: slotEmpty, vxlan: slotEmpty, counts: stayed},
		"no core's slot":   {mode: Static, static: slotNone, flow: at(slotNone), want: slotNone, vxlan: slotNone, counts: stayed},
		"second choice": {mode: Static, static: vxlanOther | slotSecond, flow: at(slotOther), want: vxlanOther | slotSecond, vxlan: slotOther,
			counts: steerStageCounts{Hops: 1, Second: 1}},
		"second choice is here": {mode: Static, static: slotHere | slotSecond, flow: at(slotHere), want: slotHere | slotSecond, vxlan: slotHere,
			counts: stayed},
		"second choice, inline": {mode: Static, static: allInline | slotSecond, flow: at(slotHere), want: stayHere | slotSecond,
			vxlan: slotHere, counts: stayed},
		"second choice not taken yet": {mode: Static, static: vxlanThird | slotSecond, flow: at(slotOther), want: vxlanThird | slotSecond,
			vxlan: slotOther, counts: hoppedHeld},
		"direct": {mode: Static, direct: true, static: vxlanOther, flow: at(slotHere), want: slotHere | slotOther<<16, vxlan: slotHere, counts: stayed},
		"direct, both": {mode: Static, direct: true, static: slotOther | slotThird<<16, flow: at(slotHere), want: slotHere | slotOther<<16, vxlan: slotHere,
			counts: stayed},
		"direct, second choice": {mode: Static, direct: true, static: vxlanOther | slotSecond, flow: at(slotHere),
			want: slotHere | (slotOther|slotSecond)<<16, vxlan: slotHere, counts: stayed},
		"direct, dynamic": {mode: Dynamic, direct: true, dynamic: slotInline | slotThird<<16, flow: at(slotHere), want: slotHere | slotThird<<16,
			vxlan: slotHere, counts: stayed},
		"direct, inline": {mode: Static, direct: true, static: allInline, flow: at(slotHere), want: stayHere, vxlan: slotHere, counts: stayed},
		"direct, off":    {mode: Off, direct: true, static: vxlanOther, flow: at(slotInline), want: allInline, vxlan: slotInline, counts: stayed},
		"becomes direct": {mode: Static, direct: true, static: vxlanOther, flow: at(slotOther), retired: benchSent, want: slotHere | slotOther<<16,
			vxlan: slotHere, counts: cameBack},
		"second choice of the container stage": {mode: Static, static: vxlanOther | slotSecond<<16, flow: at(slotOther),
			want: vxlanOther | slotSecond<<16, vxlan: slotOther, counts: hopped},
	}
}

// orderRows are about when a flow may do it: bpf/order.h says why.
func orderRows() map[string]decision {
	rows := map[string]decision{
		"new":           {flow: steerFlow{Last: uint64(time.Hour)}, passage: steerPassage{}, static: vxlanOther, vxlan: slotOther, reset: true, counts: wentThere},
		"quiet":         {flow: quietAt(slotOther), passage: detour(3, slotThird), static: vxlanThird, vxlan: slotThird, reset: true, counts: wentThere},
		"quiet, back":   {flow: quietAt(slotOther), static: allInline, vxlan: slotHere, reset: true, counts: cameBack},
		"quiet, stays":  {flow: quietAt(slotOther), passage: detour(3, slotThird), static: vxlanOther, vxlan: slotOther, reset: true, counts: hopped},
		"under way":     {flow: at(slotOther), passage: detour(benchSent-1, slotInline), retired: benchSent - 2, static: vxlanThird, vxlan: slotOther, counts: hoppedHeld},
		"one under way": {flow: at(slotOther), retired: benchSent - 1, static: vxlanThird, vxlan: slotOther, counts: hoppedHeld},
		"more retired":  {flow: at(slotOther), retired: benchSent + 1, static: vxlanThird, vxlan: slotOther, counts: hoppedHeld},
		"retired":       {flow: at(slotOther), retired: benchSent, static: vxlanThird, vxlan: slotThird, counts: wentThere},
		"retired, back": {flow: at(slotOther), retired: benchSent, static: allInline, vxlan: slotHere, counts: cameBack},
		"retired, from here": {flow: at(slotInline), passage: detour(0, slotInline), retired: benchSent, static: vxlanOther, vxlan: slotOther,
			counts: wentThere},
		"retiring": {flow: at(slotOther), retired: benchSent, polling: true, static: vxlanThird, vxlan: slotOther, counts: hoppedHeld},

		"passed without detour":      {flow: at(slotOther), passage: detour(benchSent, slotInline), static: vxlanThird, vxlan: slotOther, counts: hoppedHeld},
		"passed by detour":           {flow: at(slotOther), passage: detour(benchSent, slotThird), static: vxlanThird, vxlan: slotThird, counts: wentThere},
		"passed by another detour":   {flow: at(slotOther), passage: detour(benchSent, slotHere), static: vxlanThird, vxlan: slotOther, counts: hoppedHeld},
		"passed by detour, back":     {flow: at(slotOther), passage: detour(benchSent, slotHere), static: allInline, vxlan: slotHere, counts: cameBack},
		"passed by detour elsewhere": {flow: at(slotOther), passage: detour(benchSent, slotThird), static: allInline, vxlan: slotOther, counts: hoppedHeld},
		"on a detour":                {flow: at(slotOther), passage: detour(benchSent-1, slotThird), static: vxlanThird, vxlan: slotOther, counts: hoppedHeld},

		"passed here":             {flow: at(slotInline), passage: detour(benchSent, slotInline), static: vxlanOther, vxlan: slotOther, counts: wentThere},
		"passed at slot":          {flow: at(slotHere), passage: detour(benchSent, slotInline), static: vxlanOther, vxlan: slotOther, counts: wentThere},
		"not yet passed":          {flow: at(slotInline), passage: detour(benchSent-1, slotInline), static: vxlanOther, vxlan: slotInline, counts: stayedHeld},
		"queued here, passed":     {flow: at(slotInline), passage: detour(benchSent, slotInline), static: allInline, vxlan: slotHere, counts: cameBack},
		"queued here, not passed": {flow: at(slotInline), passage: detour(benchSent-1, slotInline), static: allInline, vxlan: slotInline, counts: stayedHeld},
		"queued here, container slotless": {flow: at(slotInline), passage: steerPassage{Passed: benchSent, Relay: slotInline, Container: slotNone}, static: allInline,
			vxlan: slotHere, counts: cameBack},
		"passed to nowhere": {flow: at(slotInline), passage: steerPassage{Passed: benchSent, Relay: slotInline, Container: slotNone}, static: vxlanOther, vxlan: slotInline, counts: stayedHeld},
	}
	wrapped := at(slotOther)
	wrapped.Sent += hashSpan
	rows["retired, modulo"] = decision{flow: wrapped, retired: benchSent, static: vxlanThird, vxlan: slotThird, counts: wentThere}
	rows["passed by detour, modulo"] = decision{flow: wrapped, passage: detour(benchSent, slotThird), static: vxlanThird, vxlan: slotThird, counts: wentThere}
	for name, d := range rows {
		d.mode, d.want = Static, d.static
		if d.static == allInline {
			d.want = stayHere
		}
		rows[name] = d
	}
	return rows
}

func TestSteerDecides(t *testing.T) {
	b := newSteerBench(t, 3)
	f := someConversation().frame()
	bucket := b.bucketOf(t, f)
	for group, rows := range map[string]map[string]decision{"plan": planRows(), "order": orderRows()} {
		for name, d := range rows {
			t.Run(group+"/"+name, func(t *testing.T) {
				b.arrange(t, d, bucket)
				out := b.run(t, b.objects.FalconNic, f.bytes, skbContext{})
				b.checkDecision(t, d, bucket, out.Priority)
				want := d.counts
				want.Packets, want.Bytes, want.Skbs = 1, uint64(len(f.bytes)), 1
				if got := b.here().Nic; got != want {
					t.Errorf("counted\n%+v, want\n%+v", got, want)
				}
			})
		}
	}
}

// A stream that takes the shortcut passes no queue on its way, so no core can be chosen for it.
func TestSteerLeavesDirectStreams(t *testing.T) {
	b := newSteerBench(t, 3)
	c := someConversation()
	c.proto = unix.IPPROTO_TCP
	f := c.frame()
	d := decision{mode: Static, direct: true, static: vxlanOther, flow: at(slotInline), want: allInline, vxlan: slotInline, counts: stayed}
	bucket := b.bucketOf(t, f)
	b.arrange(t, d, bucket)
	out := b.run(t, b.objects.FalconNic, f.bytes, skbContext{})
	b.checkDecision(t, d, bucket, out.Priority)
}

// arrange makes the state of things.
func (b *steerBench) arrange(t testing.TB, d decision, bucket int) {
	t.Helper()
	b.wipe()
	if err := b.setNetwork(benchVNI, d.mode, d.direct, d.after); err != nil {
		t.Fatal(err)
	}
	b.place(d.other, d.other)
	b.place(d.static, d.dynamic)
	now := coarse()
	b.control.values[0].Published = now - uint64(d.published)
	d.flow.Last, d.flow.Cpu = now-d.flow.Last, uint16(b.cpu)
	b.flows.values[bucket], b.passages.values[bucket] = d.flow, d.passage
	b.retire(bucket, d.retired, d.polling)
}

// retire notes the last packet that this core has given to a container, before this poll or in it.
func (b *steerBench) retire(bucket int, number uint32, polling bool) {
	b.here().Polls = benchPoll
	poll := uint64(benchPoll - 1)
	if polling {
		poll = benchPoll
	}
	b.arrivals.values[bucket] = arrivalOf(number, b.cpu, poll)
}

// arrivalOf is what falcon_arrival keeps of a packet (ARRIVAL_* in types.h).
func arrivalOf(number uint32, cpu int, poll uint64) steerArrival {
	return steerArrival{Last: uint64(number&(1<<20-1)) | uint64(cpu)<<20 | poll<<34}
}

func (b *steerBench) checkDecision(t *testing.T, d decision, bucket int, number uint32) {
	t.Helper()
	got := b.flows.values[bucket]
	if got.Want != d.want || got.Vxlan != d.vxlan || got.Held != d.counts.Held {
		t.Errorf("want %#x, at slot %#x, %d held; should be %#x, %#x, %d", got.Want, got.Vxlan, got.Held, d.want, d.vxlan, d.counts.Held)
	}
	if got.Sent != d.flow.Sent+1 || number != got.Sent {
		t.Errorf("number %d, sent %d; want %d", number, got.Sent, d.flow.Sent+1)
	}
	passage := d.passage
	if d.vxlan != d.flow.Vxlan {
		passage.Relay = slotInline // the detour is over
	}
	if d.reset {
		passage.Passed, passage.Relay, passage.Container = d.flow.Sent, slotInline, slotInline
	}
	if got := b.passages.values[bucket]; got != passage {
		t.Errorf("passage\n%+v, want\n%+v", got, passage)
	}
}

// coarse is the programs' clock at its last tick.
func coarse() uint64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC_COARSE, &now) // exists
	return uint64(now.Nano())
}
