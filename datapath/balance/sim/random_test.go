package sim

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// randomScenario is a load that nobody has chosen. Readers are not on cores of NICs: there, softirqs starve them in
// the simulator for good, whatever the policy does.
func randomScenario(seed uint64) Scenario {
	random := rand.New(rand.NewPCG(seed, 6))
	shapes := []Shape{{2, 1, 1}, {3, 1, 1}, {4, 1, 1}, {4, 2, 1}, {6, 1, 1}, {8, 1, 1}, {8, 2, 1}, {16, 1, 1}, {16, 2, 2}, {32, 2, 2}}
	s := Scenario{
		Shape: shapes[random.IntN(len(shapes))], Duration: 1500 * time.Millisecond, Measure: 500 * time.Millisecond, Seed: seed,
	}
	nics := 1 + random.IntN(s.Shape.Cores)
	s.Name = fmt.Sprintf("%d: %+v, %d NICs", seed, s.Shape, nics)
	if random.IntN(4) > 0 {
		n, rate := 1+random.IntN(2*nics), 50e3+700e3*random.Float64()
		s.Flows = append(s.Flows, elephants(n, rate, nics)...)
		s.Name += fmt.Sprintf(", %d elephants %.0fk", n, rate/1e3)
	}
	if len(s.Flows) == 0 || random.IntN(2) == 0 {
		n, rate := 20+random.IntN(200), float64(nics)*(20e3+380e3*random.Float64())
		s.Flows = append(s.Flows, mice(n, rate, nics)...)
		s.Name += fmt.Sprintf(", %d mice %.0fk", n, rate/1e3)
	}
	if random.IntN(3) == 0 {
		for i := range 1 + random.IntN(s.Shape.Cores) {
			s.Apps = append(s.Apps, App{Core: (nics + i) % s.Shape.Cores, Share: 0.1 + 0.8*random.Float64()})
		}
		s.Name += fmt.Sprintf(", %d apps", len(s.Apps))
	}
	if others := s.Shape.Cores - nics; others > 0 && random.IntN(4) == 0 {
		for i := range s.Flows {
			s.Flows[i].Reader, s.Flows[i].ReadCost = nics+i%min(others, 4), readCost
		}
		s.Name += ", readers"
	}
	return s
}

// What holds for the matrix holds for others. With the balance just kept, it moves more: each bucket less often each time.
func TestRandomScenarios(t *testing.T) {
	const (
		useful = 0.97 // of the better of off and static
		mean   = 1.06 // of it, over all
		late   = 0.5  // migrations after the first second, per flow
	)
	n := 24 // enough for the mean
	if testing.Short() || raceEnabled {
		n = 4
	}
	ratios := make([]float64, n)
	t.Run("all", func(t *testing.T) {
		for i := range n {
			s := randomScenario(uint64(i))
			t.Run(s.Name, func(t *testing.T) {
				t.Parallel()
				d := Run(s, Dynamic)
				best := max(Run(s, Off).Useful, Run(s, Static).Useful)
				ratios[i] = d.Useful / best
				if ratios[i] < useful {
					t.Errorf("%.2f cores' worth of useful work, %.3f of the better of off and static", d.Useful, ratios[i])
				}
				if d.Late > max(2, late*float64(len(s.Flows))) {
					t.Errorf("%.0f migrations in half a second of steady load", d.Late)
				}
				if d.Reordered > 1e-6 {
					t.Errorf("%.0f packets may have been overtaken", d.Reordered)
				}
			})
		}
	})
	var sum float64
	for _, r := range ratios {
		sum += r
	}
	if !raceEnabled && !testing.Short() && sum/float64(n) < mean {
		t.Errorf("in the mean %.3f of the better of off and static, want %.2f", sum/float64(n), mean)
	}
}
