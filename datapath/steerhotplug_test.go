//go:build guest

package datapath

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
)

// Tests with this tag want a machine of their own, as `make test-kernels` has: these take CPUs from it, others need what not every kernel has.

// requireUnplug protects a machine on which somebody tries the tag.
func requireUnplug(t *testing.T) {
	t.Helper()
	if os.Getenv("FALCON_UNPLUG") == "" {
		t.Fatal("takes CPUs offline: set FALCON_UNPLUG if this machine may lose some for a while")
	}
	if n := runtime.NumCPU(); n < 8 {
		t.Fatalf("%d CPUs: needs 8", n)
	}
}

// unplug takes a CPU offline, or online again.
func unplug(t testing.TB, cpu int, online bool) {
	t.Helper()
	state := map[bool]string{false: "0", true: "1"}[online]
	if err := os.WriteFile(fmt.Sprintf("%s/cpu%d/online", cpuRoot, cpu), []byte(state), 0); err != nil {
		t.Fatalf("CPU %d, online %s: %v", cpu, state, err)
	}
}

// While cores go and come, flows that are spread over all of them arrive whole and, but for what the kernel itself moves, in order; the
// daemon gives the remaining cores masks and slots, and nothing is sent to the one that went.
func TestSteerFollowsHotplug(t *testing.T) {
	requireUnplug(t)
	p := newPipeline(t, Static)
	p.nic = 4 // of those that go some have smaller numbers and some greater, so its slot changes or does not
	daemon := p.daemon()
	defer daemon()
	// What is in the queue of a core when that goes the kernel moves, but others go on meanwhile: those few may be late. The rate is
	// such that there are hardly any, and nothing else is an excuse.
	const movedAtMost = 8 // for each core
	late := uint64(0)
	traffic := p.traffic(32, 10_000)
	p.checkFollowed(t)
	p.checkFlowing(t)
	for _, gone := range [][]int{{2}, {6, 1, 3}} {
		for _, cpu := range gone {
			unplug(t, cpu, false)
			t.Cleanup(func() { unplug(t, cpu, true) }) // as it was, if the test fails before
		}
		p.checkFollowed(t)
		before := p.counts()
		p.checkFlowing(t)
		p.checkUnused(t, before, gone)
		late = traffic.check(t, fmt.Sprintf("without %v", gone), late+uint64(movedAtMost*len(gone)))
		for _, cpu := range gone {
			unplug(t, cpu, true)
		}
		p.checkFollowed(t)
		p.checkFlowing(t)
		p.checkUsed(t, gone)
		late = traffic.check(t, fmt.Sprintf("with %v again", gone), late)
	}
	o := traffic.stop(t)
	o.reordered -= late
	o.check(t)
}

// daemon has host b balance and follow the CPUs until the function returned is called.
func (p *pipeline) daemon() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.b.Balance(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			p.b.t.Error(err)
		}
	}
}

// checkFollowed waits until host b steers to the CPUs that are online, and checks that it does so in all places.
func (p *pipeline) checkFollowed(t *testing.T) {
	t.Helper()
	machine, err := ReadTopology("")
	if err != nil {
		t.Fatal(err)
	}
	s := p.b.steer
	followed := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.line.all == machine.Online && s.balancer != nil && s.balancer.last != nil
	}
	const patience = 30 * time.Second
	for deadline := time.Now().Add(patience); !followed(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("online are %s; not followed after %v", machine.Online, patience)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.problems) > 0 {
		t.Errorf("online are %s; problems: %v", machine.Online, s.problems)
	}
	p.checkSlots(t, slices.Collect(machine.Online.All()))
	wantRPS(t, p.b.space.sysfs(), vxlanName(labVNI), machine.Online)
	wantRPS(t, p.cb.sysfs(), "eth0", machine.Online)
}

// checkSlots wants the CPUs in the slots, in this order, and no others, and both tables to name none but these slots.
func (p *pipeline) checkSlots(t *testing.T, cpus []int) {
	t.Helper()
	s := p.b.steer.programs
	for cpu, slot := range s.slots.values {
		want := slices.Index(cpus, cpu)
		if want < 0 {
			want = slotInline
		}
		if int(slot.Slot) != want {
			t.Errorf("CPUs %v: CPU %d has slot %d, want %d", cpus, cpu, slot.Slot, want)
		}
	}
	for slot, cpu := range cpus {
		if got, want := s.cores.values[slot], (steerCore{Cpu: uint32(cpu), Hash: hashOf(slot, len(cpus))}); got != want {
			t.Errorf("CPUs %v: slot %d is of %+v, want %+v", cpus, slot, got, want)
		}
	}
	wrong := 0
	for _, plan := range s.plans.values {
		for _, place := range plan.Placement {
			for _, slot := range []uint32{place & slotInline, place >> 16 & slotInline} {
				if slot != slotInline && int(slot) >= len(cpus) {
					wrong++
				}
			}
		}
	}
	if wrong > 0 {
		t.Errorf("CPUs %v: tables have %d placements on slots beyond", cpus, wrong)
	}
}

// checkFlowing waits until packets have come in and all their stages have been gone through, on several cores.
func (p *pipeline) checkFlowing(t *testing.T) {
	t.Helper()
	before := p.counts()
	const patience, packets, fewest = 30 * time.Second, 200, 3
	var arrived uint64
	var cores int
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		arrived, cores = 0, 0
		for cpu, now := range p.counts() {
			if n := now.Container.Packets - before[cpu].Container.Packets; n > 0 {
				arrived += n
				cores++
			}
		}
		if arrived >= packets && cores >= fewest {
			return
		}
	}
	t.Errorf("after %v %d packets have arrived, on %d cores; want %d on %d", patience, arrived, cores, packets, fewest)
}

// checkUnused wants no stage to have run on these CPUs.
func (p *pipeline) checkUnused(t *testing.T, before []steerCoreCounts, cpus []int) {
	t.Helper()
	for cpu, now := range p.counts() {
		if slices.Contains(cpus, cpu) && now != before[cpu] {
			t.Errorf("CPU %d is offline and counted\n%+v, after\n%+v", cpu, now, before[cpu])
		}
	}
}

// checkUsed waits until all of these CPUs have had packets.
func (p *pipeline) checkUsed(t *testing.T, cpus []int) {
	t.Helper()
	before := p.counts()
	const patience = 30 * time.Second
	idle := slices.Clone(cpus)
	for deadline := time.Now().Add(patience); len(idle) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("CPUs %v have come back and have nothing to do after %v", idle, patience)
			return
		}
		now := p.counts()
		idle = slices.DeleteFunc(idle, func(cpu int) bool {
			return now[cpu].Vxlan.Packets+now[cpu].Container.Packets > before[cpu].Vxlan.Packets+before[cpu].Container.Packets
		})
	}
}
