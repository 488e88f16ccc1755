package balance

import (
	"testing"
	"time"
)

// A placement stays for the dwell time, or two ticks where a backlog drops, before another one is better for it.
func TestPlacementsDwell(t *testing.T) {
	for _, test := range []struct {
		name  string
		drops uint64
		least time.Duration
		most  time.Duration
	}{
		{"in peace", 0, DefaultSettings.Dwell, 3 * DefaultSettings.Dwell},
		{"where packets are dropped", 1000, 2 * tick, DefaultSettings.Dwell - tick},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, cores(6), elephant(0, 600e3))
			for h.tick(); h.want(0) == stay; h.tick() {
				if h.input.Flows[0].Since > time.Hour+time.Second {
					t.Fatal("does not move at all")
				}
			}
			first := h.want(0)
			v, k := first.cores(0)
			for _, core := range []int16{v, k} { // from now on, it is worse there than anywhere else
				h.foreign[core], h.drops[core] = 0.9, test.drops
			}
			var after time.Duration
			for h.want(0) == first && after < time.Second {
				h.tick()
				after += tick
			}
			if after < test.least || after > test.most {
				t.Errorf("moved again after %v, want %v to %v", after, test.least, test.most)
			}
		})
	}
}

// A move that would win little is not made.
func TestDeadBand(t *testing.T) {
	for _, test := range []struct {
		foreign float64 // on the only other core
		moves   bool
	}{{0, true}, {0.5, true}, {0.72, false}, {0.8, false}, {0.95, false}} {
		h := newHost(t, cores(2), mice(10, 0, 235e3)...) // 85% of core 0
		h.foreign[1] = test.foreign
		if h.run(time.Second); (h.plan.Hops > 0) != test.moves {
			t.Errorf("foreign load %.2f: %d hops, moves: %v, load %.2f, %s", test.foreign, h.plan.Hops, test.moves, h.plan.Load, h.plan.Reason)
		}
	}
}

// Once the balancer has found its placements, a steady load moves nothing.
func TestNothingFlaps(t *testing.T) {
	for _, n := range []int{2, 3, 8} {
		for _, rate := range []float64{150e3, 260e3, 300e3, 700e3} {
			h := newHost(t, cores(n), append(mice(50, 0, 60e3), elephant(0, rate), elephant(1, rate/2))...)
			h.run(2 * time.Second)
			moves := 0
			for range 200 {
				moves += h.tick().Moves
			}
			if moves > 3 {
				t.Errorf("%d cores, %.0f/s: %d moves in two seconds of steady load", n, rate, moves)
			}
		}
	}
}

// Packets return to fewer cores when there is room again, after a time of calm.
func TestGiveBack(t *testing.T) {
	h := newHost(t, cores(3), elephant(0, 600e3))
	if h.run(300 * time.Millisecond); h.want(0) == stay {
		t.Fatalf("does not move: %s", h.plan.Reason)
	}
	h.arrives[0].Rate[NIC] = 60e3
	if h.run(DefaultSettings.Calm - 400*time.Millisecond); h.want(0) == stay {
		t.Error("has returned before it was calm for long enough")
	}
	if h.run(DefaultSettings.Calm); h.want(0) != stay {
		t.Errorf("has not returned: %s", h.plan.Reason)
	}
}

// While there would be no room without them, hops stay.
func TestGiveBackNeedsRoom(t *testing.T) {
	h := newHost(t, cores(3), elephant(0, 600e3))
	h.run(300 * time.Millisecond)
	h.arrives[0].Rate[NIC] = 200e3 // 73% of a core, more than Return
	if h.run(3 * DefaultSettings.Calm); h.want(0) == stay {
		t.Errorf("has returned: %s", h.plan.Reason)
	}
}
