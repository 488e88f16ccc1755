package balance

import (
	"testing"
	"time"
)

// One tick does not move more than it may, and says how many it has moved.
func TestMovesPerTick(t *testing.T) {
	h := newHost(t, cores(8), mice(Buckets, 0, 700e3)...)
	before := make([]Placement, Buckets)
	for i := range before {
		before[i] = stay
	}
	all := 0
	for range 50 {
		plan := h.tick()
		changed := 0
		for i, want := range plan.Want {
			if want != before[i] {
				changed++
			}
		}
		copy(before, plan.Want)
		if changed > DefaultSettings.Moves || changed != plan.Moves {
			t.Fatalf("%d changes, %d moves, allowed are %d", changed, plan.Moves, DefaultSettings.Moves)
		}
		all += changed
	}
	if all < Buckets/4 {
		t.Errorf("%d of %d mice have moved from a core that is twice too full", all, Buckets)
	}
}

// The same past and the same measurement make the same plan.
func TestPlanIsDeterministic(t *testing.T) {
	flows := func() []Flow { return append(mice(200, 0, 300e3), elephant(0, 400e3), elephant(2, 350e3)) }
	a, b := newHost(t, cores(6), flows()...), newHost(t, cores(6), flows()...)
	for i := range 60 {
		p, q := a.tick(), b.tick()
		for bucket := range p.Want {
			if p.Want[bucket] != q.Want[bucket] {
				t.Fatalf("tick %d, bucket %d: %+v and %+v", i, bucket, p.Want[bucket], q.Want[bucket])
			}
		}
		if p.Reason != q.Reason || p.Moves != q.Moves || p.Off != q.Off {
			t.Fatalf("tick %d: %+v and %+v", i, p, q)
		}
	}
}

// large is a big machine with much to do in every tick: full cores, 1024 flows, and loads that never come to rest.
func large(t testing.TB, coreCount, flows int) (*Balancer, []Input) {
	m := cores(coreCount)
	b, err := New(m, DefaultSettings, DefaultCosts)
	if err != nil {
		t.Fatal(err)
	}
	inputs := make([]Input, 8)
	for i := range inputs {
		in := Input{Interval: tick, Cores: make([]CoreLoad, coreCount)}
		for c := range in.Cores {
			in.Cores[c].Busy = 0.1 + 0.05*float64((c+i)%4)
			if c < max(1, coreCount/8) {
				in.Cores[c] = CoreLoad{Busy: 1, Softirq: 1, Drops: uint64(i % 2)}
			}
		}
		for f := range flows {
			rate := 270e3 * float64(max(1, coreCount/8)) / float64(flows) * (0.5 + float64((f*7+i)%16)/16)
			in.Flows = append(in.Flows, Flow{
				Bucket: f, NIC: f % max(1, coreCount/8), Rate: [Stages]float64{rate, rate, rate}, Current: stay, Since: time.Second,
			})
		}
		inputs[i] = in
	}
	return b, inputs
}

func TestPlanAllocatesNothing(t *testing.T) {
	b, inputs := large(t, 128, Buckets)
	i := 0
	if n := testing.AllocsPerRun(100, func() { b.Next(inputs[i%len(inputs)]); i++ }); n > 0 {
		t.Errorf("%.1f allocations per tick", n)
	}
}

func BenchmarkNext(b *testing.B) {
	for _, size := range []struct {
		name         string
		cores, flows int
	}{{"4 cores, 4 flows", 4, 4}, {"16 cores, 64 flows", 16, 64}, {"128 cores, 1024 flows", 128, Buckets}} {
		b.Run(size.name, func(b *testing.B) {
			balancer, inputs := large(b, size.cores, size.flows)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				balancer.Next(inputs[i%len(inputs)])
			}
		})
	}
}
