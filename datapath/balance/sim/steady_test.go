package sim

import (
	"testing"
	"time"
)

// Under a steady load the balancer comes to rest: in half a second it moves no more than one flow in twenty. Under one that goes on changing it moves what has changed: at most one bucket
// for each flow that comes, and again when it grows old.
func TestMigrationsAreBounded(t *testing.T) {
	forEach(t, func(t *testing.T, s Scenario, r map[Policy]Result) {
		most := max(2, float64(len(s.Flows))/20)
		if s.Changing {
			most = 2 * float64(len(s.Flows))
		}
		if late := r[Dynamic].Late; late > most {
			t.Errorf("%.0f migrations after the first second, want at most %.0f", late, most)
		}
	})
}

// A core that becomes a hotspot delivers 95% of what the best static placement would within 100 ms. The best placement delivers
// everything here, for the other cores have room for the pipeline.
func TestHotspotRecovers(t *testing.T) {
	const surge = 700 * time.Millisecond
	seeds := 3
	if raceEnabled || testing.Short() {
		seeds = 1
	}
	for _, test := range []struct {
		name  string
		shape Shape
		flows []Flow
	}{
		{"8 cores, as in the matrix", Shape{8, 1, 1}, hotspot(4, 100e3, 600e3, 4)},
		{"4 cores", Shape{4, 1, 1}, hotspot(2, 50e3, 600e3, 2)},
		{"6 cores, two on the same core", Shape{6, 1, 1}, hotspot(4, 60e3, 450e3, 2)},
		{"16 cores SMT 2 nodes", Shape{16, 2, 2}, hotspot(8, 50e3, 550e3, 4)},
		{"64 cores", Shape{64, 1, 4}, hotspot(32, 80e3, 600e3, 16)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(seeds) {
				r := Run(Scenario{
					Name: test.name, Shape: test.shape, Flows: test.flows, Duration: 1200 * time.Millisecond, Measure: surge, Seed: seed,
				}, Dynamic)
				var want float64
				for _, f := range test.flows {
					want += f.rateAt(surge)
				}
				for i := int((surge + 100*time.Millisecond) / tick); i < len(r.Series); i++ {
					if got := r.Series[i]; got < 0.95*want {
						t.Errorf("seed %d, %v after the surge: %.0f of %.0f packets/s", seed, time.Duration(i)*tick-surge, got, want)
						break
					}
				}
			}
		})
	}
}
