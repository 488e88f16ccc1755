package balance

import (
	"strings"
	"testing"
	"time"
)

// Hops stop when every core is busy with what it receives, and begin again when one has room, with a band between.
func TestOffAndOnAgain(t *testing.T) {
	full := 1 / 3.63e-6 // packets per second that fill a core
	h := newHost(t, cores(2), elephant(0, 1.2*full), elephant(1, 0))
	for _, step := range []struct {
		second float64 // what core 1 receives, as a share of what fills it
		off    bool
	}{{0.1, false}, {0.8, false}, {0.95, true}, {0.8, true}, {0.75, true}, {0.6, false}, {0.8, false}} {
		h.arrives[1].Rate[NIC] = step.second * full
		plan := h.run(500 * time.Millisecond)
		if plan.Off != step.off {
			t.Errorf("%.2f on the second core: off is %v, want %v: %s", step.second, plan.Off, step.off, plan.Reason)
		}
		if plan.Off && (plan.Hops > 0 || h.want(0) != stay || !strings.HasPrefix(plan.Reason, "off")) {
			t.Errorf("%.2f on the second core: off, with %d hops: %s", step.second, plan.Hops, plan.Reason)
		}
	}
}

func TestAloneHasNobodyToSendTo(t *testing.T) {
	m := cores(2)
	m.Cores[0].Allowed, m.Cores[1].Allowed = false, false
	h := newHost(t, m, elephant(0, 800e3))
	if plan := h.run(time.Second); plan.Reason != reasonAlone || plan.Hops > 0 {
		t.Errorf("%d hops: %s", plan.Hops, plan.Reason)
	}
}
