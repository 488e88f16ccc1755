package sim

import (
	"math"
	"testing"
)

// Beside the paper's algorithm: nowhere less by more than the noise of a hash's luck, in the mean clearly more, and fairer.
func TestBetterThanThePaper(t *testing.T) {
	var sum, fair, fairPaper float64
	forEach(t, func(t *testing.T, _ Scenario, r map[Policy]Result) {
		ratio := r[Dynamic].Throughput / r[Paper].Throughput
		if ratio < neverWorse {
			t.Errorf("%.0f packets/s, the paper's algorithm delivers %.0f", r[Dynamic].Throughput, r[Paper].Throughput)
		}
		if r[Dynamic].Fairness < r[Paper].Fairness-0.03 {
			t.Errorf("fairness %.3f, the paper's algorithm has %.3f", r[Dynamic].Fairness, r[Paper].Fairness)
		}
		sum += math.Log(ratio)
		fair += r[Dynamic].Fairness
		fairPaper += r[Paper].Fairness
	})
	n := float64(len(scenarios()))
	if mean := math.Exp(sum / n); mean < 1.1 {
		t.Errorf("in the geometric mean %.3f times what the paper's algorithm delivers, want 1.1", mean)
	}
	if fair < fairPaper {
		t.Errorf("mean fairness %.3f, the paper's algorithm has %.3f", fair/n, fairPaper/n)
	}
}

// The balancer's moves never let a packet overtake another; the paper's do, so the simulator would notice.
func TestOrderIsKept(t *testing.T) {
	var paper float64
	forEach(t, func(t *testing.T, _ Scenario, r map[Policy]Result) {
		if n := r[Dynamic].Reordered; n > 1e-6 {
			t.Errorf("%.0f packets may have been overtaken", n)
		}
		paper += r[Paper].Reordered
	})
	if paper < 1000 {
		t.Errorf("the paper's algorithm reorders %.0f packets: the simulator does not notice", paper)
	}
}
