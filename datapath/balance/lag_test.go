package balance

import (
	"testing"
	"time"
)

// A kernel that cannot follow yet, for the order of packets, is waited for: the plan counts on what it wants, and wants nothing else.
func TestPlanWaitsForTheKernel(t *testing.T) {
	h := newHost(t, cores(4), elephant(0, 600e3))
	h.stuck = true
	for h.tick(); h.plan.Moves == 0; h.tick() {
	}
	first := h.want(0)
	for range int(DefaultSettings.Dwell / tick) {
		if h.tick(); h.want(0) != first || h.plan.Pending != 1 || h.plan.Reason != reasonWait {
			t.Fatalf("%+v after %+v, %d pending: %s", h.want(0), first, h.plan.Pending, h.plan.Reason)
		}
	}
	v, _ := first.cores(0)
	if h.plan.Load[v] < 0.5 {
		t.Errorf("core %d, where the flow is wanted, is predicted to have load %.2f", v, h.plan.Load[v])
	}
}

// A plan that the kernel does not follow for long is not taken to come true.
func TestPlanGivesUpOnTheKernel(t *testing.T) {
	h := newHost(t, cores(4), elephant(0, 600e3))
	h.stuck = true
	for h.tick(); h.plan.Moves == 0; h.tick() {
	}
	h.arrives[0].Since = 0 // so that nothing else can be wanted at the moment
	h.run(2 * DefaultSettings.Dwell)
	h.arrives[0].Since = 0
	if h.tick(); h.plan.Pending != 0 || h.plan.Load[0] < 0.9 {
		t.Errorf("%d pending, load %.2f: %s", h.plan.Pending, h.plan.Load, h.plan.Reason)
	}
}

// A bucket without packets is inline after a while, for what comes next is as likely a mouse.
func TestBucketsAge(t *testing.T) {
	h := newHost(t, cores(3), elephant(0, 600e3))
	if h.run(300 * time.Millisecond); h.want(0) == stay {
		t.Fatalf("does not move: %s", h.plan.Reason)
	}
	placed := h.want(0)
	h.arrives[0].Rate[NIC] = 0
	if h.run(DefaultSettings.Calm - tick); h.want(0) != placed {
		t.Error("forgotten while it may come back")
	}
	if h.run(3 * tick); h.want(0) != stay {
		t.Errorf("still wanted on %+v", h.want(0))
	}
}

// After a hotplug the loads are those of another machine. The plan stays as it is until there is a new Balancer.
func TestPlanIgnoresAnotherMachine(t *testing.T) {
	h := newHost(t, cores(4), elephant(0, 600e3))
	if plan := h.balancer.Next(Input{Interval: tick}); plan.Want[0] != stay || plan.Moves != 0 {
		t.Errorf("%+v before anything is known, %d moves", plan.Want[0], plan.Moves)
	}
	h.run(300 * time.Millisecond)
	want := h.want(0)
	for _, n := range []int{0, 3, 5, 64} {
		plan := h.balancer.Next(Input{Interval: tick, Cores: make([]CoreLoad, n), Flows: h.input.Flows})
		if plan.Want[h.arrives[0].Bucket] != want || plan.Moves != 0 {
			t.Errorf("%d cores: %+v after %+v, %d moves", n, plan.Want[h.arrives[0].Bucket], want, plan.Moves)
		}
		h.check(plan)
	}
	if h.run(time.Second); h.want(0) != want {
		t.Errorf("%+v after %+v, with the right machine again", h.want(0), want)
	}
}
