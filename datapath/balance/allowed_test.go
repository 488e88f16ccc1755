package balance

import (
	"testing"
	"time"
)

func TestPlanUsesAllowedCoresOnly(t *testing.T) {
	for _, allowed := range [][]int{{}, {0}, {3}, {1, 2}, {0, 3}, {1, 2, 3}, {0, 1, 2, 3}} {
		m := cores(4)
		for i := range m.Cores {
			m.Cores[i].Allowed = false
		}
		for _, a := range allowed {
			m.Cores[a].Allowed = true
		}
		h := newHost(t, m, elephant(0, 800e3), elephant(1, 300e3))
		for range 100 {
			h.check(h.tick())
		}
		if others := len(allowed) > 1 || len(allowed) == 1 && allowed[0] != 0; others && h.want(0) == stay {
			t.Errorf("allowed %v: the elephant stays: %s", allowed, h.plan.Reason)
		}
	}
}

// A core that was allowed may not be any more when an earlier run's placements are taken over.
func TestAdoptedPlacementsAreAllowed(t *testing.T) {
	m := cores(4)
	m.Cores[3].Allowed = false
	for _, p := range []Placement{{3, Inline}, {Inline, 3}, {1, 3}, {4, Inline}, {-2, 1}} {
		h := newHost(t, m, elephant(0, 100e3))
		h.balancer.Adopt(100, p)
		h.check(h.run(time.Second))
	}
}

func TestAdoptedPlacementsStay(t *testing.T) {
	at := Placement{2, 1}
	f := elephant(0, 600e3)
	f.Current = at
	h := newHost(t, cores(4), f)
	h.balancer.Adopt(100, at)
	if h.run(500 * time.Millisecond); h.want(0) != at {
		t.Errorf("adopted at %+v, wanted on %+v: %s", at, h.want(0), h.plan.Reason)
	}
}

// Siblings are no second core: packets go to a core that is idle as a whole where there is one.
func TestPlanAvoidsSiblings(t *testing.T) {
	m := cores(6)
	for i := range m.Cores {
		m.Cores[i].Sibling = []int{i ^ 1}
	}
	h := newHost(t, m, elephant(0, 600e3))
	h.run(200 * time.Millisecond)
	v, k := h.want(0).cores(0)
	if v == 1 || k == 1 || v != k && m.siblings(v, k) {
		t.Errorf("%+v, where cores 2 to 5 are idle: %s", h.want(0), h.plan.Reason)
	}
}

func TestPlanStaysOnTheNode(t *testing.T) {
	m := cores(8)
	for i := range m.Cores {
		m.Cores[i].Node = (i + 1) / 4 % 2 // cores 0 to 2 and 7 are near
	}
	h := newHost(t, m, elephant(0, 600e3))
	h.run(200 * time.Millisecond)
	if v, k := h.want(0).cores(0); v == 0 || m.Cores[v].Node != 0 || m.Cores[k].Node != 0 {
		t.Errorf("%+v, where cores 1, 2 and 7 are idle: %s", h.want(0), h.plan.Reason)
	}
}
