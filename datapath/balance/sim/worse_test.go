package sim

import "testing"

// neverWorse is the goal: of the better of off and static, at least this share is delivered.
const neverWorse = 0.97

// exceptions are the scenarios in which less has to be delivered than the goal says, and why.
var exceptions = map[string]struct {
	least float64
	why   string
}{
	// Static takes 57% of their time from three applications that would use 90% of their cores, and delivers 362 k/s more for
	// it: 1.3 cores' worth of packets for 1.5 cores' worth of applications. Dynamic leaves the applications alone,
	// and does more work that is of use than static: TestUsefulWork has no exception.
	"4 cores, apps 0.9 on 1-3": {0.43, "spares the applications"},
}

func TestNeverWorse(t *testing.T) {
	forEach(t, func(t *testing.T, s Scenario, r map[Policy]Result) {
		least := neverWorse
		if e, ok := exceptions[s.Name]; ok {
			least = e.least
		}
		best := max(r[Off].Throughput, r[Static].Throughput)
		ratio := r[Dynamic].Throughput / best
		if ratio < least {
			t.Errorf("%.0f of %.0f packets/s, %.3f of the better of off and static, want %.2f", r[Dynamic].Throughput, best, ratio, least)
		}
		if least < neverWorse && ratio >= neverWorse {
			t.Errorf("%.3f: is no exception any more (%s)", ratio, exceptions[s.Name].why)
		}
	})
}

// Useful work is what packets that arrive and applications get. A policy may not win the one by starving the other.
func TestUsefulWork(t *testing.T) {
	forEach(t, func(t *testing.T, _ Scenario, r map[Policy]Result) {
		if best := max(r[Off].Useful, r[Static].Useful); r[Dynamic].Useful < neverWorse*best {
			t.Errorf("%.2f cores' worth of useful work, want %.2f of %.2f", r[Dynamic].Useful, neverWorse, best)
		}
	})
}

// The goal of the project for one UDP flow: three cores deliver 2.2 times as much as one.
func TestThreeCores(t *testing.T) {
	r := results()["3 cores, elephant 800k"]
	if ratio := r[Dynamic].Throughput / r[Off].Throughput; !(ratio >= 2.2) {
		t.Errorf("%.0f of %.0f packets/s, %.2f times, want 2.2", r[Dynamic].Throughput, r[Off].Throughput, ratio)
	}
}
